package gossip

import (
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

// A Rate is how much a [Bucket] gives: PerSecond in the long run, and Burst at once
// after a rest.
type Rate struct {
	PerSecond, Burst int
}

// A Bucket limits work that others cause (a token bucket). It begins full: the zero
// value needs a Rate alone. Its methods are safe for concurrent use. Rate must not be
// changed after the first use.
type Bucket struct {
	Rate Rate

	mu   sync.Mutex
	owed float64   // what was taken and has not come back
	at   time.Time // when owed was computed
}

// Take takes n if there is as much, and reports whether there was. It takes all or
// nothing. Times must not go back by much: an earlier one refills nothing.
func (b *Bucket) Take(n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	if b.owed+float64(n) > float64(b.Rate.Burst) {
		return false
	}
	b.owed += float64(n)
	return true
}

// Wait takes one as soon as there is one, and returns true. It returns false if done is
// closed before. Several that wait are served in no particular order.
func (b *Bucket) Wait(done <-chan struct{}) bool {
	for {
		wait := b.next(time.Now())
		if wait <= 0 {
			return true
		}
		if !contexts.Sleep(contexts.Until(done), wait) {
			return false
		}
	}
}

// next takes one and returns 0, or returns how long to wait before the next attempt: the
// time in which one comes back.
func (b *Bucket) next(now time.Time) time.Duration {
	if b.Take(1, now) {
		return 0
	}
	return time.Second / time.Duration(b.Rate.PerSecond)
}

// refill gives back what has come since the last call, so that no timer is needed. The
// caller holds mu.
func (b *Bucket) refill(now time.Time) {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.owed = max(0, b.owed-passed*float64(b.Rate.PerSecond))
		b.at = now
	}
}
