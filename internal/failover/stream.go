package failover

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/rpcnet-go/rpcnet"
)

// keepMost is how many bytes of requests a call with many of them keeps so that
// it can be made again: less than any window, so that sending them again never
// waits for a peer that waits for us. A call with one request keeps it whatever
// its size.
const keepMost = 128 << 10

// A Stream is one call over the workers of a source. It is open on one worker
// at a time; until the first response it keeps the requests, encoded, so that
// it can be opened again on another.
//
// sendMu is held by whoever sends: the caller, or Recv while it opens the call
// again. mu guards the fields that both sides and Close look at, and is never
// held while something blocks.
type Stream struct {
	source     Source
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	spec       *rpcnet.Spec
	raw        *rpcnet.Spec // takes encoded requests
	idempotent bool
	opened     chan struct{} // closed when the call is open, or has failed

	sendMu     sync.Mutex
	begun      bool     // opened is closed
	kept       [][]byte // requests so far
	keptSize   int
	sendClosed bool
	wish       Wish
	full       []string // workers excluded because they were full, or slow to connect or answer
	attempt    int      // tries so far
	processed  int      // of those, tries that a handler may have seen

	mu       sync.Mutex
	current  rpcnet.ClientStream
	leg      Leg
	keeping  bool // the call can be opened again
	answered bool // there was a response
	closed   bool
	final    error               // what Recv returned last
	waiting  bool                // the source's Watch looks after the try
	givenUp  rpcnet.ClientStream // the try whose worker was silent

	place watched // the Watch's
}

// NewStream starts a call; a worker is chosen when the first request is sent.
// idempotent says that it may be made twice whatever the procedure says.
func NewStream(ctx context.Context, src Source, spec *rpcnet.Spec, wish Wish, idempotent bool) *Stream {
	s := &Stream{source: src, spec: spec, raw: encoded(spec), wish: wish, opened: make(chan struct{}), keeping: true}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.idempotent = idempotent || spec.Idempotency != rpcnet.MayHaveSideEffects
	if spec.Shape != rpcnet.Unary {
		context.AfterFunc(s.ctx, s.release) // whoever forgets Close is not counted for ever
	}
	return s
}

// Encoded makes a stream take requests that are encoded already.
func (s *Stream) Encoded() *Stream {
	s.spec = s.raw
	return s
}

// Send keeps the request and sends it.
func (s *Stream) Send(msg any) error {
	b, err := Encode(s.spec, msg)
	if err != nil {
		return err
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if !s.begun && s.wish.Key == "" && s.spec.Route != nil {
		s.wish.Key = s.spec.Route(msg)
	}
	err = s.push(func() {
		s.kept = append(s.kept, b)
		s.keptSize += len(b)
		if s.keptSize > keepMost && s.spec.Shape&rpcnet.Upload != 0 {
			s.mu.Lock()
			s.keeping = false
			s.mu.Unlock()
		}
	}, func(cur rpcnet.ClientStream) error { return cur.Send(b) })
	if n := len(s.kept); n > 0 && unsendable(err) {
		s.keptSize -= len(s.kept[n-1])
		s.kept = s.kept[:n-1]
	}
	return err
}

// CloseSend ends the requests.
func (s *Stream) CloseSend() error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.sendClosed {
		return nil
	}
	return s.push(func() { s.sendClosed = true }, rpcnet.ClientStream.CloseSend)
}

// push keeps something to send, then sends it: by opening the call if it is
// the first. A failure of the try is Recv's to handle as long as the call can be
// opened again. The caller holds sendMu.
func (s *Stream) push(keep func(), send func(rpcnet.ClientStream) error) error {
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
	} else {
		s.kept = nil
	}
	err := send(cur)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeping && s.ctx.Err() == nil && !unsendable(err) {
		return nil
	}
	return err
}

// open opens the call on a worker and sends what was kept, on one worker after
// the other until it succeeds. last is why it must be opened again. The caller
// holds sendMu.
func (s *Stream) open(last error) error {
	for {
		l, err := s.source.Next(s.ctx, &s.wish)
		if err != nil && len(s.full) > 0 && errors.Is(err, ErrNoWorker) {
			// All that are left were full, or slow to connect or answer: wait.
			s.wish.Exclude = slices.DeleteFunc(s.wish.Exclude, func(name string) bool { return slices.Contains(s.full, name) })
			s.full, s.wish.Patient = nil, true
			continue
		}
		if err != nil {
			if last != nil && errors.Is(err, ErrNoWorker) {
				err = last
			}
			return s.fail(err)
		}
		cur, err := s.openOn(l)
		if err == nil {
			return nil
		}
		l.End(err, s.spec.Shape == rpcnet.Unary)
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
func (s *Stream) openOn(l Leg) (rpcnet.ClientStream, error) {
	cur, err := l.Open(s.ctx, s.raw, s.attempt)
	s.attempt++
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return cur, errClosed
	}
	s.current, s.leg = cur, l
	// A try that waits because all others were worse is left alone.
	s.waiting = s.spec.Shape == rpcnet.Unary && s.idempotent && !s.wish.Patient && s.processed+1 < s.source.MaxAttempts()
	if s.waiting {
		s.source.Watch().add(s, false)
	}
	s.mu.Unlock()
	err = sendAll(cur, s.kept, s.sendClosed)
	if err != nil && s.wasGivenUp(cur) {
		err = errSilent
	}
	return cur, err
}

// sendAll sends requests that were kept. That the call has ended meanwhile is
// no error here: Recv has the reason.
func sendAll(cur rpcnet.ClientStream, kept [][]byte, closed bool) error {
	for _, b := range kept {
		if err := cur.Send(b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	if closed {
		if err := cur.CloseSend(); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// again reports whether the call may be made on another worker after err, and
// takes what that costs. The caller holds sendMu.
func (s *Stream) again(err error, l Leg) bool {
	s.mu.Lock()
	possible := s.keeping && !s.answered && !s.closed
	s.mu.Unlock()
	var e *rpcnet.Error
	if !possible || s.ctx.Err() != nil || !errors.As(err, &e) || s.attempt >= 255 {
		return false
	}
	_, moved := MovedAt(err)
	switch {
	case e.Unprocessed() || moved:
		if e.Remote() && e.Code() == rpcnet.CodeResourceExhausted || errors.Is(err, errSlow) {
			s.later(l)
		}
	case errors.Is(err, ErrStalled):
		s.processed++ // the Watch has paid
		s.later(l)
	case s.idempotent && s.source.Retryable(err):
		if s.processed++; s.processed >= s.source.MaxAttempts() || !s.source.Retry() {
			return false
		}
	default:
		return false
	}
	s.wish.exclude(l.Worker())
	return true
}

// later makes the call come back to a worker when no other is left, once: one
// that had no room then may have it in its queue.
func (s *Stream) later(l Leg) {
	if !s.wish.Patient {
		s.full = append(s.full, l.Worker())
	}
}

// fail makes err the outcome of the call.
func (s *Stream) fail(err error) error {
	s.mu.Lock()
	if s.final == nil {
		s.final = err
	}
	s.mu.Unlock()
	return err
}

// Recv receives the next response, from another worker if the call must be
// made again.
func (s *Stream) Recv(msg any) error {
	select {
	case <-s.opened:
	case <-s.ctx.Done():
		return contextError(s.ctx)
	}
	unary := s.spec.Shape == rpcnet.Unary
	for {
		s.mu.Lock()
		cur, l, final := s.current, s.leg, s.final
		s.mu.Unlock()
		if final != nil {
			return final
		}
		err := s.receive(cur, msg)
		if err == nil {
			s.accept(l)
			return nil
		}
		if err == io.EOF {
			s.accept(l)
			l.End(nil, unary)
			return s.finish(err)
		}
		l.End(err, unary)
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

// receive receives from a try, which the Watch may give up meanwhile.
func (s *Stream) receive(cur rpcnet.ClientStream, msg any) error {
	err := cur.Recv(msg)
	s.unwatch()
	if err == nil || !s.wasGivenUp(cur) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answered {
		return io.EOF // the response came just before
	}
	return errSilent
}

// wasGivenUp reports whether the Watch has ended a try.
func (s *Stream) wasGivenUp(cur rpcnet.ClientStream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.givenUp == cur && s.ctx.Err() == nil
}

// unwatch ends the Watch's look after the try.
func (s *Stream) unwatch() {
	s.mu.Lock()
	watched := s.waiting
	s.waiting = false
	s.mu.Unlock()
	if watched {
		s.source.Watch().remove(s)
	}
}

// accept notes a response: from here the call stays where it is.
func (s *Stream) accept(l Leg) {
	s.mu.Lock()
	first := !s.answered
	s.answered, s.keeping = true, false
	s.mu.Unlock()
	if first {
		s.source.Answered(l)
	}
}

// finish makes err the last result of Recv and lets go of everything.
func (s *Stream) finish(err error) error {
	s.fail(err)
	s.cancel()
	return err
}

// Leg returns the try that is under way, nil before the first.
func (s *Stream) Leg() Leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leg
}

// Close gives the call up if it has not ended.
func (s *Stream) Close() error {
	s.cancel()
	s.release()
	return nil
}

// release ends what the call holds on its worker.
func (s *Stream) release() {
	s.unwatch()
	s.mu.Lock()
	s.closed = true
	cur, l := s.current, s.leg
	s.mu.Unlock()
	if cur != nil {
		cur.Close()
	}
	if l != nil {
		l.End(errClosed, false) // counts no more; says nothing of the worker
	}
}
