package workers

import (
	"context"
	"io"
	"reflect"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// hedgeShare is how many hedges a call that succeeds is worth.
const hedgeShare = 0.05

// A hedgedStream is an idempotent unary call that is made a second time, on
// another worker, when the first has not answered for a while. The first
// answer wins and the other try is given up.
//
// Recv has a goroutine for each try, which owns it: it alone sends, after the
// first Send, and receives. Recv gives the tries up and waits for the goroutines
// before it returns.
type hedgedStream struct {
	client *Client
	ctx    context.Context
	spec   *rpcnet.Spec
	src    failover.Source
	wish   failover.Wish
	req    []byte // encoded
	first  *failover.Stream
	done   bool // Recv's own

	mu     sync.Mutex // guards what Close looks at
	tries  []*failover.Stream
	closed bool
}

// Send makes the call on the first worker and keeps the request for the
// second.
func (h *hedgedStream) Send(msg any) (err error) {
	if h.req, err = failover.Encode(h.spec, msg); err != nil {
		return err
	}
	if h.wish.Key == "" && h.spec.Route != nil {
		h.wish.Key = h.spec.Route(msg)
	}
	h.first = h.try(h.wish)
	return h.first.Send(h.req)
}

// try returns a new try, which Close gives up.
func (h *hedgedStream) try(wish failover.Wish) *failover.Stream {
	s := failover.NewStream(h.ctx, h.src, h.spec, wish, true).Encoded()
	h.mu.Lock()
	h.tries = append(h.tries, s)
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

var errNoRequest = rpcnet.NewError(rpcnet.CodeInternal, "a unary call needs a request")

// Close gives both tries up.
func (h *hedgedStream) Close() error {
	h.mu.Lock()
	tries := h.tries
	h.closed = true
	h.mu.Unlock()
	for _, s := range tries {
		s.Close()
	}
	return nil
}

// An answer is what one try has brought.
type answer struct {
	try   *failover.Stream
	value reflect.Value // of a new variable like the one Recv was given
	err   error
}

// Recv returns the first answer, or the error of the first try.
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
	answers := make(chan answer, 2)
	receive := func(s *failover.Stream) {
		v := reflect.New(into.Type().Elem())
		err := s.Recv(v.Interface())
		answers <- answer{s, v, err}
	}
	go receive(h.first)
	tries := 1
	timer := time.NewTimer(h.client.cfg.HedgeAfter)
	defer timer.Stop()
	var failure error // of the first try
	for {
		select {
		case <-timer.C:
			if second := h.hedge(); second != nil {
				tries++
				go func() {
					second.Send(h.req) // which may have to connect; Recv has the outcome
					second.CloseSend()
					receive(second)
				}()
			}
		case a := <-answers:
			tries--
			if a.err != nil && a.try == h.first {
				failure = a.err
			}
			if a.err != nil && tries > 0 {
				continue // the other may still answer
			}
			h.Close()
			for ; tries > 0; tries-- {
				<-answers // it ends because it is closed
			}
			if a.err != nil {
				return failure
			}
			into.Elem().Set(a.value.Elem())
			return nil
		}
	}
}

// hedge returns a try for another worker than that of the first, nil if there
// may be none.
func (h *hedgedStream) hedge() *failover.Stream {
	l := h.first.Leg()
	if l == nil || !h.client.mayHedge() {
		return nil
	}
	wish := h.wish
	wish.Exclude = []string{l.Worker()}
	return h.try(wish)
}

// mayHedge takes a hedge: one for every 20 calls, 5 saved up at most.
func (c *Client) mayHedge() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hedges < 1 {
		return false
	}
	c.hedges--
	return true
}
