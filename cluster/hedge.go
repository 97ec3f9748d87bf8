package cluster

import (
	"context"
	"io"
	"reflect"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/routed"
)

// hedgeShare is how many hedges a call that succeeds is worth.
const hedgeShare = 0.05

// A hedgedStream is an idempotent unary call that is made a second time, on
// another worker, when the first has not answered for a while. The first
// answer wins and the other try is given up.
type hedgedStream struct {
	client *Client
	ctx    context.Context
	spec   *rpcnet.Spec
	src    routed.Source
	wish   routed.Wish

	first, second *routed.Stream
	req           []byte // encoded
	done          bool
}

// Send makes the call on the first worker and keeps the request for the
// second.
func (h *hedgedStream) Send(msg any) (err error) {
	if h.req, err = routed.Encode(h.spec, msg); err != nil {
		return err
	}
	if h.wish.Key == "" && h.spec.Route != nil {
		h.wish.Key = h.spec.Route(msg)
	}
	h.first = routed.NewStream(h.ctx, h.src, h.spec, h.wish, true).Encoded()
	return h.first.Send(h.req)
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
	for _, s := range [...]*routed.Stream{h.first, h.second} {
		if s != nil {
			s.Close()
		}
	}
	return nil
}

// An answer is what one try has brought.
type answer struct {
	value reflect.Value // of a new variable like the one Recv was given
	err   error
}

// Recv returns the first answer, or the last error.
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
	receive := func(s *routed.Stream) {
		v := reflect.New(into.Type().Elem())
		err := s.Recv(v.Interface())
		answers <- answer{v, err}
	}
	go receive(h.first)
	tries := 1
	timer := time.NewTimer(h.client.cfg.HedgeAfter)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if second := h.hedge(); second != nil {
				tries++
				go receive(second)
			}
		case a := <-answers:
			tries--
			if a.err != nil && tries > 0 {
				continue // the other may still answer
			}
			if a.err == nil {
				into.Elem().Set(a.value.Elem())
			}
			h.Close()
			for ; tries > 0; tries-- {
				<-answers // it ends because it is closed
			}
			return a.err
		}
	}
}

// hedge makes the call on another worker, nil if it may not or cannot.
func (h *hedgedStream) hedge() *routed.Stream {
	l := h.first.Leg()
	if l == nil || !h.client.mayHedge() {
		return nil
	}
	wish := h.wish
	wish.Exclude = []string{l.Worker()}
	s := routed.NewStream(h.ctx, h.src, h.spec, wish, true).Encoded()
	if s.Send(h.req) != nil || s.CloseSend() != nil {
		s.Close()
		return nil
	}
	h.second = s
	return s
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
