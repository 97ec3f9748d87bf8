package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// errStalled is why a stream ends that has fallen silent.
var errStalled = errors.New("the stream has stalled")

// A stallWatch ends a stream that says nothing for too long: its worker may be
// frozen, or the network cut, with nothing to tell so.
type stallWatch struct {
	after  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// watchForStall returns a context that ends, with errStalled as its cause, when
// Saw is not called for that long. Stop it when done.
func watchForStall(ctx context.Context, after time.Duration) (context.Context, *stallWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &stallWatch{after: after, cancel: cancel}
	w.timer = time.AfterFunc(after, func() { cancel(fmt.Errorf("%w: nothing for %v", errStalled, after)) })
	return ctx, w
}

// Saw says that the stream lives.
func (w *stallWatch) Saw() { w.timer.Reset(w.after) }

// Stop ends the watch and the context.
func (w *stallWatch) Stop() {
	w.timer.Stop()
	w.cancel(nil)
}
