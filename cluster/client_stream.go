package cluster

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/balance"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// Requests kept so that a call can be made again, in bytes. A call with one
// request keeps it whatever its size; one with many keeps less than any
// window, so that sending them again never waits for a peer that waits for us.
const keepMost = 128 << 10

// A clientStream is one call over the workers of a registry. It is open on one
// worker at a time; until the first response it keeps the requests, encoded, so
// that it can be opened again on another.
//
// sendMu is held by whoever sends: the caller, or Recv while it opens the call
// again. mu guards the fields that both sides and Close look at, and is never
// held while something blocks.
type clientStream struct {
	client     *Client
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	spec       *rpcnet.Spec
	choice     callChoice
	idempotent bool
	selector   string
	opened     chan struct{} // closed when the call is open, or has failed

	sendMu     sync.Mutex
	begun      bool     // opened is closed
	kept       [][]byte // requests so far
	keptSize   int
	sendClosed bool
	wish       load.Wish
	queueOK    bool // all workers are full: wait
	full       []uint64
	attempt    int // tries so far
	processed  int // of those, tries that a handler may have seen

	mu       sync.Mutex
	current  rpcnet.ClientStream
	leg      *leg
	keeping  bool // the call can be opened again
	answered bool // there was a response
	closed   bool
	final    error // what Recv returned last
}

func (c *Client) newStream(ctx context.Context, spec *rpcnet.Spec) *clientStream {
	s := &clientStream{client: c, spec: spec, choice: choiceOf(ctx), opened: make(chan struct{}), keeping: true}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.idempotent = s.choice.idempotent || spec.Idempotency != rpcnet.MayHaveSideEffects
	s.selector = c.joined(s.choice.selector)
	s.wish.Key = s.choice.key
	if s.choice.hint != "" {
		s.wish.Hint = balance.ID(s.choice.hint)
	}
	if spec.Shape != rpcnet.Unary {
		context.AfterFunc(s.ctx, s.release) // whoever forgets Close is not counted for ever
	}
	return s
}

// encoded returns the description of the same procedure for requests that are
// encoded already.
func encoded(spec *rpcnet.Spec) *rpcnet.Spec {
	if spec.Request.Append == nil {
		return spec // raw
	}
	raw := *spec
	raw.Request.Append = func(dst []byte, msg any) ([]byte, error) { return append(dst, msg.([]byte)...), nil }
	return &raw
}

func encode(spec *rpcnet.Spec, msg any) ([]byte, error) {
	if spec.Request.Append != nil {
		return spec.Request.Append(nil, msg)
	}
	switch b := msg.(type) {
	case []byte:
		return slices.Clone(b), nil
	case *[]byte:
		return slices.Clone(*b), nil
	}
	return nil, rpcnet.Errorf(rpcnet.CodeInternal, "%s takes bytes, got %T", spec.Procedure, msg)
}

// Send keeps the request and sends it.
func (s *clientStream) Send(msg any) error {
	b, err := encode(s.spec, msg)
	if err != nil {
		return err
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if !s.begun && s.wish.Key == "" && s.spec.Route != nil {
		s.wish.Key = s.spec.Route(msg)
	}
	return s.push(func() {
		s.kept = append(s.kept, b)
		s.keptSize += len(b)
		if s.keptSize > keepMost && s.spec.Shape&rpcnet.Upload != 0 {
			s.commit()
		}
	}, func(cur rpcnet.ClientStream) error { return cur.Send(b) })
}

// CloseSend ends the requests.
func (s *clientStream) CloseSend() error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.sendClosed {
		return nil
	}
	return s.push(func() { s.sendClosed = true }, rpcnet.ClientStream.CloseSend)
}

// push keeps something to send, then sends it: by opening the call if it is
// the first. A failure is Recv's to handle as long as the call can be opened
// again. The caller holds sendMu.
func (s *clientStream) push(keep func(), send func(rpcnet.ClientStream) error) error {
	if !s.begun {
		defer func() { s.begun = true; close(s.opened) }()
		keep()
		return s.open(nil)
	}
	s.mu.Lock()
	cur, keeping, final := s.current, s.keeping, s.final
	s.mu.Unlock()
	if final != nil || cur == nil {
		return io.EOF
	}
	if keeping {
		keep()
	} else if s.sendClosed {
		return io.EOF
	}
	err := send(cur)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeping {
		return nil
	}
	s.kept = nil
	return err
}

// commit gives up the possibility to open the call again.
func (s *clientStream) commit() {
	s.mu.Lock()
	s.keeping = false
	s.mu.Unlock()
}

// open opens the call on a worker and sends what was kept, on one worker after
// the other until it succeeds. last is why it must be opened again. The caller
// holds sendMu.
func (s *clientStream) open(last error) error {
	spec := encoded(s.spec)
	for {
		l, t, err := s.client.begin(s.selector, &s.wish)
		if err != nil && len(s.full) > 0 && errors.Is(err, ErrNoWorker) {
			// All that are left were full: wait in a queue.
			s.wish.Exclude = slices.DeleteFunc(s.wish.Exclude, func(id uint64) bool { return slices.Contains(s.full, id) })
			s.full, s.queueOK = nil, true
			continue
		}
		if err != nil {
			if last != nil && errors.Is(err, ErrNoWorker) {
				err = last
			}
			return s.fail(err)
		}
		t.QueueOK = t.QueueOK || s.queueOK
		cur, err := s.openOn(l, t, spec)
		if err == nil {
			return nil
		}
		l.end(err, s.spec.Shape == rpcnet.Unary)
		if cur != nil {
			cur.Close()
		}
		if !s.again(err, l) {
			return s.fail(err)
		}
		last = err
	}
}

// openOn opens the call on the worker of l.
func (s *clientStream) openOn(l *leg, t load.Ticket, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	conn, err := s.client.conns.get(s.ctx, l.member)
	if err != nil {
		return nil, err
	}
	var ticket [load.MaxTicketSize]byte
	// A client's options keep the caller's own record of the call.
	via := rpcnet.NewClient(conn, rpcnet.WithHeader(ticketHeader, string(t.Append(ticket[:0]))), rpcnet.WithAttempt(s.attempt))
	s.attempt++
	cur, err := via.NewStream(s.ctx, spec)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		cur.Close()
		return nil, errStreamClosed
	}
	s.current, s.leg = cur, l
	s.mu.Unlock()
	// io.EOF says that the call has ended already: Recv has the reason.
	for _, b := range s.kept {
		if err := cur.Send(b); err == io.EOF {
			return cur, nil
		} else if err != nil {
			return cur, err
		}
	}
	if s.sendClosed {
		if err := cur.CloseSend(); err != nil && err != io.EOF {
			return cur, err
		}
	}
	return cur, nil
}

var errStreamClosed = rpcnet.NewError(rpcnet.CodeCanceled, "the stream is closed")

// again reports whether the call may be made on another worker after err, and
// takes what that costs. The caller holds sendMu.
func (s *clientStream) again(err error, l *leg) bool {
	s.mu.Lock()
	possible := s.keeping && !s.answered && !s.closed
	s.mu.Unlock()
	var e *rpcnet.Error
	if !possible || s.ctx.Err() != nil || !errors.As(err, &e) || s.attempt >= 255 {
		return false
	}
	id := l.worker.load.ID
	_, moved := MovedAt(err)
	switch {
	case e.Unprocessed() || moved:
		if e.Remote() && e.Code() == rpcnet.CodeResourceExhausted {
			if s.queueOK {
				return false // it was told to wait, and even the queue is full
			}
			s.full = append(s.full, id)
		}
	case s.idempotent && e.Code() == rpcnet.CodeUnavailable:
		if s.processed++; s.processed >= s.client.cfg.MaxAttempts || !s.client.take() {
			return false
		}
	default:
		return false
	}
	s.wish.Exclude = append(s.wish.Exclude, id)
	if s.wish.Hint == id {
		s.wish.Hint = 0
	}
	return true
}

func (c *Client) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.budget.Take()
}

// fail makes err the outcome of the call.
func (s *clientStream) fail(err error) error {
	s.mu.Lock()
	if s.final == nil {
		s.final = err
	}
	s.mu.Unlock()
	return err
}

// Recv receives the next response, from another worker if the call must be
// made again.
func (s *clientStream) Recv(msg any) error {
	select {
	case <-s.opened:
	case <-s.ctx.Done():
		return rpcnet.NewError(rpcnet.CodeOf(s.ctx.Err()), s.ctx.Err().Error()).WithCause(s.ctx.Err())
	}
	for {
		s.mu.Lock()
		cur, l, final := s.current, s.leg, s.final
		s.mu.Unlock()
		if final != nil {
			return final
		}
		err := cur.Recv(msg)
		if err == nil {
			s.accept(l)
			return nil
		}
		if err == io.EOF {
			s.accept(l)
			l.end(nil, s.spec.Shape == rpcnet.Unary)
			return s.finish(err)
		}
		l.end(err, s.spec.Shape == rpcnet.Unary)
		cur.Close()
		s.sendMu.Lock()
		if !s.again(err, l) {
			s.sendMu.Unlock()
			return s.finish(err)
		}
		err = s.open(err)
		s.sendMu.Unlock()
		if err != nil {
			return s.finish(err)
		}
	}
}

// accept notes a response: from here the call stays where it is.
func (s *clientStream) accept(l *leg) {
	s.mu.Lock()
	first := !s.answered
	s.answered, s.keeping = true, false
	s.mu.Unlock()
	if !first {
		return
	}
	s.client.mu.Lock()
	s.client.budget.Success()
	s.client.hedges = min(s.client.hedges+0.05, 5)
	s.client.mu.Unlock()
	if s.choice.served != nil {
		s.choice.served(l.member)
	}
}

// finish makes err the last result of Recv and lets go of everything.
func (s *clientStream) finish(err error) error {
	s.fail(err)
	s.cancel()
	return err
}

// Close gives the call up if it has not ended.
func (s *clientStream) Close() error {
	s.cancel()
	s.release()
	return nil
}

// release ends what the call holds on its worker.
func (s *clientStream) release() {
	s.mu.Lock()
	s.closed = true
	cur, l := s.current, s.leg
	s.mu.Unlock()
	if cur != nil {
		cur.Close()
	}
	if l != nil {
		l.end(errStreamClosed, false) // counts no more; says nothing of the worker
	}
}
