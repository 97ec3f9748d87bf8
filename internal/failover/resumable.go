package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// ErrStalled is the cause when a worker was silent for too long.
var ErrStalled = errors.New("the worker is silent")

// ErrGap is the cause when a message of the sequence is missing.
var ErrGap = errors.New("a message of the stream is missing")

// A Resumable is a stream whose responses carry a sequence. When its worker
// fails, stalls or hands it over, Recv opens it on another one, which goes on
// with the next sequence; the caller sees every message once, in order.
//
// The locks are as in [Stream].
type Resumable struct {
	source Source
	ctx    context.Context
	cancel context.CancelFunc
	spec   *rpcnet.Spec
	raw    *rpcnet.Spec
	opened chan struct{}
	origin time.Time

	// Recv's own, and the first Send's until opened is closed.
	cursor   Cursor
	stall    Stall
	wish     Wish
	excluded map[string]grudge // by name of the worker
	lost     time.Time         // since when no worker has the stream, zero: one has sent a message
	pauses   int               // since then, because nobody could be chosen
	silent   map[string]bool   // workers that were silent since then, by name

	sendMu     sync.Mutex
	begun      bool
	first      any    // the first request, to be asked again from a later sequence
	head       []byte // its encoding
	sendClosed bool

	mu       sync.Mutex
	kept     [][]byte // requests after the first, not acknowledged
	keptSize int
	dropped  uint64 // requests after the first that are acknowledged
	base     uint64 // of those, the ones that the present try was not sent
	tooMany  bool   // kept was over the limit and is gone
	current  rpcnet.ClientStream
	leg      Leg
	try      int    // its number
	record   record // of the try
	answered bool
	closed   bool
	final    error
	wait     wait
	watch    *time.Timer // runs watchdog while Recv waits
}

// NewResumable starts a resumable stream; a worker is chosen when the first
// request is sent.
func NewResumable(ctx context.Context, src Source, spec *rpcnet.Spec, wish Wish) *Resumable {
	s := &Resumable{source: src, spec: spec, raw: encoded(spec), wish: wish, opened: make(chan struct{}), origin: time.Now(),
		excluded: map[string]grudge{}, silent: map[string]bool{}}
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

// begin opens the stream for the first time. The caller holds sendMu.
func (s *Resumable) begin() error {
	defer func() { s.begun = true; close(s.opened) }()
	return s.open(nil)
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
		cur, l, try, record, final := s.current, s.leg, s.try, s.record, s.final
		s.mu.Unlock()
		if final != nil {
			return final
		}
		err := s.receive(cur, try, msg)
		switch {
		case err == nil:
			s.answer(l)
			s.stall.Message(s.now())
			seq := s.spec.Resume.Sequence(msg)
			switch s.cursor.Message(s.cursor.Attempt(), seq) {
			case Accept:
				s.taken() // one that only repeats what is known has not taken it
				if accepted := s.spec.Resume.Accepted; accepted != nil && seq > 0 {
					s.first = accepted(s.first, msg)
				}
				s.acknowledged(msg)
				return nil
			case Drop:
				continue
			}
			err = fmt.Errorf("%w: %d in place of %d", ErrGap, seq, s.cursor.Next())
		case err == io.EOF:
			last := record.lastSent()
			if s.cursor.End(s.cursor.Attempt(), last) == Accept {
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
