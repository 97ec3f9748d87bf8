package director

import (
	"context"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A call that comes soon after others need not ask a director for its worker: the client
// has asked for the workers of many calls at once. Such a lease is a list of slots, each a
// worker and a ticket. The director counts each ticket as it counts that of a single
// call, until the worker reports it or the client gives it back.
//
// Slots are kept for 100 ms at most, in one stock for each selector that is in use. Their
// number goes by the rate of the calls, so that a client that calls rarely has none. A
// call asks a director itself if it has tried a worker before, if it has an affinity key
// or a hint, if it may wait in a queue, and if there is no slot: that is so while the
// workers are full.

// leases are what a client has leased. The client's mu guards them, but for client, and
// work, which are set once. Methods that say so are called with mu held. A goroutine of
// work asks for each lease, and for each request that gives slots back.
type leases struct {
	client *Client
	// work are the requests to directors, which end with ctx. stop ends it.
	work sync.WaitGroup
	ctx  context.Context
	stop context.CancelFunc

	stocks map[string]*stock // by selector
	uses   uint64            // counts the uses of all stocks, which orders them
	least  int               // of the slots in a new stock; tests set it
	// spent are the workers with tickets to be given back.
	spent []*leased
	// sweeper runs sweep while there are slots that can expire. nil: it does not run.
	sweeper *time.Timer
	closed  bool
}

const (
	// maxStocks is for how many selectors there is a stock. Calls with others ask.
	maxStocks = 16
	// maxSpent bounds the workers of leases of which tickets are to be given back: if no
	// director takes them, they expire there.
	maxSpent = 256
	// The pauses before the next lease: when the workers have no places for it, when
	// the director does not answer, and when it knows no leases because it is older.
	noRoomPause   = 20 * time.Millisecond
	noAnswerPause = 100 * time.Millisecond
	oldPause      = 10 * time.Second
	// returnWithin bounds how long Close waits for directors to take slots back.
	returnWithin = 100 * time.Millisecond
)

// init makes l the leases of a client. It has none yet.
func (l *leases) init(c *Client) {
	l.client, l.stocks = c, map[string]*stock{}
	l.ctx, l.stop = context.WithCancel(context.Background())
}

// leasable reports whether a call can use a slot. A director has to choose for calls that
// say more than a selector. A resumable stream wants alternates, which a lease has not.
func leasable(req *balance.PickRequest) bool {
	return req.AffinityKey == "" && req.LastWorker == "" && !req.WaitInQueue && len(req.Exclude) == 0 && req.Alternates == 0
}

// slot returns a slot for a call. If there is none and a lease is under way, it waits for
// that, which is shorter than to ask. It asks for a lease if the stock is half empty, and
// does not wait for it otherwise. It returns false if the call must ask, or if ctx ends.
// Concurrency: it locks mu.
func (l *leases) slot(ctx context.Context, req *balance.PickRequest) (slot, bool) {
	if !leasable(req) {
		return slot{}, false
	}
	c, now := l.client, time.Now()
	c.mu.Lock()
	s := l.stock(req.Selector)
	if s == nil {
		c.mu.Unlock()
		return slot{}, false
	}
	s.count(now)
	next, ok := l.take(s, now)
	if n := s.wants(now); n > 0 && !l.closed {
		s.arrived = make(chan struct{})
		director, ask := c.current, l.request(c.current, req.Selector, n)
		l.work.Go(func() { l.lease(s, director, ask) })
	}
	arrived := s.arrived
	c.mu.Unlock()
	if ok || arrived == nil {
		return next, ok
	}
	select {
	case <-arrived:
	case <-ctx.Done():
		return slot{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return l.take(s, time.Now())
}

// stock returns that of a selector, which it makes if there is none. It returns nil if there
// are too many, all of them in use: then the call asks. The caller holds mu.
func (l *leases) stock(selector string) *stock {
	l.uses++
	s := l.stocks[selector]
	if s == nil {
		if len(l.stocks) >= maxStocks && !l.makeRoom() {
			return nil
		}
		s = &stock{least: l.least}
		l.stocks[selector] = s
	}
	s.used = l.uses
	return s
}

// makeRoom forgets the stock that was not used for longest, of those that are empty. It
// reports false if there is none.
func (l *leases) makeRoom() bool {
	oldest, found := "", false
	for selector, s := range l.stocks {
		if len(s.slots) == 0 && s.arrived == nil && (!found || s.used < l.stocks[oldest].used) {
			oldest, found = selector, true
		}
	}
	delete(l.stocks, oldest)
	return found
}

// take takes a slot from a stock. Those that have expired before it are to be given back.
// The caller holds mu.
func (l *leases) take(s *stock, now time.Time) (slot, bool) {
	next, expired, ok := s.take(now)
	l.spend(expired)
	return next, ok
}

// spend lists slots that are to be given back. The caller holds mu, as for the methods
// below that say nothing else.
func (l *leases) spend(slots []slot) {
	for _, s := range slots {
		l.spendOne(s.of, s.number)
	}
}

// spendOne lists a ticket of a worker, whose call has ended or will not be made.
func (l *leases) spendOne(of *leased, number uint64) {
	of.spent = append(of.spent, number)
	if !of.listed {
		of.listed = true
		if len(l.spent) == maxSpent {
			l.spent[0].listed = false
			l.spent = append(l.spent[:0], l.spent[1:]...)
		}
		l.spent = append(l.spent, of)
	}
}

// revoke takes all slots on a worker that has failed or refused a call out of the stocks.
// The caller holds mu.
func (l *leases) revoke(of *leased) {
	if of.revoked {
		return
	}
	of.revoked = true
	for _, s := range l.stocks {
		out := s.revoke(&of.Worker)
		for _, slot := range out {
			slot.of.revoked = true
		}
		l.spend(out)
	}
}

// request returns a request to a director for so many slots. The failures of workers and
// the spent tickets that wait to be reported go with it, as with a question. The caller
// holds mu.
func (l *leases) request(director int, selector string, want int) *directorv1.LeaseRequest {
	c, req := l.client, &directorv1.LeaseRequest{Selector: selector, Want: uint32(want)}
	req.Failures, req.Unused = c.failures, c.unused
	c.failures, c.unused = nil, nil
	req.Spent = l.spentAt(director)
	return req
}

// maxSpentAtOnce is how many workers with spent tickets go into one request.
const maxSpentAtOnce = 128

// spentAt takes the tickets that a director is to count no more from the list.
func (l *leases) spentAt(director int) (spent []directorv1.Spent) {
	rest := l.spent[:0]
	for _, of := range l.spent {
		if of.director != director || len(spent) == maxSpentAtOnce {
			rest = append(rest, of)
			continue
		}
		spent = append(spent, directorv1.Spent{Worker: of.Name, Balancer: of.balancer, Numbers: of.spent})
		of.spent, of.listed = nil, false
	}
	clear(l.spent[len(rest):])
	l.spent = rest
	return spent
}

// lease asks a director for slots and adds them to the stock. It wakes the calls that
// wait for them, also after an error. If the director does not answer, the failures of
// workers in the request wait for the next question, which goes to another director.
func (l *leases) lease(s *stock, director int, req *directorv1.LeaseRequest) {
	c := l.client
	ctx, cancel := context.WithTimeout(l.ctx, c.cfg.AskTimeout)
	defer cancel()
	began := time.Now()
	res, err := c.askers[director].Lease(ctx, req)
	now := time.Now()
	var workers []*leased
	var slots []slot
	if err == nil {
		workers, slots, err = slotsOf(res, director, now)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(s.arrived)
	s.arrived = nil
	switch {
	case err != nil:
		c.failures = lastOf(append(req.Failures, c.failures...), maxReports)
		c.unused = lastOf(append(req.Unused, c.unused...), maxReports)
		s.again = now.Add(noAnswerPause)
		if rpcnet.CodeOf(err) == rpcnet.CodeUnimplemented {
			s.again = now.Add(oldPause)
		} else if c.current == director { // whoever asks next begins with another one
			c.current = (director + 1) % len(c.directors)
		}
		return
	case len(slots) == 0 || slots[0].of.expired(now):
		s.again = now.Add(noRoomPause)
		return
	}
	if trip := now.Sub(began); s.trip == 0 {
		s.trip = trip
	} else {
		s.trip += (trip - s.trip) / 8
	}
	c.current = director
	for _, w := range workers {
		c.known[w.Name] = known{Worker: w.Worker, at: now}
	}
	if len(c.known) > maxKnown {
		c.forget(maxKnown, func(k known) time.Time { return k.at })
	}
	s.add(slots)
	l.sweepLater(workers[0].until.Sub(now))
}

// slotsOf returns the workers and the slots of a lease that came at the given time. The
// error says that they do not hold together: then none is used.
func slotsOf(res *directorv1.LeaseResponse, director int, now time.Time) ([]*leased, []slot, error) {
	until := now.Add(min(time.Duration(res.Millis)*time.Millisecond, load.ClaimWithin))
	array := make([]leased, len(res.Workers))
	workers := make([]*leased, len(res.Workers))
	for i := range array {
		array[i] = leased{Worker: res.Workers[i], lease: res.Workers, director: director, until: until}
		workers[i] = &array[i]
	}
	slots := make([]slot, 0, len(res.Slots)/(directorv1.MaxSlotSize-8))
	var malformed error
	err := directorv1.ParseSlots(res, func(worker int, ticket []byte) {
		t, err := load.ParseTicket(ticket)
		if err != nil {
			malformed = err
		}
		workers[worker].balancer = t.Balancer
		slots = append(slots, slot{workers[worker], t.Number, ticket})
	})
	if err == nil {
		err = malformed
	}
	return workers, slots, err
}

// sweepLater has the slots looked at that expire by then. The caller holds mu.
func (l *leases) sweepLater(after time.Duration) {
	if l.sweeper == nil && !l.closed {
		l.sweeper = time.AfterFunc(after+time.Millisecond, l.sweep)
	}
}

// sweep gives the slots back that have expired, so that the workers do not look busier
// than they are after the last calls. Tickets of calls that have ended go with them. The
// workers have reported those themselves.
func (l *leases) sweep() {
	now := time.Now()
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	l.sweeper = nil
	if l.closed {
		return
	}
	left, expired := 0, 0
	for _, s := range l.stocks {
		n := s.expired(now)
		l.spend(s.slots[:n])
		s.slots = s.slots[n:]
		left, expired = left+len(s.slots), expired+n
	}
	if left > 0 {
		l.sweepLater(leaseFor)
	}
	if expired > 0 {
		l.giveBack()
	}
}

// giveBack begins to tell the directors which tickets are spent. Each gets a
// request with those that it has made. The caller holds mu.
func (l *leases) giveBack() {
	for i, asker := range l.client.askers {
		for {
			spent := l.spentAt(i)
			if len(spent) == 0 {
				break
			}
			l.work.Go(func() {
				ctx, cancel := context.WithTimeout(l.ctx, l.client.cfg.AskTimeout)
				defer cancel()
				// A director that does not hear it counts the tickets for 5 s.
				asker.Lease(ctx, &directorv1.LeaseRequest{Spent: spent})
			})
		}
	}
}

// end gives all slots back and waits until the directors have them, or for
// returnWithin. No lease is asked for after it, and no goroutine of work runs. Calling it
// again does nothing.
func (l *leases) end() {
	late := time.AfterFunc(returnWithin, l.stop)
	defer l.stop()
	defer late.Stop()
	for range 2 { // the second time for a lease that was under way
		l.client.mu.Lock()
		l.closed = true
		if l.sweeper != nil {
			l.sweeper.Stop()
			l.sweeper = nil
		}
		unused := 0
		for _, s := range l.stocks {
			unused += len(s.slots)
			l.spend(s.slots)
			s.slots = nil
		}
		if unused > 0 {
			l.giveBack()
		}
		l.client.mu.Unlock()
		l.work.Wait()
	}
}
