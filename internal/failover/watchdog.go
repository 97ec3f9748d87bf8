package failover

import (
	"context"
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// This file is how a stream finds out that its worker is silent, and gives the
// attempt up. [unaryWatchdog] wakes it for unary calls, a timer of their own for
// resumable streams.

const (
	// silentFor is how long a worker of which nothing is known can be silent
	// before it is asked whether it lives.
	silentFor = 500 * time.Millisecond
	// probeTimeout is how long it has to answer.
	probeTimeout = 250 * time.Millisecond
	// probeEvery is the longest time between two probes of a worker that lives
	// and sends nothing.
	probeEvery = 2 * time.Second
)

// A watchdog calls [Stream.checkWorker] after a worker was silent for long. Its
// methods are called with the stream's mu held.
type watchdog interface {
	// watch starts a wait. It returns false if the attempt is not watched.
	watch(now time.Time) bool
	// watchAgain goes on with a wait of which the worker has just been probed. It
	// has been silent for the given time.
	watchAgain(now time.Time, silent time.Duration)
	// unwatch ends a wait.
	unwatch()
	// mayGiveUp reports whether the attempt can be given up, and takes what that
	// costs.
	mayGiveUp() bool
}

// A wait is a time in which the worker has something to do: to take the requests
// of a new attempt, or to send a message. The stream's mu guards it.
type wait struct {
	number  uint64 // how many there were, with this one
	waiting bool
	since   time.Time
	givenUp int // the number of the last attempt that was given up; 0: none
}

// waitsOn reports whether one wait lasts from the opening of an attempt to its
// first response: a unary call has nothing else to wait for.
func (s *Stream) waitsOn() bool { return s.spec.Shape == codegen.ShapeUnary }

// startWait starts a wait. The caller holds mu.
func (s *Stream) startWait() {
	now := time.Now()
	s.wait.number++
	s.wait.since = now
	s.wait.waiting = s.policy.watch(now)
}

// stopWait ends a wait, if there is one. The caller holds mu.
func (s *Stream) stopWait() {
	if s.wait.waiting {
		s.wait.waiting = false
		s.policy.unwatch()
	}
}

// endWait ends a wait for the present attempt that has come to err. It returns err,
// or [ErrStalled] if the attempt was given up. A message can arrive just before
// that. Then the caller gets it, and the end that follows is not taken for the clean
// one, because a message between them can be lost. After the response of a unary call
// there is nothing to lose.
func (s *Stream) endWait(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopWait()
	switch {
	case err == nil, s.wait.givenUp == 0, s.wait.givenUp != s.current.number, s.ctx.Err() != nil:
		return err
	case s.answered && s.waitsOn():
		return io.EOF
	}
	return stalled(s.wait.since)
}

// stalled returns the error of an attempt that was given up because its worker was
// silent since an instant.
func stalled(since time.Time) error {
	silent := time.Since(since).Round(time.Millisecond)
	return rpcnet.Errorf(rpcnet.CodeUnavailable, "%v: no message for %v, and no answer to a probe", ErrStalled, silent).WithCause(ErrStalled)
}

// checkWorker asks whether the worker lives that the stream waits for. One that
// answers only has nothing to say, and is asked again later. One that does not
// answer is given up, if the policy allows.
func (s *Stream) checkWorker() {
	s.mu.Lock()
	asked, cur := s.wait, s.current
	s.mu.Unlock()
	if !asked.waiting || s.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, probeTimeout)
	defer cancel()
	err := cur.on.Probe(ctx)
	s.mu.Lock()
	if !s.wait.waiting || s.wait.number != asked.number || s.ctx.Err() != nil {
		s.mu.Unlock()
		return
	}
	if err == nil || !s.policy.mayGiveUp() { // late is better than not at all
		now := time.Now()
		s.policy.watchAgain(now, now.Sub(asked.since))
		s.mu.Unlock()
		return
	}
	s.wait.givenUp = cur.number
	s.mu.Unlock()
	cur.Close()
}
