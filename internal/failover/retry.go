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

// retrying is the [policy] of a call that stays where its first response came from.
// Until then it is made again on another worker. If no handler saw it, it is made on
// each worker there is. If a handler can have seen it, it must be idempotent; it is made
// at most [Config.MaxAttempts] times, and only while the budget lasts.
type retrying struct {
	stream *Stream
	// idempotent says that the call can be made twice, by its contract or its caller.
	idempotent bool
	// attempts counts those so far, and processed the ones of them that a handler can
	// have seen.
	attempts, processed int
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
	call.policy = retrying{stream: &call.Stream, idempotent: o.Idempotent}
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

// choose never waits: a caller that wants to wait for a worker sets a deadline and
// calls again. If no worker is left, the last failure says more than that.
func (p *retrying) choose(last error) (Attempt, error) {
	for {
		a, err := p.stream.search.worker(p.stream.ctx, p.stream.client)
		switch {
		case !errors.Is(err, ErrNoWorker):
			return a, err
		case p.stream.search.queue(): // all that are left were full or slow
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
// It is safe without limit if no handler saw the attempt, which costs the cluster
// little. Otherwise it costs a token of the budget.
func (p *retrying) failed(a Attempt, err error) error {
	s := p.stream
	var e *rpcnet.Error
	if !s.requests.whole() || s.ctx.Err() != nil || !errors.As(err, &e) || p.attempts >= maxAttempts {
		return err
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
		p.processed++
		kind = excludedFull
	case p.idempotent && s.client.cfg.Retryable(err):
		if p.processed++; p.processed >= s.client.cfg.MaxAttempts || !s.client.takeRetry() {
			return err
		}
	default:
		return err
	}
	s.search.exclude(a.Worker().Node, kind, 0)
	return nil
}

// watch has unary calls watched that can be made again. An attempt that waits in a
// queue because all others were worse is left alone.
func (p *retrying) watch(now time.Time) bool {
	s := p.stream
	if !s.waitsOn() || !p.idempotent || s.search.pick.WaitInQueue || p.processed+1 >= s.client.cfg.MaxAttempts {
		return false
	}
	s.client.watchdog.add(p, now, false)
	return true
}

// watchAgain has the worker asked again after the longest time: it lives.
func (p *retrying) watchAgain(now time.Time, _ time.Duration) {
	p.stream.client.watchdog.add(p, now, true)
}

// unwatch costs a lock and two links.
func (p *retrying) unwatch() { p.stream.client.watchdog.remove(p) }

// mayGiveUp takes a token, since the call is then made a second time.
func (p *retrying) mayGiveUp() bool { return p.stream.client.takeRetry() }
