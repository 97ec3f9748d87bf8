package director

import (
	"time"

	"github.com/rpcnet-go/rpcnet/internal/directorv1"
)

// A slot is the place of one call on a worker, which a director has leased.
type slot struct {
	of     *leased
	number uint64 // of the ticket
	ticket []byte
}

// A leased is a worker of one lease. Of its slots those are listed in spent that the
// director is to count no more.
type leased struct {
	directorv1.Worker
	balancer uint64              // of its tickets
	lease    []directorv1.Worker // all workers of the lease
	director int                 // which has leased it, by its place in Client.directors
	until    time.Time           // its slots can be used
	revoked  bool                // its slots were taken out of the stock
	fine     bool                // the last call that has ended did well
	spent    []uint64            // numbers of tickets
	listed   bool                // is in leases.spent
}

// expired reports whether its slots cannot be used any more.
func (l *leased) expired(now time.Time) bool { return !now.Before(l.until) }

// A stock has the slots of one selector. It is full enough for the calls of the next
// few milliseconds: see target. The client's mu guards it.
type stock struct {
	slots []slot // the next to be used first
	// arrived is closed when the lease under way has come, or has failed. nil: there is
	// none.
	arrived chan struct{}
	// again is the time from which a lease can be asked for. One that was refused sets it,
	// so that the calls until then do not ask for another each.
	again time.Time

	rate  float64       // calls a second
	calls int           // since the rate was last computed
	since time.Time     // then
	trip  time.Duration // how long a lease takes, a mean
	used  uint64        // orders the stocks by their last use
	least int           // how many slots it should have at least
}

const (
	// rateWindow is the shortest time over which the rate of calls is measured.
	rateWindow = 10 * time.Millisecond
	// A stock is for the calls of stockFor, or of four round trips to the director if they
	// take longer, but for no more than stockMost: the choice of a worker gets older in
	// the stock.
	stockFor  = 10 * time.Millisecond
	stockMost = 40 * time.Millisecond
	// minLease is the smallest stock worth a request of its own.
	minLease = 4
	// maxStock is the largest.
	maxStock = directorv1.MaxSlots
)

// count notes that a call wants a slot. It computes the rate anew every rateWindow. The
// rate of a stock that was not used for long is that of this pause, so that the first
// calls after it ask.
func (s *stock) count(now time.Time) {
	s.calls++
	over := now.Sub(s.since)
	if over < rateWindow {
		return
	}
	rate := float64(s.calls) / over.Seconds()
	if over < 10*rateWindow { // the mean of the last two windows, if calls came all the time
		rate = (rate + s.rate) / 2
	}
	s.rate, s.calls, s.since = rate, 0, now
}

// span returns for how long the stock should last.
func (s *stock) span() time.Duration { return min(max(stockFor, 4*s.trip), stockMost) }

// target returns how many slots the stock should have: those for the calls of its span, at
// the present rate.
func (s *stock) target() int {
	return max(int(min(s.rate*s.span().Seconds(), maxStock)), s.least)
}

// wants returns how many slots a lease should bring now. 0: no lease is to be asked for.
// One is asked for when what is left lasts for half of the span, or is three quarters of a
// stock that is as large as can be: so it arrives before the stock is empty.
func (s *stock) wants(now time.Time) int {
	target := s.target()
	half := max(int(s.rate*s.span().Seconds()/2), s.least/2)
	if s.arrived != nil || target < minLease || len(s.slots) > min(half, target*3/4) || now.Before(s.again) {
		return 0
	}
	return target - len(s.slots)
}

// take returns the next slot that can be used, and those before it that cannot any
// more.
func (s *stock) take(now time.Time) (next slot, expired []slot, ok bool) {
	n := s.expired(now)
	expired = s.slots[:n:n]
	if n == len(s.slots) {
		s.slots = nil
		return slot{}, expired, false
	}
	next, s.slots = s.slots[n], s.slots[n+1:]
	return next, expired, true
}

// expired returns how many slots at the front of the stock cannot be used any more.
func (s *stock) expired(now time.Time) int {
	n := 0
	for n < len(s.slots) && s.slots[n].of.expired(now) {
		n++
	}
	return n
}

// add adds the slots of a lease. The stock keeps the slice if it has nothing else;
// otherwise it copies, because slices of earlier slots are in use.
func (s *stock) add(slots []slot) {
	if len(s.slots) == 0 {
		s.slots = slots
		return
	}
	s.slots = append(s.slots[:len(s.slots):len(s.slots)], slots...)
}

// revoke takes the slots of a life of a worker out of the stock and returns them. The
// others keep their order.
func (s *stock) revoke(w *directorv1.Worker) (out []slot) {
	keep := make([]slot, 0, len(s.slots))
	for _, l := range s.slots {
		if l.of.Name == w.Name && l.of.Boot == w.Boot {
			out = append(out, l)
			continue
		}
		keep = append(keep, l)
	}
	s.slots = keep
	return out
}
