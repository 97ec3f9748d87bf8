package phi

import "time"

// Limits of the local-stall rule.
const (
	// stallTolerance is the lateness of a tick above which it counts as a stall.
	stallTolerance = 20 * time.Millisecond
	// stallHold is the stall above which ejections are held back.
	stallHold = 250 * time.Millisecond
)

// A Stall notices that the caller itself did not run: a watcher that was
// stopped, or starved, or collecting garbage finds all its peers late at once,
// and none of them is to blame. The caller ticks it at a fixed interval, or when it has
// said, before it checks any peer. It is not safe for concurrent use.
type Stall struct {
	interval time.Duration
	next     time.Duration
	started  bool
	hold     time.Duration
}

// NewStall returns a Stall for a tick every interval.
func NewStall(interval time.Duration) *Stall { return &Stall{interval: interval} }

// Late returns by how much the tick that is due is late at the given instant if
// that is more than 20 ms, else 0. A caller that is about to judge a peer
// between two ticks asks it, since after a stall it may run before the tick.
func (s *Stall) Late(at time.Duration) time.Duration {
	if late := at - s.next; s.started && late > stallTolerance {
		return late
	}
	return 0
}

// Tick records a tick and returns [Stall.Late] of it. The caller passes the
// result to the Shift of every peer's [Monitor].
func (s *Stall) Tick(at time.Duration) (late time.Duration) {
	late = s.Late(at)
	s.started = true
	s.next = at + s.interval
	if late > stallHold {
		s.hold = at + s.interval + stallHold
	}
	return late
}

// Until says after a tick that the next one comes at the given instant, and not after
// the interval. A stall that ends before that is not noticed. So the caller should tick
// some time before the first deadline of a peer: then what the peer has sent meanwhile
// is read before it is judged.
func (s *Stall) Until(next time.Duration) { s.next = next }

// Holding reports whether the caller should not eject anybody at the given
// instant, because it was stalled by more than 250 ms just before: what the
// peers sent meanwhile may still be on its way through the process.
func (s *Stall) Holding(at time.Duration) bool { return at < s.hold }
