package workers

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// What gossip says of workers is not proven until the registry has talked to them. A
// made-up address can be that of a third party. So the registry dials addresses that
// have not answered at a bounded rate: freshRate a second for the first time, after
// freshBurst at once, and retryRate a second again. A thousand real workers that are
// there at the start are all dialled within 3 s. Workers that have answered do not
// wait.
const (
	freshRate, freshBurst = 200, 400
	retryRate, retryBurst = 50, 50
)

// A gate lets dials pass at a bounded rate. It is safe for concurrent use.
type gate struct {
	fresh, retry bucket
	ticked       time.Duration // up to when tokens were given out; the health check's own
}

// newGate returns a gate with its bursts to give away.
func newGate() *gate {
	return &gate{fresh: bucket{burst: freshBurst, tokens: freshBurst}, retry: bucket{burst: retryBurst, tokens: retryBurst}}
}

// pass waits for a token and reports whether it got one before ctx ended. again
// says that the address was dialled before.
func (g *gate) pass(ctx context.Context, again bool) bool {
	if again {
		return g.retry.take(ctx)
	}
	return g.fresh.take(ctx)
}

// tick gives out the tokens of the time until now, in periods of 20 ms. It reports
// whether a dial still waits, for which it must be called again after the next period.
// The health check alone calls it.
func (g *gate) tick(now time.Duration) (waiting bool) {
	const perSecond = int(time.Second / checkEvery)
	n := int((now - g.ticked) / checkEvery)
	g.ticked += time.Duration(n) * checkEvery
	n = min(n, perSecond) // after a second both buckets are full
	fresh, retry := g.fresh.add(n*freshRate/perSecond), g.retry.add(n*retryRate/perSecond)
	return fresh || retry
}

// A bucket holds tokens, at most burst. Of those who wait the last to come is served
// first: a worker that joins does not queue behind thousands of made-up ones.
type bucket struct {
	burst int

	mu      sync.Mutex
	tokens  int
	waiting list.List // of channels, closed when served; the last to come is in front
}

// take waits for a token and reports whether it got one before ctx ended.
func (b *bucket) take(ctx context.Context) bool {
	b.mu.Lock()
	if b.tokens > 0 {
		b.tokens--
		b.mu.Unlock()
		return true
	}
	// None left: wait for add to close turn.
	turn := make(chan struct{})
	place := b.waiting.PushFront(turn)
	b.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting.Remove(place) // nothing happens if it has just been served
	return false
}

// add gives n tokens to those who wait, and keeps the rest up to burst. It reports whether
// others still wait.
func (b *bucket) add(n int) (waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		if front := b.waiting.Front(); front != nil {
			close(b.waiting.Remove(front).(chan struct{}))
		} else if b.tokens < b.burst {
			b.tokens++
		}
	}
	return b.waiting.Len() > 0
}
