package workers

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// What a registry is told of workers is hearsay until it has talked to them, and
// an address that somebody has made up is a third party's. So it dials addresses
// that have not answered at a bounded rate: freshRate a second for the first time,
// after freshBurst at once, and retryRate a second again. A thousand real workers
// that are there at start are all dialled within 3 s. Known workers do not wait.
const (
	freshRate, freshBurst = 200, 400
	retryRate, retryBurst = 50, 50
)

// A gate lets dials pass at a bounded rate. It is safe for concurrent use.
type gate struct{ fresh, retry bucket }

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

// tick hands out the tokens of one period of check.
func (g *gate) tick() {
	const periods = int(time.Second / checkEvery)
	g.fresh.add(freshRate / periods)
	g.retry.add(retryRate / periods)
}

// A bucket holds tokens. Of those who wait the last to come is served first: a
// worker that joins does not stand behind the thousands that somebody has
// invented before.
type bucket struct {
	burst int

	mu      sync.Mutex
	tokens  int
	waiting list.List // of channels, which are closed when served; the last to come is in front
}

func (b *bucket) take(ctx context.Context) bool {
	b.mu.Lock()
	if b.tokens > 0 {
		b.tokens--
		b.mu.Unlock()
		return true
	}
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

func (b *bucket) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		if front := b.waiting.Front(); front != nil {
			close(b.waiting.Remove(front).(chan struct{}))
		} else if b.tokens < b.burst {
			b.tokens++
		}
	}
}
