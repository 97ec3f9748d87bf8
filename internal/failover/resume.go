package failover

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// This file is how a resumable stream finds its next worker, and when it gives
// up.
//
// A stream is lost from the moment its worker fails, refuses it or hands it
// over until one has sent a message. While it is lost, each worker is asked
// once a round: those that fail, refuse or have no room are left out until
// nobody remains. Then it pauses, longer each round, and begins a new one, until
// it has been lost for longer than the source's patience. So a stream that
// everybody refuses ends, and is no burden meanwhile. Apart from that, tries
// that a handler saw and that brought nothing are counted
// ([MaxResumes]).

// open opens the stream on a worker, the next one if that fails, and waits for
// one while nobody is there. last is why. The caller holds sendMu.
func (s *Resumable) open(last error) error {
	for {
		if s.ctx.Err() != nil {
			return s.fail(contextError(s.ctx))
		}
		s.grudges()
		l, err := s.source.Next(s.ctx, &s.wish)
		if errors.Is(err, ErrNoWorker) {
			if s.forgive() || s.queue() || s.waitForWorker(err) {
				continue
			}
		}
		if err != nil {
			return s.fail(s.cannot(err, last))
		}
		cur, err := s.openOn(l)
		if err == nil {
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

// cannot is the error of a stream for which nobody can be chosen, for the
// reason err. last is why it was to be opened again.
func (s *Resumable) cannot(err, last error) error {
	if s.ctx.Err() != nil {
		return contextError(s.ctx)
	}
	if last == nil || !errors.Is(err, ErrNoWorker) {
		return err
	}
	code := rpcnet.CodeUnavailable
	if rpcnet.CodeOf(last) == rpcnet.CodeResourceExhausted {
		if s.hopeless() {
			return last
		}
		code = rpcnet.CodeResourceExhausted
	}
	return rpcnet.Errorf(code, "cannot resume at %d: %s, after: %s", s.cursor.Next(), Reason(err), Reason(last)).WithCause(errors.Join(err, last))
}

// waitForWorker ends a round in which nobody took the stream: it pauses and
// reports true, or patience is at its end.
func (s *Resumable) waitForWorker(why error) bool {
	s.lose()
	left := s.source.Patience()
	if s.hopeless() {
		left = min(left, hopelessFor)
	}
	if left -= time.Since(s.lost); left <= 0 {
		return false
	}
	clear(s.excluded) // better one of those than nobody
	s.wish.Patient = true
	s.pauses++
	pause := min(Backoff(s.pauses+1, rand.New(pauseSource{})), left)
	s.source.Tell(s.ctx, Event{Kind: Waiting, Err: why, Next: s.cursor.Next(), Pause: pause})
	s.pause(pause)
	return true
}

// hopelessFor is the patience of a stream that every worker refuses for
// something that rarely passes, such as the size of its request.
const hopelessFor = time.Second

// lose says that no worker has the stream.
func (s *Resumable) lose() {
	if s.lost.IsZero() {
		s.lost = time.Now()
	}
}

// taken says that a worker has the stream: it has sent a message, or fails after
// it took it.
func (s *Resumable) taken() {
	if s.lost.IsZero() {
		return
	}
	s.lost, s.pauses, s.wish.Patient = time.Time{}, 0, false
	clear(s.silent)
}

// pauseSource is the global source of randomness.
type pauseSource struct{}

func (pauseSource) Uint64() uint64 { return rand.Uint64() }

// pause waits for d, or for the end of the context.
func (s *Resumable) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
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
	ctx, call := recorded(s.ctx)
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
	s.current, s.leg, s.record = cur, l, record{call, call.Attempts()}
	s.try++
	s.base = s.dropped
	try := s.try
	s.mu.Unlock()
	s.stall.Start(s.now())
	if small {
		s.beginWait(silentFor) // the first may be larger than a window
		return cur, s.endWait(try, sendAll(cur, requests, s.sendClosed))
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

// next decides whether the stream may be opened again after err, and prepares
// it. The caller holds sendMu.
func (s *Resumable) next(err error, l Leg) error {
	s.mu.Lock()
	tooMany := s.tooMany
	s.mu.Unlock()
	var e *rpcnet.Error
	_, moved := MovedAt(err)
	stalled := errors.Is(err, ErrStalled)
	kind, pause := failed, time.Duration(0)
	switch {
	case s.ctx.Err() != nil, errors.Is(err, errConnsClosed):
		return err
	case tooMany:
		return rpcnet.Errorf(rpcnet.CodeUnavailable, "cannot resume: more than %d bytes of requests were not acknowledged: %s", resumeKeep, Reason(err)).WithCause(err)
	case moved:
		s.cursor.Move() // planned, and so it counts for nothing
	case errors.As(err, &e) && e.Unprocessed():
		var better bool
		if kind, better = refusalOf(e); !better {
			return err
		}
		s.cursor.Move() // no handler has seen this try: it counts for nothing
	case stalled && s.silent[l.Worker()]:
		s.cursor.Move() // nobody else is there, and it is still silent: patience decides
	case stalled, errors.Is(err, ErrGap), s.source.Retryable(err):
		if _, rerr := s.cursor.Resume(); rerr != nil {
			code := rpcnet.CodeUnavailable
			if e != nil {
				code = e.Code()
			}
			return rpcnet.Errorf(code, "%v: %s", rerr, Reason(err)).WithCause(errors.Join(rerr, err))
		}
		pause = Backoff(s.cursor.Fruitless(), rand.New(pauseSource{}))
		if stalled {
			s.silent[l.Worker()] = true
		} else {
			s.taken() // until now
		}
	default:
		return err
	}
	s.lose()
	s.wish.Hint = ""
	s.resent(l.Worker(), kind)
	event := Event{Kind: Failed, Worker: l.Worker(), Err: err, Next: s.cursor.Next()}
	if moved || kind == elsewhere {
		event.Kind = Moved
	}
	s.source.Tell(s.ctx, event)
	if pause > 0 {
		s.pause(pause)
	}
	return nil
}
