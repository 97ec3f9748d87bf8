package failover

import (
	"context"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A unaryCall is a unary call by the rules of [retries], without a [Stream]: the request
// is encoded once, and each attempt is one exchange on a connection. The goroutine of
// the caller runs it and owns it. A goroutine of the watchdog looks at what mu guards,
// while it asks the worker whether it lives.
//
// It is pooled, unless another goroutine can still know it.
type unaryCall struct {
	retries
	search search // that of retries
	ctx    context.Context
	call   extend.Unary // immutable
	// running is the attempt under way, nil between two of them.
	running Attempt
	// shared says that another goroutine can know the call.
	shared bool
	// place is the call's in the client's watchdog, whose mu guards it.
	place watched

	mu sync.Mutex
	// on is running if waiting says that it is watched: since then, as the wait of that
	// number.
	on      Attempt
	waiting bool
	since   time.Time
	number  int
	// giveUp ends the attempt if givenUp is set.
	giveUp  *hook.Interrupt
	givenUp bool
}

// CallUnary makes a unary call. It is what NewStream and the streams of a call do, with
// fewer allocations, and without a goroutine of its own.
func (c *Client) CallUnary(ctx context.Context, spec *rpcnet.Spec, req, res any) error {
	return c.callUnary(ctx, spec, req, res, "")
}

// callUnary is CallUnary on a worker that the selector matches too. "" takes what the
// options of ctx say.
func (c *Client) callUnary(ctx context.Context, spec *rpcnet.Spec, req, res any, selector string) error {
	if err := ctx.Err(); err != nil {
		return rpcnet.NewError(rpcnet.CodeOf(err), err.Error()).WithCause(err).WithUnprocessed()
	}
	o := rpcnet.CallFrom(ctx).Options()
	idempotent := o.Idempotent || spec.Idempotency != codegen.IdempotencyUnknown
	// What can resume or be hedged needs streams: it has several attempts at once, or
	// goes on in the middle.
	if spec.Shape != codegen.ShapeUnary || CanResume(spec) || c.cfg.HedgeAfter > 0 && idempotent {
		if selector != "" {
			ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{Selector: selector})
		}
		return c.streams.Unary(ctx, spec, req, res)
	}
	if selector == "" {
		selector = o.Selector
	}
	u := c.newUnary(ctx, idempotent)
	defer u.end()
	u.search.pick = balance.PickRequest{
		Selector: c.Narrow(selector), AffinityKey: o.AffinityKey, LastWorker: o.LastWorker, Exclude: u.search.pick.Exclude[:0],
	}
	if o.AffinityKey == "" && spec.Route != nil {
		u.search.pick.AffinityKey = spec.Route(req)
	}
	if err := u.call.Begin(ctx, spec, req); err != nil {
		return err
	}
	return u.run(res, o.ServedBy)
}

// CallOn makes a unary call on the worker that was chosen for on, which embeds a, and ends
// the attempt. Nothing is retried, no event says that it was made, and no watchdog looks
// at it.
func (c *Client) CallOn(ctx context.Context, a *ConnAttempt, on Attempt, spec *rpcnet.Spec, req, res any) (err error) {
	u := c.newUnary(ctx, false)
	defer u.end()
	defer func() { on.End(err) }() // before u.end: the worker's load is in the trailer
	if err := u.call.Begin(ctx, spec, req); err != nil {
		return err
	}
	if err := a.prepare(ctx, u.call, 0); err != nil {
		return err
	}
	return u.call.Exchange(res, nil)
}

// newUnary returns a call that has not begun.
func (c *Client) newUnary(ctx context.Context, idempotent bool) *unaryCall {
	u, ok := c.unaries.Get().(*unaryCall)
	if !ok {
		u = &unaryCall{call: extend.NewUnary()}
		u.place.call = u
	}
	u.retries = retries{client: c, search: &u.search, idempotent: idempotent}
	u.ctx = ctx
	return u
}

// run makes the call on one worker after the other, until one answers or the rules say
// that it is over.
func (u *unaryCall) run(res any, served func(rpcnet.Target, string)) error {
	var last error
	for {
		on, err := u.worker(u.ctx, last)
		if err != nil {
			return err
		}
		err = u.try(on, res)
		if err == nil {
			u.client.succeeded()
			if served != nil {
				w := on.Worker()
				served(w.Target, w.Addr)
			}
		}
		on.End(err)
		u.running = nil
		over := err == nil || u.ctx.Err() != nil || !u.again(on, err)
		if r, ok := on.(recycler); ok && !u.shared {
			r.Recycle()
		}
		if over {
			return err
		}
		last = err
	}
}

// A recycler is an [Attempt] whose memory another call uses after Recycle. Nothing may
// know it any more.
type recycler interface{ Recycle() }

// try makes one attempt.
func (u *unaryCall) try(on Attempt, res any) error {
	u.running = on
	err := on.Call(u.ctx, u.call, u.attempts)
	u.attempts++
	if err != nil {
		return err
	}
	if !u.watched() {
		return u.call.Exchange(res, nil)
	}
	return u.endWait(u.call.Exchange(res, u.startWait()))
}

// startWait has the attempt watched. It returns what ends it.
func (u *unaryCall) startWait() *hook.Interrupt {
	if u.giveUp == nil || u.giveUp.Spent() {
		u.giveUp = hook.NewInterrupt()
	}
	now := time.Now()
	u.mu.Lock()
	u.on, u.waiting, u.since, u.givenUp = u.running, true, now, false
	u.number++
	u.mu.Unlock()
	u.client.watchdog.add(&u.place, now, false)
	return u.giveUp
}

// endWait ends the wait for an attempt that has come to err. It returns err, or
// [ErrStalled] if the attempt was given up. An answer that came just before counts.
func (u *unaryCall) endWait(err error) error {
	u.mu.Lock()
	u.on, u.waiting = nil, false
	givenUp, since := u.givenUp, u.since
	u.mu.Unlock()
	if !u.client.watchdog.remove(&u.place) {
		u.shared = true
	}
	if err == nil || !givenUp || u.ctx.Err() != nil {
		return err
	}
	return stalled(since)
}

// checkWorker asks whether the worker lives that the call waits for, as that of a
// [Stream] does. It runs on a goroutine of the watchdog.
func (u *unaryCall) checkWorker() {
	u.mu.Lock()
	on, number, waiting := u.on, u.number, u.waiting
	u.mu.Unlock()
	if !waiting || u.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(u.ctx, probeTimeout)
	defer cancel()
	// Without mu, since the probe waits for the worker. The number tells whether the call
	// still waits for the same attempt afterwards.
	err := on.Probe(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.waiting || u.number != number || u.ctx.Err() != nil {
		return
	}
	if err == nil || !u.client.takeRetry() { // late is better than not at all
		u.client.watchdog.add(&u.place, time.Now(), true)
		return
	}
	u.givenUp = true
	u.giveUp.Fire()
}

// end lets go of everything. The call goes back to the pool only if no goroutine of the
// watchdog can still look at it.
func (u *unaryCall) end() {
	if u.running != nil { // what decodes the response has panicked
		u.endWait(nil)
		u.shared = true
		u.running.End(errClosed)
	}
	u.call.End()
	if u.shared {
		return
	}
	u.search.excluded, u.search.next = u.search.excluded[:0], nil
	u.ctx = nil
	u.client.unaries.Put(u)
}
