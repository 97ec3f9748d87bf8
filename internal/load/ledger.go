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

// A Ledger is a worker's account of its calls: who is admitted, who waits, who
// is to be told. Every call ends with exactly one Release.
type Ledger struct {
	epoch    uint64
	capacity int
	room     int // places in the queue
	state    State

	running int
	head    *Entry // the queue, oldest first
	tail    *Entry
	queued  int

	live     map[Key]*Entry      // ticketed calls that have not ended
	own      map[uint64]int      // calls in flight by the chooser that made them
	choosers map[uint64]*chooser // those that receive reports, and some that did
	watching int                 // how many receive them
	left     uint64              // counts those that ceased to
	seq      uint64
	version  uint64 // grows with each change worth a report

	service, delay ewma // seconds
}

// A chooser is one that receives reports, or did lately: tickets of one that has
// lost its stream and comes back are still known.
type chooser struct {
	peer    string // its identity
	secret  *Secret
	claimed []uint64
	streams int
	left    uint64 // when it ceased to receive reports
}

// maxLeft is how many choosers are remembered that receive no reports.
const maxLeft = 64

// NewLedger returns an account with the given epoch, random per process.
func NewLedger(epoch uint64, l Limits) *Ledger {
	room := l.Queue
	switch {
	case l.Capacity <= 0 || l.Queue < 0:
		room = 0
	case l.Queue == 0:
		room = l.Capacity
	}
	return &Ledger{epoch: epoch, capacity: max(l.Capacity, 0), room: room,
		live: map[Key]*Entry{}, own: map[uint64]int{}, choosers: map[uint64]*chooser{}}
}

// A Call is what admission depends on.
type Call struct {
	// Ticket is what the caller brought; Ticketed is false if it brought none.
	Ticket   Ticket
	Ticketed bool
	// Peer is the caller's identity, as its certificate proves it.
	Peer string
	// Attempt is the number of the try. From the third on, a call is no longer
	// sent away for being a surprise.
	Attempt int
	// Left is the time until the call's deadline, 0 if it has none.
	Left time.Duration
	// Owner is the runtime's; the ledger does not look at it.
	Owner any
}

// A Refusal is why a call was not admitted; the zero value means it was.
type Refusal uint8

// The refusals.
const (
	Admitted   Refusal = iota
	IsDraining         // the worker takes no more calls
	Surprised          // the worker is full and the chooser did not know
	QueueFull          // no place left to wait
	TooLate            // the deadline would pass in the queue
	Superseded         // a newer attempt with the same ticket is here
)

// String returns the refusal in words.
func (r Refusal) String() string {
	return [...]string{"admitted", "worker is draining", "worker is full", "queue is full",
		"deadline would pass in the queue", "a newer attempt is here"}[min(r, Superseded)]
}

// An Entry is one admitted call.
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
		l.claim(c.Ticket.Key())
	}
	if l.state == Draining {
		return nil, nil, IsDraining
	}
	e = &Entry{call: c, arrived: now, started: now}
	if old := l.ticket(c); old != nil {
		if c.Attempt < old.call.Attempt {
			return nil, nil, Superseded
		}
		l.replace(old, e)
		return e, old, Admitted
	}
	if l.capacity > 0 && l.running >= l.capacity {
		if why := l.refuse(c); why != Admitted {
			return nil, nil, why
		}
		l.push(e)
	} else {
		l.running++
		l.delay.observe(0)
	}
	l.enter(e)
	return e, nil, Admitted
}

// holds reports whether the ticket of c was made by a chooser that is known here,
// for the caller that brings it. A chooser's own calls come from the peer that
// receives its reports.
func (l *Ledger) holds(c *Call) bool {
	ch := l.choosers[c.Ticket.Chooser]
	if ch == nil || c.Ticket.Number == 0 && ch.peer != c.Peer {
		return false
	}
	return ch.secret.Verify(&c.Ticket, c.Peer)
}

func (l *Ledger) refuse(c Call) Refusal {
	switch {
	case c.Ticketed && !c.Ticket.QueueOK && c.Attempt < 3:
		return Surprised
	case l.queued >= l.room:
		return QueueFull
	case c.Left > 0 && l.service.mean*float64(l.queued+1)/float64(l.capacity) > c.Left.Seconds():
		return TooLate
	}
	return Admitted
}

func (l *Ledger) ticket(c Call) *Entry {
	if !c.Ticketed || c.Ticket.Number == 0 {
		return nil
	}
	return l.live[c.Ticket.Key()]
}

func (l *Ledger) enter(e *Entry) {
	l.version++
	switch t := e.call.Ticket; {
	case !e.call.Ticketed:
	case t.Number == 0:
		l.own[t.Chooser]++
	default:
		l.live[t.Key()] = e
	}
}

// replace gives old's place to e.
func (l *Ledger) replace(old, e *Entry) {
	e.arrived, e.started, e.waiting, old.ended = old.arrived, old.started, old.waiting, true
	if old.waiting {
		e.prev, e.next = old.prev, old.next
		l.link(e)
		old.waiting, old.prev, old.next = false, nil, nil
	}
	l.live[e.call.Ticket.Key()] = e
}

// claim notes that a ticket has arrived, admitted or not, for the next report.
func (l *Ledger) claim(k Key) {
	if ch := l.choosers[k.Chooser]; ch.streams > 0 && len(ch.claimed) < MaxClaimed {
		ch.claimed = append(ch.claimed, k.Number)
		l.version++
	}
}

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
		if l.own[t.Chooser]--; l.own[t.Chooser] == 0 {
			delete(l.own, t.Chooser)
		}
	default:
		delete(l.live, t.Key())
	}
	if e.waiting {
		l.unlink(e)
		return nil
	}
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
	l.state = Draining
	l.version++
}

// State returns the worker's state.
func (l *Ledger) State() State { return l.state }

// InFlight returns the calls admitted and not ended, those that wait among
// them.
func (l *Ledger) InFlight() int { return l.running + l.queued }

// Queued returns the calls that wait.
func (l *Ledger) Queued() int { return l.queued }

// Version grows with every change that a chooser wants to know.
func (l *Ledger) Version() uint64 { return l.version }

// Watch notes that a chooser receives reports from now on: peer is its identity,
// secret what its tickets are tagged with. A chooser may do so on several streams,
// while it reconnects; each ends with Unwatch. It returns false if the chooser's
// id is another peer's, or has another secret.
func (l *Ledger) Watch(id uint64, peer string, secret *Secret) bool {
	ch := l.choosers[id]
	switch {
	case ch == nil:
		ch = &chooser{peer: peer, secret: secret}
		l.choosers[id] = ch
	case ch.peer != peer || !ch.secret.equal(secret):
		return false
	}
	if ch.streams++; ch.streams == 1 {
		l.watching++
		l.version++
	}
	return true
}

// Unwatch is the end of a Watch that returned true.
func (l *Ledger) Unwatch(id uint64) {
	ch := l.choosers[id]
	if ch == nil || ch.streams == 0 {
		return
	}
	if ch.streams--; ch.streams > 0 {
		return
	}
	l.watching--
	l.left++
	l.version++
	ch.left, ch.claimed = l.left, nil // the next snapshot tells what is live
	if len(l.choosers)-l.watching > maxLeft {
		l.forget()
	}
}

// forget forgets the chooser that receives no reports for the longest time.
func (l *Ledger) forget() {
	oldest, found := uint64(0), false
	for id, ch := range l.choosers {
		if ch.streams == 0 && (!found || ch.left < l.choosers[oldest].left) {
			oldest, found = id, true
		}
	}
	delete(l.choosers, oldest)
}

// Report returns the numbers for a chooser that watches, as they are. A
// snapshot, the first on each stream, names all its live tickets. The tickets
// claimed count as told.
func (l *Ledger) Report(chooser uint64, snapshot bool) Report {
	r := l.Numbers(chooser)
	r.Snapshot = snapshot
	if ch := l.choosers[chooser]; ch != nil {
		r.Claimed, ch.claimed = ch.claimed, nil
	}
	if snapshot {
		for k := range l.live {
			if k.Chooser == chooser && len(r.Claimed) < MaxClaimed {
				r.Claimed = append(r.Claimed, k.Number)
			}
		}
	}
	return r
}

// Numbers is a Report without tickets, for the way back of a call that the
// chooser has made itself.
func (l *Ledger) Numbers(chooser uint64) Report {
	l.seq++
	return Report{
		Epoch: l.epoch, Seq: l.seq, State: l.state,
		Capacity: uint32(l.capacity), InFlight: uint32(l.running + l.queued), Queued: uint32(l.queued),
		Yours: uint32(l.own[chooser]), Choosers: uint32(l.watching),
		MeanService: seconds(l.service.mean), QueueDelay: seconds(l.delay.mean),
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
