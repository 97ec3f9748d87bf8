// Package contexts has what package context lacks here: a sleep that a context
// ends, a context that a channel ends, and a look at a channel. It starts no
// goroutines, and works in a testing/synctest bubble.
package contexts

import (
	"context"
	"time"
)

// Sleep waits for d or until ctx ends. It reports whether d has passed. If both
// happen at once, either result is possible.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Until returns a context that ends with context.Canceled when done is closed. It
// has neither a deadline nor values. Unlike context.WithCancel it needs no cancel
// function and no goroutine.
func Until(done <-chan struct{}) context.Context { return until{done} }

// until implements context.Context with nothing but a channel. Package context starts
// a goroutine for each child with a cancel function, since it does not know the type.
type until struct{ done <-chan struct{} }

func (until) Deadline() (time.Time, bool) { return time.Time{}, false }
func (u until) Done() <-chan struct{}     { return u.done }
func (until) Value(any) any               { return nil }
func (u until) Err() error {
	if Closed(u.done) {
		return context.Canceled
	}
	return nil
}

// Closed reports whether a channel on which nothing is sent is closed. On another
// channel it would take a value away. A nil channel is never closed.
func Closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
