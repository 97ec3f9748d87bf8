package cluster

import (
	"io"
	"reflect"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// A hedgedStream is an idempotent unary call that is made a second time, on
// another worker, when the first has not answered for a while. The first
// answer wins and the other try is given up.
type hedgedStream struct {
	first  *clientStream
	second *clientStream
	req    []byte // encoded
	key    string
	done   bool
}

// Send sends the request on the first worker and remembers it for the second.
func (h *hedgedStream) Send(msg any) error {
	b, err := encode(h.first.spec, msg)
	if err != nil {
		return err
	}
	h.req = b
	err = h.first.Send(msg)
	h.key = h.first.wish.Key
	return err
}

// CloseSend ends the requests.
func (h *hedgedStream) CloseSend() error { return h.first.CloseSend() }

// Close gives both tries up.
func (h *hedgedStream) Close() error {
	h.first.Close()
	if h.second != nil {
		h.second.Close()
	}
	return nil
}

// An answer is what one try has brought.
type answer struct {
	from  *clientStream
	value reflect.Value // of a new variable like the one Recv was given
	err   error
}

// Recv returns the first answer, or the last error.
func (h *hedgedStream) Recv(msg any) error {
	if h.done {
		return io.EOF
	}
	h.done = true
	into := reflect.ValueOf(msg)
	if into.Kind() != reflect.Pointer || into.IsNil() {
		return rpcnet.Errorf(rpcnet.CodeInternal, "%s: Recv into %T, want a pointer", h.first.spec.Procedure, msg)
	}
	answers := make(chan answer, 2)
	receive := func(s *clientStream) {
		v := reflect.New(into.Type().Elem())
		err := s.Recv(v.Interface())
		answers <- answer{s, v, err}
	}
	go receive(h.first)
	tries := 1
	timer := time.NewTimer(h.first.client.cfg.HedgeAfter)
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
func (h *hedgedStream) hedge() *clientStream {
	c := h.first.client
	h.first.mu.Lock()
	l := h.first.leg
	h.first.mu.Unlock()
	if l == nil || !c.mayHedge() {
		return nil
	}
	// The request is encoded already.
	s := c.newStream(h.first.ctx, encoded(h.first.spec))
	s.wish.Key, s.wish.Exclude = h.key, []uint64{l.worker.load.ID}
	h.second = s
	if s.Send(h.req) != nil || s.CloseSend() != nil {
		s.Close()
		return nil
	}
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
