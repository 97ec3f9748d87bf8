package session

import (
	"sync/atomic"
	"time"
)

// This file is how a server serves a call that is alone on its session: the reader runs
// the handler itself, which saves waking a goroutine, most of what a small call costs
// then. Only procedures whose handlers have been quick so far are served so ([Pace]). If a
// handler waits nevertheless, another goroutine reads on within two ticks: see
// [ticker.watchLone].

const (
	// quickHandler is how long a handler that counts as quick may take, without the write
	// of its response. It is of the order of what waking a goroutine takes.
	quickHandler = 20 * time.Microsecond
	// slowHandler is from when on a handler has held up those that came after it.
	slowHandler = time.Millisecond
	// leastQuick is how many handlers in a row must be quick before the reader runs one.
	// After each that was slow it is twice as many, up to mostQuick.
	leastQuick, mostQuick = 32, 1 << 13
	// leastLonely is how many calls in a row must be alone before one is served so. Where
	// many callers share a session a call is alone now and then, and those that come while
	// a goroutine is woken for it share one write with it.
	leastLonely = 16
)

// A Pace is how long the handlers of one procedure have taken when their calls were
// alone. The zero value is ready to use. It is safe for concurrent use; what it says is
// a guess, so that lost counts do no harm.
type Pace struct {
	// quick is how many in a row have been quick.
	quick atomic.Int32
	// doubled is how often leastQuick has doubled.
	doubled atomic.Int32
}

// Quick reports whether the next handler is likely to be quick. A nil Pace never says so.
func (p *Pace) Quick() bool { return p != nil && p.quick.Load() >= leastQuick<<p.doubled.Load() }

// took notes how long a handler has taken.
func (p *Pace) took(d time.Duration) {
	doubled := p.doubled.Load()
	need := int32(leastQuick) << doubled
	switch {
	case d >= slowHandler:
		p.quick.Store(0)
		if need < mostQuick {
			p.doubled.Store(doubled + 1)
		}
	case d > quickHandler:
		p.quick.Store(0)
	case p.quick.Add(1) >= 4*need: // it has been quick for long
		p.quick.Store(need)
		if doubled > 0 {
			p.doubled.Store(doubled - 1)
		}
	}
}

// note is took for a handler that has begun at a time, in nanotime, and has a response of
// n bytes, which is not sent yet.
func (p *Pace) note(begun int64, n int) {
	d := time.Duration(nanotime() - begun)
	if n > part { // it may wait for credit, which only a reader brings
		d = slowHandler
	}
	p.took(d)
}

// isAlone reports whether a call that has just come is the only one, has come whole, and
// nothing else has come with it, as it was with several before.
func (in *receiver) isAlone(st *Stream, inFlight int64) bool {
	if inFlight != 1 || !st.pooled || in.s < in.e || in.cork.in || !in.cork.foresees {
		in.lonely = 0
		return false
	}
	in.lonely++
	return in.lonely >= leastLonely && !st.inline
}
