package gossip

import (
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

// A Rate is how much may be taken from a [Bucket]: PerSecond in the long run,
// and Burst at once after a rest.
type Rate struct {
	PerSecond, Burst int
}

// A Bucket limits work that others cause. It begins full. Its methods are safe
// for concurrent use. Rate must not be changed after the first use.
type Bucket struct {
	Rate Rate

	mu   sync.Mutex
	owed float64 // what was taken and has not come back
	at   time.Time
}

// Take takes n if there is as much, and reports whether there was.
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

// Wait takes one as soon as there is one. It returns false when done is closed
// before that.
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

// next takes one, or returns how long to wait before the next attempt.
func (b *Bucket) next(now time.Time) time.Duration {
	if b.Take(1, now) {
		return 0
	}
	return time.Second / time.Duration(b.Rate.PerSecond)
}

// refill gives back what has come since the last call. The caller holds mu.
func (b *Bucket) refill(now time.Time) {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.owed = max(0, b.owed-passed*float64(b.Rate.PerSecond))
		b.at = now
	}
}
