package load

import "time"

// Limits are what a worker takes on.
type Limits struct {
	// Capacity is how many calls run at once. 0: no limit, and no queue.
	Capacity int
	// Queue is how many calls may wait for a place. 0: as many as Capacity;
	// negative: none.
	Queue int
}

// A Ledger is a worker's account of its calls: which run, which wait, and which
// balancers receive reports. Every admitted call ends with exactly one Release.
//
// Invariants: running + queued is the number of entries that have not ended. live
// holds those of them with a numbered ticket, own counts those that the balancers make
// themselves, and the rest brought no ticket that holds. The queue is empty while
// running < capacity.
type Ledger struct {
	epoch    uint64
	capacity int
	room     int // places in the queue
	state    State

	running int
	head    *Entry // the queue, oldest first
	tail    *Entry
	queued  int

	// Peers make these grow: live and own by admitted calls, balancers by streams of
	// reports, whose number the worker bounds, and by maxLeft.
	live       map[TicketID]*Entry  // ticketed calls that have not ended
	own        map[uint64]int       // calls in flight by the balancer that made them
	balancers  map[uint64]*balancer // those that receive reports, and some that did
	subscribed int                  // how many receive them
	left       uint64               // counts those that have stopped to
	seq        uint64               // of the last report
	version    uint64               // grows with each change worth a report

	service, delay ewma // seconds
}

// A balancer is one that receives reports, or did lately: tickets of one that has
// lost its stream and comes back are still known.
type balancer struct {
	peer    string // its identity
	secret  *Secret
	claimed []uint64 // tickets that have arrived since the last report
	streams int      // of reports
	left    uint64   // Ledger.left when it stopped to receive reports
}

// maxLeft is how many balancers are remembered that receive no reports.
const maxLeft = 64

// NewLedger returns an account without calls. The epoch is random per process, so
// that balancers see a restart.
func NewLedger(epoch uint64, l Limits) *Ledger {
	room := l.Queue
	switch {
	case l.Capacity <= 0 || l.Queue < 0:
		room = 0
	case l.Queue == 0:
		room = l.Capacity
	}
	return &Ledger{epoch: epoch, capacity: max(l.Capacity, 0), room: room,
		live: map[TicketID]*Entry{}, own: map[uint64]int{}, balancers: map[uint64]*balancer{}}
}

// A Call is what admission depends on.
type Call struct {
	// Ticket is what the caller brought; Ticketed is false if it brought none.
	Ticket   Ticket
	Ticketed bool
	// Peer is the caller's identity, as its certificate proves it.
	Peer string
	// Attempt is how often the caller has made the call before. From the third on, a call is no longer
	// sent away because the worker is unexpectedly full.
	Attempt int
	// Left is the time until the call's deadline, 0 if it has none.
	Left time.Duration
	// Owner is what the runtime keeps with the call. The ledger does not look at it.
	Owner any
}

// A Refusal is why a call was not admitted; the zero value means it was.
type Refusal uint8

// The refusals.
const (
	RefusalNone             Refusal = iota
	RefusalDraining                 // the worker takes no more calls
	RefusalUnexpectedlyFull         // the worker is full and the balancer did not know
	RefusalQueueFull                // no place left to wait
	RefusalTooLate                  // the deadline would pass in the queue
	RefusalSuperseded               // a newer attempt with the same ticket is here
)

// String returns the refusal in words.
func (r Refusal) String() string {
	return [...]string{"admitted", "worker is draining", "worker is full", "queue is full",
		"deadline would pass in the queue", "a newer attempt is here"}[min(r, RefusalSuperseded)]
}

// An Entry is one admitted call. It runs, waits in the queue, or has ended.
type Entry struct {
	call       Call
	arrived    time.Duration
	started    time.Duration
	waiting    bool
	ended      bool
	next, prev *Entry
}

// Waiting reports whether the call is in the queue.
func (e *Entry) Waiting() bool { return e.waiting }

// Owner returns the call's owner.
func (e *Entry) Owner() any { return e.call.Owner }

// SetOwner sets what the runtime keeps with the call, in place of [Call].Owner.
func (e *Entry) SetOwner(o any) { e.call.Owner = o }

// Ticket returns the ticket that the call was admitted with; ok is false if it
// brought none that holds.
func (e *Entry) Ticket() (t Ticket, ok bool) { return e.call.Ticket, e.call.Ticketed }

// Admit decides about a call. An admitted one runs or waits ([Entry.Waiting]).
// If the same ticket is here already, the newer attempt takes its place, so
// that it counts once, and replaced is the older one, to be cancelled. A ticket
// that does not hold for its caller is none: it claims and replaces nothing.
func (l *Ledger) Admit(now time.Duration, c Call) (e, replaced *Entry, why Refusal) {
	c.Ticketed = c.Ticketed && l.holds(&c)
	if c.Ticketed && c.Ticket.Number != 0 {
		l.claim(c.Ticket.ID())
	}
	if l.state == StateDraining {
		return nil, nil, RefusalDraining // claimed all the same: the balancer drops the ticket
	}
	e = &Entry{call: c, arrived: now, started: now}
	// The same ticket twice is one call: its caller has given the first attempt up. Of
	// two that cross on the way the later attempt is the one that is waited for.
	if old := l.ticket(c); old != nil {
		if c.Attempt < old.call.Attempt {
			return nil, nil, RefusalSuperseded
		}
		l.replace(old, e)
		return e, old, RefusalNone
	}
	if l.capacity > 0 && l.running >= l.capacity {
		if why := l.refuse(c); why != RefusalNone {
			return nil, nil, why
		}
		l.push(e)
	} else {
		l.running++
		l.delay.observe(0)
	}
	l.enter(e)
	return e, nil, RefusalNone
}

// holds reports whether the ticket of c was made by a balancer that is known here,
// for the caller that brings it. A balancer's own calls come from the peer that
// receives its reports.
func (l *Ledger) holds(c *Call) bool {
	ch := l.balancers[c.Ticket.Balancer]
	if ch == nil || c.Ticket.Number == 0 && ch.peer != c.Peer {
		return false
	}
	return ch.secret.Verify(&c.Ticket, c.Peer)
}

// refuse returns why a call must not wait, at a worker whose places are all taken. A
// call that is made the third time waits even if its balancer did not expect that: it
// has found two workers full already, and a queue is better than a further refusal.
func (l *Ledger) refuse(c Call) Refusal {
	switch {
	case c.Ticketed && !c.Ticket.WaitInQueue && c.Attempt < 3:
		return RefusalUnexpectedlyFull
	case l.queued >= l.room:
		return RefusalQueueFull
	case c.Left > 0 && l.Wait() > c.Left:
		return RefusalTooLate
	}
	return RefusalNone
}

// ticket returns the live call with the same ticket as c, nil if there is none.
func (l *Ledger) ticket(c Call) *Entry {
	if !c.Ticketed || c.Ticket.Number == 0 {
		return nil
	}
	return l.live[c.Ticket.ID()]
}

// enter counts an admitted call under its ticket.
func (l *Ledger) enter(e *Entry) {
	l.version++
	switch t := e.call.Ticket; {
	case !e.call.Ticketed:
	case t.Number == 0:
		l.own[t.Balancer]++
	default:
		l.live[t.ID()] = e
	}
}

// replace gives old's place to e, running or in the queue, so that a call that is
// made again does not lose its turn.
func (l *Ledger) replace(old, e *Entry) {
	e.arrived, e.started, e.waiting, old.ended = old.arrived, old.started, old.waiting, true
	if old.waiting {
		e.prev, e.next = old.prev, old.next
		l.link(e)
		old.waiting, old.prev, old.next = false, nil, nil
	}
	l.live[e.call.Ticket.ID()] = e
}

// claim records for the next report that a ticket has arrived, admitted or not. The
// claims of a balancer that receives no reports are not kept: its next snapshot names
// the live tickets, and the others expire there.
func (l *Ledger) claim(k TicketID) {
	if ch := l.balancers[k.Balancer]; ch.streams > 0 && len(ch.claimed) < MaxClaimed {
		ch.claimed = append(ch.claimed, k.Number)
		l.version++
	}
}

// push appends e to the queue.
func (l *Ledger) push(e *Entry) {
	e.waiting, e.prev = true, l.tail
	l.queued++
	l.link(e)
}

// link makes e's neighbours point to it.
func (l *Ledger) link(e *Entry) {
	if e.prev != nil {
		e.prev.next = e
	} else {
		l.head = e
	}
	if e.next != nil {
		e.next.prev = e
	} else {
		l.tail = e
	}
}

// unlink takes e out of the queue.
func (l *Ledger) unlink(e *Entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.tail = e.prev
	}
	e.waiting, e.prev, e.next = false, nil, nil
	l.queued--
}

// Release ends a call, running or waiting, and returns the one that may run in
// its place, nil if there is none. Releasing twice, or a replaced entry, does
// nothing.
func (l *Ledger) Release(now time.Duration, e *Entry) (next *Entry) {
	if e.ended {
		return nil
	}
	e.ended = true
	l.version++
	switch t := e.call.Ticket; {
	case !e.call.Ticketed:
	case t.Number == 0:
		if l.own[t.Balancer]--; l.own[t.Balancer] == 0 {
			delete(l.own, t.Balancer)
		}
	default:
		delete(l.live, t.ID())
	}
	if e.waiting {
		l.unlink(e)
		return nil
	}
	// The place is free. Its next owner is the one that has waited longest.
	l.service.observe((now - e.started).Seconds())
	l.running--
	if next = l.head; next != nil && l.running < l.capacity {
		l.unlink(next)
		next.started = now
		l.delay.observe((now - next.arrived).Seconds())
		l.running++
		return next
	}
	return nil
}

// Drain stops admission for good.
func (l *Ledger) Drain() {
	l.state = StateDraining
	l.version++
}

// State returns the worker's state.
func (l *Ledger) State() State { return l.state }

// InFlight returns the calls admitted and not ended, those that wait among
// them.
func (l *Ledger) InFlight() int { return l.running + l.queued }

// Queued returns the calls that wait for a place.
func (l *Ledger) Queued() int { return l.queued }

// Version grows with every change that a balancer wants to know.
func (l *Ledger) Version() uint64 { return l.version }

// Subscribe records that a balancer receives reports from now on: peer is its identity,
// secret what its tickets are tagged with. A balancer may do so on several streams,
// while it reconnects; each ends with Unsubscribe. It returns false if the balancer's
// id is another peer's, or has another secret.
func (l *Ledger) Subscribe(id uint64, peer string, secret *Secret) bool {
	ch := l.balancers[id]
	switch {
	case ch == nil:
		ch = &balancer{peer: peer, secret: secret}
		l.balancers[id] = ch
	case ch.peer != peer || !ch.secret.equal(secret):
		return false
	}
	if ch.streams++; ch.streams == 1 {
		l.subscribed++
		l.version++
	}
	return true
}

// Unsubscribe is the end of a Subscribe that returned true.
func (l *Ledger) Unsubscribe(id uint64) {
	ch := l.balancers[id]
	if ch == nil || ch.streams == 0 {
		return
	}
	if ch.streams--; ch.streams > 0 {
		return
	}
	l.subscribed--
	l.left++
	l.version++
	ch.left, ch.claimed = l.left, nil // the next snapshot tells what is live
	if len(l.balancers)-l.subscribed > maxLeft {
		l.forget()
	}
}

// forget removes the balancer that has received no reports for the longest time. Its
// tickets do not hold any more.
func (l *Ledger) forget() {
	oldest, found := uint64(0), false
	for id, ch := range l.balancers {
		if ch.streams == 0 && (!found || ch.left < l.balancers[oldest].left) {
			oldest, found = id, true
		}
	}
	delete(l.balancers, oldest)
}

// Report returns the numbers for a balancer that watches, as they are. A
// snapshot, the first on each stream, names all its live tickets. The tickets
// claimed are not named again.
func (l *Ledger) Report(balancer uint64, snapshot bool) Report {
	r := l.Numbers(balancer)
	r.Snapshot = snapshot
	if ch := l.balancers[balancer]; ch != nil {
		r.Claimed, ch.claimed = ch.claimed, nil
	}
	if snapshot {
		for k := range l.live {
			if k.Balancer == balancer && len(r.Claimed) < MaxClaimed {
				r.Claimed = append(r.Claimed, k.Number)
			}
		}
	}
	return r
}

// Numbers is a Report without tickets, for the way back of a call that the
// balancer has made itself.
func (l *Ledger) Numbers(balancer uint64) Report {
	l.seq++
	return Report{
		Epoch: l.epoch, Seq: l.seq, State: l.state,
		Capacity: uint32(l.capacity), InFlight: uint32(l.running + l.queued), Queued: uint32(l.queued),
		Yours: uint32(l.own[balancer]), Balancers: uint32(l.subscribed),
		MeanService: seconds(l.service.mean), QueueDelay: seconds(l.delay.mean),
	}
}

// Wait estimates how long a call that comes now would wait for a place: the calls before
// it in the queue and itself, which begin one after the other as calls end, at the rate of
// capacity / mean service time (Little's law). 0 if no call has ended yet, or there is no
// limit.
func (l *Ledger) Wait() time.Duration {
	if l.capacity <= 0 {
		return 0
	}
	return seconds(l.service.mean * float64(l.queued+1) / float64(l.capacity))
}

// seconds returns s as a duration.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
