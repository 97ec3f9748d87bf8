package rpcnet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/session"
)

// A callContext is the context of a handler: the ServerCall itself under
// another name. The real context behind it, with its channel and its timer, is
// made when a handler asks for more than deadline and error.
//
// Its end has a cause (context.Cause): context.Canceled when the caller gave the call
// up or the handler has returned, context.DeadlineExceeded at the deadline,
// ErrDraining when Shutdown ran out of time, and the session's error when the
// connection was lost.
type callContext ServerCall

// Cancel ends the context; the session calls it.
func (c *callContext) Cancel(cause error) { (*ServerCall)(c).cancel(cause) }

// cancel ends the context for a reason of the session. The first reason counts.
func (c *ServerCall) cancel(cause error) {
	switch {
	case errors.Is(cause, session.ErrExpired) && !c.deadline.IsZero():
		cause = context.DeadlineExceeded
	case errors.Is(cause, session.ErrExpired), errors.Is(cause, session.ErrCanceled):
		cause = context.Canceled
	}
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	inner := c.inner.Load()
	c.mu.Unlock()
	if inner != nil {
		inner.end(cause)
	}
}

// Deadline, Done, Err and Value implement [context.Context]. Deadline and Err need no
// real context, so that most calls never make one.
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *callContext) Done() <-chan struct{} { return c.real().Done() }

// Err returns nil as long as neither the session has ended the call nor its deadline
// has passed.
func (c *callContext) Err() error {
	if inner := c.inner.Load(); inner != nil {
		return inner.Err()
	}
	c.mu.Lock()
	cause := c.cause
	c.mu.Unlock()
	if cause == nil && (c.deadline.IsZero() || time.Now().Before(c.deadline)) {
		return nil
	}
	return c.real().Err()
}

// Value finds the ServerCall; nothing of the caller is in a handler's context.
func (c *callContext) Value(key any) any {
	if key == (serverCallKey{}) {
		return (*ServerCall)(c)
	}
	return c.real().Value(key) // package context looks for its own kind
}

// String keeps a context from being formatted with all its contents.
func (c *callContext) String() string { return "rpcnet.ServerCall(" + c.entry.spec.Procedure + ")" }

// real returns the real context, which it makes at the first call.
func (c *callContext) real() *innerContext {
	if inner := c.inner.Load(); inner != nil {
		return inner
	}
	// Two goroutines may ask at once: the second one takes what the first has made.
	c.mu.Lock()
	defer c.mu.Unlock()
	if inner := c.inner.Load(); inner != nil {
		return inner
	}
	inner := &innerContext{}
	parent := context.Background()
	if !c.deadline.IsZero() {
		inner.expiry = newExpiry(c.deadline)
		parent = inner.expiry
	}
	inner.Context, inner.cancel = context.WithCancelCause(parent)
	// The call may have ended before anybody asked for its context.
	if c.cause != nil {
		inner.end(c.cause)
	}
	c.inner.Store(inner)
	return inner
}

// An innerContext is the real context of a call: what a handler's own contexts are
// derived from.
type innerContext struct {
	context.Context
	cancel context.CancelCauseFunc
	expiry *expiry // nil: the call has no deadline
}

// end ends the context for a reason, if it has not ended. If that is
// context.DeadlineExceeded, it ends as at its deadline.
func (c *innerContext) end(cause error) {
	if c.expiry != nil {
		c.expiry.timer.Stop()
		if cause == context.DeadlineExceeded {
			c.expiry.expire()
			<-c.Done() // as the expiry's: cancel, if it came first, would say Canceled
			return
		}
	}
	c.cancel(cause)
}

// An expiry is a context that ends with context.DeadlineExceeded: at a time, or
// sooner when the caller says that it has stopped waiting. Those of package
// context end so at their time only.
type expiry struct {
	done  chan struct{}
	timer *time.Timer

	mu    sync.Mutex
	over  bool
	after func() // what AfterFunc was given
}

// newExpiry returns a context that ends at t, at once if t has passed.
func newExpiry(t time.Time) *expiry {
	e := &expiry{done: make(chan struct{})}
	e.timer = time.AfterFunc(time.Until(t), e.expire)
	if !time.Now().Before(t) {
		e.expire()
	}
	return e
}

// expire ends the context. It does nothing the second time.
func (e *expiry) expire() {
	e.mu.Lock()
	if e.over {
		e.mu.Unlock()
		return
	}
	e.over = true
	close(e.done)
	after := e.after
	e.mu.Unlock()
	if after != nil {
		after()
	}
}

// Deadline returns none: the callContext above has it.
func (e *expiry) Deadline() (time.Time, bool) { return time.Time{}, false }
func (e *expiry) Done() <-chan struct{}       { return e.done }
func (e *expiry) Value(any) any               { return nil }

func (e *expiry) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return context.DeadlineExceeded
	}
	return nil
}

// AfterFunc lets package context hear of the end without a goroutine. It calls
// this once, for the context of innerContext, and f does not wait.
func (e *expiry) AfterFunc(f func()) (stop func() bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		go f()
		return func() bool { return false }
	}
	e.after = f
	return func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		stopped := e.after != nil && !e.over
		e.after = nil
		return stopped
	}
}
