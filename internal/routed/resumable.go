package routed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/wire"
)

// resumeKeep is how many bytes of requests, after the first, a resumable stream
// keeps until its worker has acknowledged them. Above it the stream goes on
// but cannot be resumed any more.
const resumeKeep = 1 << 20

// ErrStalled is the cause when a worker was silent for too long.
var ErrStalled = errors.New("the worker is silent")

// ErrGap is the cause when a message of the sequence is missing.
var ErrGap = errors.New("a message of the stream is missing")

// An Acknowledger is a response that says how many requests of its stream,
// from the first, its worker has dealt with for good once the response is
// accepted: those are not sent again when the stream is resumed.
type Acknowledger interface{ AcknowledgedRequests() uint64 }

// A Resumable is a stream whose responses carry a sequence. When its worker
// fails, stalls or hands it over, Recv opens it on another one, which goes on
// with the next sequence; the caller sees every message once, in order.
//
// The locks are as in [Stream]. The cursor and the stall clock belong to Recv.
type Resumable struct {
	source Source
	ctx    context.Context
	cancel context.CancelFunc
	spec   *rpcnet.Spec
	raw    *rpcnet.Spec
	opened chan struct{}
	origin time.Time

	// Recv's own.
	cursor failover.Cursor
	stall  failover.Stall
	pauses int // in a row, while nobody could be chosen

	sendMu     sync.Mutex
	begun      bool
	first      any    // the first request, to be asked again from a later sequence
	head       []byte // its encoding
	sendClosed bool
	wish       Wish
	excluded   map[string]grudge // by name of the worker

	mu       sync.Mutex
	kept     [][]byte // requests after the first, not acknowledged
	keptSize int
	dropped  uint64 // requests after the first that are acknowledged
	tooMany  bool   // kept was over the limit and is gone
	current  rpcnet.ClientStream
	leg      Leg
	record   *rpcnet.Call // of the try; nil if the caller keeps one itself
	answered bool
	closed   bool
	final    error

	watch   *time.Timer   // runs watchdog while Recv waits
	waiting atomic.Uint64 // number of the wait, 0: none
	stalled atomic.Uint64 // the wait that was given up
	waits   uint64        // Recv's own
}

// NewResumable starts a resumable stream; a worker is chosen when the first
// request is sent.
func NewResumable(ctx context.Context, src Source, spec *rpcnet.Spec, wish Wish) *Resumable {
	s := &Resumable{source: src, spec: spec, raw: encoded(spec), wish: wish, opened: make(chan struct{}), origin: time.Now(),
		excluded: map[string]grudge{}}
	s.wish.Standby = true
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.watch = time.AfterFunc(time.Hour, s.watchdog)
	s.watch.Stop()
	context.AfterFunc(s.ctx, s.release)
	return s
}

// CanResume reports whether a procedure's streams can be resumed.
func CanResume(spec *rpcnet.Spec) bool { return spec.Resume != nil && spec.Shape&rpcnet.Feed != 0 }

func (s *Resumable) now() time.Duration { return time.Since(s.origin) }

// Send sends a request and keeps it.
func (s *Resumable) Send(msg any) error {
	b, err := Encode(s.spec, msg)
	if err != nil {
		return err
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if !s.begun {
		if s.wish.Key == "" && s.spec.Route != nil {
			s.wish.Key = s.spec.Route(msg)
		}
		s.first, s.head = s.copyOf(msg, b), b
		return s.begin()
	}
	cur, err := s.sending(b)
	if err != nil {
		return err
	}
	return s.sent(cur.Send(b))
}

// CloseSend ends the requests.
func (s *Resumable) CloseSend() error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.sendClosed {
		return nil
	}
	s.sendClosed = true
	if !s.begun {
		return s.begin()
	}
	cur, err := s.sending(nil)
	if err != nil {
		return err
	}
	return s.sent(cur.CloseSend())
}

// sending keeps a request and returns the stream to send it on.
func (s *Resumable) sending(b []byte) (rpcnet.ClientStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.final != nil || s.current == nil {
		return nil, io.EOF
	}
	if b != nil && !s.tooMany {
		s.kept = append(s.kept, b)
		if s.keptSize += len(b); s.keptSize > resumeKeep {
			s.kept, s.tooMany = nil, true
		}
	}
	return s.current, nil
}

// sent hides that the call has ended: Recv opens it again, with what was kept.
func (s *Resumable) sent(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// copyOf returns the first request in a form that its sender cannot change.
func (s *Resumable) copyOf(msg any, b []byte) any {
	if s.spec.Request.Decode == nil {
		return b
	}
	if t := reflect.TypeOf(msg); t.Kind() == reflect.Pointer {
		c := reflect.New(t.Elem()).Interface()
		var d wire.Decoder
		d.Reset(b, wire.Limits{})
		s.spec.Request.Decode(&d, c)
		if d.Finish() == nil {
			return c
		}
	}
	return s.spec.Resume.From(msg, 1)
}

// begin opens the stream for the first time. The caller holds sendMu.
func (s *Resumable) begin() error {
	defer func() { s.begun = true; close(s.opened) }()
	return s.open(nil)
}

// open opens the stream on a worker, the next one if that fails, and waits for
// one while nobody is there. last is why. The caller holds sendMu.
func (s *Resumable) open(last error) error {
	var waited time.Duration
	for {
		if s.ctx.Err() != nil {
			return s.fail(contextError(s.ctx))
		}
		s.grudges()
		l, err := s.source.Next(s.ctx, &s.wish)
		if err != nil {
			if errors.Is(err, ErrNoWorker) && s.forgive() {
				continue
			}
			if !errors.Is(err, ErrNoWorker) || waited >= s.source.Patience() {
				if last != nil {
					err = rpcnet.Errorf(rpcnet.CodeUnavailable, "cannot resume at %d: %v, after %v", s.cursor.Next(), err, last).
						WithCause(errors.Join(err, last))
				}
				return s.fail(err)
			}
			clear(s.excluded) // better one of those than nobody
			s.wish.Patient = true
			s.pauses++
			pause := failover.Backoff(s.pauses+1, rand.New(pauseSource{}))
			s.source.Tell(s.ctx, Event{Kind: Waiting, Err: err, Next: s.cursor.Next(), Pause: pause})
			waited += pause
			if err := s.pause(pause); err != nil {
				return s.fail(err)
			}
			continue
		}
		s.pauses = 0
		cur, err := s.openOn(l)
		if err == nil {
			s.wish.Patient = false
			if s.cursor.Attempt() > 0 {
				s.source.Tell(s.ctx, Event{Kind: Resumed, Worker: l.Worker(), Next: s.cursor.Next()})
			}
			return nil
		}
		l.End(err, false)
		if cur != nil {
			cur.Close()
		}
		if ferr := s.next(err, l); ferr != nil {
			return s.fail(ferr)
		}
		last = err
	}
}

// pauseSource is the global source of randomness.
type pauseSource struct{}

func (pauseSource) Uint64() uint64 { return rand.Uint64() }

func (s *Resumable) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return contextError(s.ctx)
	}
}

// openOn opens the stream on the worker of l and asks for what comes next.
func (s *Resumable) openOn(l Leg) (rpcnet.ClientStream, error) {
	head := s.head
	if next := s.cursor.Next(); next > 1 && s.first != nil {
		var err error
		if head, err = Encode(s.spec, s.spec.Resume.From(s.first, next)); err != nil {
			return nil, err
		}
	}
	ctx, record := recorded(s.ctx)
	cur, err := l.Open(ctx, s.raw, min(s.cursor.Attempt(), 255))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return cur, errClosed
	}
	var requests [][]byte
	if head != nil {
		requests = append(requests, head)
	}
	requests = append(requests, s.kept...)
	small := s.keptSize <= keepMost
	var sent chan struct{}
	if !small {
		sent = make(chan struct{})
		cur = &replaying{cur, sent}
	}
	s.current, s.leg, s.record = cur, l, record
	s.mu.Unlock()
	s.stall.Start(s.now())
	if small {
		return cur, sendAll(cur, requests, s.sendClosed)
	}
	// More than a window may hold: the worker may want to be read meanwhile.
	// The goroutine ends with the call; whoever sends next waits for it.
	under, closed := cur.(*replaying).ClientStream, s.sendClosed
	go func() {
		defer close(sent)
		sendAll(under, requests, closed)
	}()
	return cur, nil
}

// A replaying stream sends nothing new before the old requests are sent.
type replaying struct {
	rpcnet.ClientStream
	sent chan struct{}
}

func (r *replaying) Send(msg any) error { <-r.sent; return r.ClientStream.Send(msg) }
func (r *replaying) CloseSend() error   { <-r.sent; return r.ClientStream.CloseSend() }

// next decides whether the stream may be opened again after err, and prepares
// it. The caller holds sendMu.
func (s *Resumable) next(err error, l Leg) error {
	s.mu.Lock()
	tooMany := s.tooMany
	s.mu.Unlock()
	var e *rpcnet.Error
	_, moved := MovedAt(err)
	elsewhere := errors.As(err, &e) && e.Remote() && e.Unprocessed()
	switch {
	case s.ctx.Err() != nil:
		return err
	case tooMany:
		return rpcnet.Errorf(rpcnet.CodeUnavailable, "cannot resume: more than %d bytes of requests were not acknowledged: %v", resumeKeep, err).WithCause(err)
	case moved, e != nil && e.Unprocessed():
		s.cursor.Move() // no handler has seen this try: it counts for nothing
	case errors.Is(err, ErrStalled), errors.Is(err, ErrGap), s.source.Retryable(err):
		if _, rerr := s.cursor.Resume(); rerr != nil {
			return rpcnet.Errorf(rpcnet.CodeOf(err), "%v: %v", rerr, err).WithCause(errors.Join(rerr, err))
		}
	default:
		return err
	}
	s.wish.Hint = ""
	s.resent(l.Worker(), elsewhere)
	if moved {
		s.source.Tell(s.ctx, Event{Kind: Moved, Worker: l.Worker(), Err: err, Next: s.cursor.Next()})
	} else {
		s.source.Tell(s.ctx, Event{Kind: Failed, Worker: l.Worker(), Err: err, Next: s.cursor.Next()})
	}
	return nil
}

func (s *Resumable) fail(err error) error {
	s.mu.Lock()
	if s.final == nil {
		s.final = err
	}
	s.mu.Unlock()
	return err
}

// Recv receives the next message, from whatever worker has it.
func (s *Resumable) Recv(msg any) error {
	select {
	case <-s.opened:
	case <-s.ctx.Done():
		return contextError(s.ctx)
	}
	for {
		s.mu.Lock()
		cur, l, final := s.current, s.leg, s.final
		s.mu.Unlock()
		if final != nil {
			return final
		}
		err := s.receive(cur, msg)
		switch {
		case err == nil:
			s.answer(l)
			s.stall.Message(s.now())
			switch s.cursor.Message(s.cursor.Attempt(), s.spec.Resume.Sequence(msg)) {
			case failover.Accept:
				s.acknowledged(msg)
				return nil
			case failover.Drop:
				continue
			}
			err = fmt.Errorf("%w: %d in place of %d", ErrGap, s.spec.Resume.Sequence(msg), s.cursor.Next())
		case err == io.EOF:
			last := s.lastSent()
			if s.cursor.End(s.cursor.Attempt(), last) == failover.Accept {
				s.answer(l)
				l.End(nil, false)
				return s.finish(io.EOF)
			}
			err = fmt.Errorf("%w: the end at %d, the last was %d", ErrGap, s.cursor.Last(), last)
		}
		l.End(err, false)
		cur.Close()
		s.sendMu.Lock()
		nerr := s.next(err, l)
		if nerr == nil {
			nerr = s.open(err)
		}
		s.sendMu.Unlock()
		if nerr != nil {
			return s.finish(nerr)
		}
	}
}

// lastSent returns the last sequence that the worker says it has sent, 0 if it
// does not say.
func (s *Resumable) lastSent() uint64 {
	s.mu.Lock()
	record := s.record
	s.mu.Unlock()
	if record == nil {
		return 0
	}
	n, err := strconv.ParseUint(record.Trailer().Get(LastTrailer), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// acknowledged forgets the requests that the worker has dealt with.
func (s *Resumable) acknowledged(msg any) {
	a, ok := msg.(Acknowledger)
	if !ok {
		if v := reflect.ValueOf(msg); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Interface && !v.Elem().IsNil() {
			a, ok = v.Elem().Interface().(Acknowledger) // a variant of a union
		}
		if !ok {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// The first request is kept for ever: it is what a resumed stream asks with.
	for n := a.AcknowledgedRequests(); s.dropped+1 < n && len(s.kept) > 0; s.dropped++ {
		s.keptSize -= len(s.kept[0])
		s.kept = s.kept[1:]
	}
}

func (s *Resumable) answer(l Leg) {
	s.mu.Lock()
	first := !s.answered
	s.answered = true
	s.mu.Unlock()
	if first {
		s.source.Answered(l)
	}
}

func (s *Resumable) finish(err error) error {
	s.fail(err)
	s.cancel()
	return err
}

// Close gives the stream up if it has not ended.
func (s *Resumable) Close() error {
	s.cancel()
	s.release()
	return nil
}

func (s *Resumable) release() {
	s.mu.Lock()
	s.closed = true
	cur, l := s.current, s.leg
	s.mu.Unlock()
	if cur != nil {
		cur.Close()
	}
	if l != nil {
		l.End(errClosed, false)
	}
}
