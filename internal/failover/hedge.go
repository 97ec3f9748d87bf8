package failover

import (
	"context"
	"io"
	"reflect"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

const (
	// hedgeShare is how many hedges a call that succeeds is worth: at most 5 % of
	// the calls are hedged. Without a limit, workers that are slow because they are
	// full would get twice the calls.
	hedgeShare = 0.05
	// maxHedges is how many are saved up.
	maxHedges = 5
)

// mayHedge takes a hedge, if one was saved up.
func (c *Client) mayHedge() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hedges < 1 {
		return false
	}
	c.full.Store(false)
	c.hedges--
	return true
}

// An Alternator is an [Attempt] that knows where to hedge its call.
type Alternator interface {
	// Alternate returns an attempt on another worker for the call that ctx is of. It
	// reports false if it knows none; then the picker chooses one. An attempt that is
	// never opened need not end.
	Alternate(ctx context.Context) (Attempt, bool)
}

// A hedgedStream is an idempotent unary call that is made a second time, on
// another worker, when the first has not answered for a while. The first
// answer counts and the other stream is closed.
//
// Recv has a goroutine for each stream, which owns it: it alone sends, after the
// first Send, and receives. Recv closes the streams and waits for the goroutines
// before it returns.
type hedgedStream struct {
	client *Client
	ctx    context.Context
	spec   *rpcnet.Spec
	opts   rpcnet.CallOptions

	// Send sets these before Recv can use them.
	req   []byte // the request, encoded
	first *Stream

	done bool // Recv's own: it has returned

	// mu guards what Close looks at. A stream that is made after Close is closed at
	// once.
	mu      sync.Mutex
	streams []*Stream
	closed  bool
}

// newHedged starts such a call.
func (c *Client) newHedged(ctx context.Context, spec *rpcnet.Spec, o rpcnet.CallOptions) *hedgedStream {
	return &hedgedStream{client: c, ctx: ctx, spec: spec, opts: o}
}

// Send makes the call on the first worker and keeps the request for the
// second.
func (h *hedgedStream) Send(msg any) (err error) {
	if h.req, err = Encode(h.spec, msg); err != nil {
		return err
	}
	if h.opts.AffinityKey == "" && h.spec.Route != nil {
		h.opts.AffinityKey = h.spec.Route(msg)
	}
	h.first = h.stream(h.opts)
	return h.first.sendEncoded(nil, h.req)
}

// stream returns a new stream, which Close closes.
func (h *hedgedStream) stream(o rpcnet.CallOptions) *Stream {
	s := h.client.newRetried(h.ctx, h.spec, o)
	h.mu.Lock()
	h.streams = append(h.streams, s)
	closed := h.closed
	h.mu.Unlock()
	if closed {
		s.Close()
	}
	return s
}

// CloseSend ends the requests.
func (h *hedgedStream) CloseSend() error {
	if h.first == nil {
		return errNoRequest
	}
	return h.first.CloseSend()
}

// errNoRequest is the error of a call that is received from before Send.
var errNoRequest = rpcnet.NewError(rpcnet.CodeInternal, "a unary call needs a request")

// Close gives both streams up. It is safe while Recv runs, which then returns. A stream
// that hedge makes at the same time is closed by stream.
func (h *hedgedStream) Close() error {
	h.mu.Lock()
	streams := h.streams
	h.closed = true
	h.mu.Unlock()
	for _, s := range streams {
		s.Close()
	}
	return nil
}

// An answer is what one stream has brought.
type answer struct {
	from *Stream
	// value is a new variable like the one that Recv was given.
	value reflect.Value
	err   error
}

// Recv returns the first answer, or the error of the first stream.
func (h *hedgedStream) Recv(msg any) error {
	if h.done {
		return io.EOF
	}
	if h.first == nil {
		return errNoRequest
	}
	h.done = true
	into := reflect.ValueOf(msg)
	if into.Kind() != reflect.Pointer || into.IsNil() {
		return rpcnet.Errorf(rpcnet.CodeInternal, "%s: Recv into %T, want a pointer", h.spec.Procedure, msg)
	}
	// Each stream receives into a variable of its own, since both can be decoding at the
	// same time. The buffer holds all there can be: no goroutine blocks on it.
	answers := make(chan answer, 2)
	receive := func(s *Stream) {
		v := reflect.New(into.Type().Elem())
		err := s.Recv(v.Interface())
		answers <- answer{s, v, err}
	}
	go receive(h.first)
	running := 1
	timer := time.NewTimer(h.client.cfg.HedgeAfter)
	defer timer.Stop()
	var failure error // of the first stream
	for {
		select {
		// The timer fires once, so that there are never more than two streams.
		case <-timer.C:
			if second := h.hedge(); second != nil {
				running++
				go func() {
					second.sendEncoded(nil, h.req) // which may have to connect; Recv has the outcome
					second.CloseSend()
					receive(second)
				}()
			}
		case a := <-answers:
			running--
			if a.err != nil && a.from == h.first {
				failure = a.err
			}
			if a.err != nil && running > 0 {
				continue // the other may still answer
			}
			// The loser must end before msg and the request belong to the caller again.
			h.Close()
			for ; running > 0; running-- {
				<-answers // it ends because it is closed
			}
			if a.err != nil {
				return failure // what the call would have come to without a hedge
			}
			into.Elem().Set(a.value.Elem())
			return nil
		}
	}
}

// hedge returns a stream for another worker than that of the first, nil if no hedge
// is saved up, or the first has no worker yet: then a second would wait as well.
func (h *hedgedStream) hedge() *Stream {
	on := h.first.attemptUnderWay()
	if on == nil || !h.client.mayHedge() {
		return nil
	}
	// Should the alternate fail, the picker chooses, but never the first worker.
	s := h.stream(h.opts)
	s.search.exclude(on.Worker().Node, excludedFailed, 0)
	if a, ok := on.(Alternator); ok {
		if next, ok := a.Alternate(h.ctx); ok {
			s.search.next = next
		}
	}
	return s
}
