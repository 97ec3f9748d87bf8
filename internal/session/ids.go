package session

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// errEnded is returned by [ids.take] when the session has ended.
var errEnded = errors.New("the session has ended")

// ids hands out the ids of a caller's streams: 1 to the limit that the peer has
// announced. Callers that find none free wait, and are woken in the order of coming.
// All methods are safe for concurrent use.
//
// An id that is freed goes to the first caller of take, which need not be the waiter
// that was woken for it: a waiter looks again, and waits again at the end of the
// line if it finds none. That is seldom, and keeps put and take short.
//
// Invariant, while mu is not held: an id from 1 to last is either in free, or in use
// by one stream.
type ids struct {
	// limit is the highest id. ended is closed when the session has ended. Both do not
	// change.
	limit uint32
	ended <-chan struct{}

	mu sync.Mutex
	// last is the highest id that was ever handed out.
	last uint32
	// free are those up to last that are not in use. The last is used first, so that
	// few chunks of the table are in use.
	free []uint32
	// waiters are closed to wake their owners, and taken out by who closes them.
	waiters []chan struct{}

	// waiting is how many callers wait, for statistics.
	waiting atomic.Int64
}

// take returns a free id, or waits for one. It fails with errQueued when done is
// closed first, and with errEnded when the session has ended.
func (x *ids) take(done <-chan struct{}) (uint32, error) {
	x.mu.Lock()
	for {
		select {
		case <-x.ended:
			x.mu.Unlock()
			return 0, errEnded
		default:
		}
		if n := len(x.free); n > 0 { // first: its cell in the table exists
			id := x.free[n-1]
			x.free = x.free[:n-1]
			x.mu.Unlock()
			return id, nil
		}
		if x.last < x.limit {
			x.last++
			id := x.last
			x.mu.Unlock()
			return id, nil
		}
		wake := make(chan struct{})
		x.waiters = append(x.waiters, wake)
		x.mu.Unlock()
		if !x.wait(wake, done) {
			return 0, errQueued
		}
		x.mu.Lock()
	}
}

// wait waits until wake is closed, and reports false if done is closed first.
func (x *ids) wait(wake chan struct{}, done <-chan struct{}) bool {
	x.waiting.Add(1)
	defer x.waiting.Add(-1)
	select {
	case <-wake:
		return true
	case <-done:
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if i := slices.Index(x.waiters, wake); i >= 0 {
		x.waiters = slices.Delete(x.waiters, i, i+1)
	} else {
		x.wakeLocked() // woken meanwhile, for an id that is the next one's then
	}
	return false
}

// put gives an id back. Nothing must be sent with it any more, and its cell must be
// empty: the next call may use it at once.
func (x *ids) put(id uint32) {
	x.mu.Lock()
	x.free = append(x.free, id)
	x.wakeLocked()
	x.mu.Unlock()
}

// wakeLocked wakes the waiter that has waited longest.
func (x *ids) wakeLocked() {
	if len(x.waiters) > 0 {
		close(x.waiters[0])
		x.waiters = x.waiters[1:]
	}
}

// wakeAll wakes all waiters, which find that the session has ended.
func (x *ids) wakeAll() {
	x.mu.Lock()
	for _, wake := range x.waiters {
		close(wake)
	}
	x.waiters = nil
	x.mu.Unlock()
}
