package failover

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// maxAttempts bounds the attempts of one call, for all reasons together. The number
// travels in a byte.
const maxAttempts = 255

// A retries says whether and where a call that stays where its first response came from
// is made again: until then, on another worker. If no handler saw it, it is made on each
// worker there is. If a handler can have seen it, it must be idempotent; it is made at
// most [Config.MaxAttempts] times, and only while the budget lasts. The opener of the
// call owns it.
type retries struct {
	client *Client
	search *search
	// idempotent says that the call can be made twice, by its contract or its caller.
	idempotent bool
	// attempts counts those so far, and processed the ones of them that a handler can
	// have seen.
	attempts, processed int
}

// retrying is the [policy] of a call that is made again by the rules of [retries].
type retrying struct {
	retries
	stream *Stream
	// place is the call's in the client's watchdog, whose mu guards it.
	place watched
}

// newRetried starts such a call, with one allocation for the stream and its policy. A
// worker is chosen when the first request is sent.
func (c *Client) newRetried(ctx context.Context, spec *rpcnet.Spec, o rpcnet.CallOptions) *Stream {
	call := new(struct {
		Stream
		policy retrying
	})
	call.policy = retrying{
		retries: retries{client: c, search: &call.search, idempotent: o.Idempotent},
		stream:  &call.Stream, place: watched{call: &call.Stream},
	}
	call.init(ctx, c, &call.policy, spec, o)
	return &call.Stream
}

// ask keeps one request of any size. Of several it keeps what can be sent again at
// once.
func (p *retrying) ask(_ any, b []byte) (limit int) {
	if !p.stream.spec.Shape.ClientStreams() {
		return math.MaxInt
	}
	return keepMost - len(b)
}

// choose chooses a worker for the next attempt of the call that ctx is of.
func (p *retrying) choose(last error) (Attempt, error) { return p.worker(p.stream.ctx, last) }

// worker chooses a worker. It never waits: a caller that wants to wait for a worker sets
// a deadline and calls again. If no worker is left, the last failure says more than that.
func (r *retries) worker(ctx context.Context, last error) (Attempt, error) {
	for {
		a, err := r.search.worker(ctx, r.client)
		switch {
		case !errors.Is(err, ErrNoWorker):
			return a, err
		case r.search.queue(): // all that are left were full or slow
		case last != nil:
			return nil, last
		default:
			return nil, err
		}
	}
}

// open sends the same request each time.
func (p *retrying) open(a Attempt, head []byte) (rpcnet.ClientStream, []byte, error) {
	cur, err := a.Open(p.stream.ctx, p.stream.raw, p.attempts)
	p.attempts++
	return cur, head, err
}

// running does nothing: only resumable streams report that they go on.
func (p *retrying) running(Attempt) {}

// received takes all that comes. The end of a stream without responses is an answer
// too.
func (p *retrying) received(_ any, err error) error {
	if err == nil || err == io.EOF {
		p.stream.requests.drop() // from here on the call stays where it is
		p.stream.answer()
	}
	return err
}

// failed lets the call be made again if nothing of the answer has come and it is safe.
func (p *retrying) failed(a Attempt, err error) error {
	if !p.stream.requests.whole() || p.stream.ctx.Err() != nil || !p.again(a, err) {
		return err
	}
	return nil
}

// again reports whether the call is made again after the attempt a has ended with err,
// and prepares that. It is safe without limit if no handler saw the attempt, which
// costs the cluster little. Otherwise it costs a token of the budget.
func (r *retries) again(a Attempt, err error) bool {
	var e *rpcnet.Error
	if !errors.As(err, &e) || r.attempts >= maxAttempts {
		return false
	}
	// A worker that was full or slow is asked again when no other is left, and then the
	// call waits in its queue.
	kind := excludedFailed
	_, moved := MovedAt(err)
	switch {
	case e.Unprocessed() || moved:
		if e.Remote() && e.Code() == rpcnet.CodeResourceExhausted || errors.Is(err, errSlow) {
			kind = excludedFull
		}
	case errors.Is(err, ErrStalled): // the watchdog has paid
		r.processed++
		kind = excludedFull
	case r.idempotent && r.client.cfg.Retryable(err):
		if r.processed++; r.processed >= r.client.cfg.MaxAttempts || !r.client.takeRetry() {
			return false
		}
	default:
		return false
	}
	r.search.exclude(a.Worker().Node, kind, 0)
	return true
}

// watched reports whether an attempt of a unary call is watched: if the call can be made
// again. An attempt that waits in a queue because all others were worse is left alone.
func (r *retries) watched() bool {
	return r.idempotent && !r.search.pick.WaitInQueue && r.processed+1 < r.client.cfg.MaxAttempts
}

// watch has unary calls watched.
func (p *retrying) watch(now time.Time) bool {
	if !p.stream.waitsOn() || !p.watched() {
		return false
	}
	p.client.watchdog.add(&p.place, now, false)
	return true
}

// watchAgain has the worker asked again after the longest time: it lives.
func (p *retrying) watchAgain(now time.Time, _ time.Duration) {
	p.client.watchdog.add(&p.place, now, true)
}

// unwatch costs a lock and two links.
func (p *retrying) unwatch() { p.client.watchdog.remove(&p.place) }

// mayGiveUp takes a token, since the call is then made a second time.
func (p *retrying) mayGiveUp() bool { return p.client.takeRetry() }
