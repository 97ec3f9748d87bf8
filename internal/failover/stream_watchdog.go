package failover

import (
	"context"
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

const (
	// silentFor is how long a worker of which nothing is known may be silent
	// before it is asked whether it lives.
	silentFor = 500 * time.Millisecond
	// probeTimeout is how long it has to answer.
	probeTimeout = 250 * time.Millisecond
	// probeEvery is the longest time between two probes of a worker that lives
	// and sends nothing.
	probeEvery = 2 * time.Second
)

// A wait is the time that Recv waits for a message, or a new try until its worker
// has taken the requests.
type wait struct {
	number  uint64
	waiting bool
	since   time.Duration
	givenUp int // the try whose worker was silent
}

// beginWait makes the watchdog run after limit.
func (s *Resumable) beginWait(limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait.number++
	s.wait.waiting, s.wait.since = true, s.now()
	s.watch.Reset(limit)
}

// endWait returns how the wait for a try has ended. A message may have come while
// its try was given up: then it is the next call that fails. What looks like an
// end may have lost what came before.
func (s *Resumable) endWait(try int, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait.waiting = false
	s.watch.Stop()
	if err != nil && s.wait.givenUp == try && s.ctx.Err() == nil {
		return fmt.Errorf("%w for %v", ErrStalled, (s.now() - s.wait.since).Round(time.Millisecond))
	}
	return err
}

// receive waits for the next message of a try. When that takes longer than the
// stream's rhythm allows, the worker is asked whether it lives.
func (s *Resumable) receive(cur rpcnet.ClientStream, try int, msg any) error {
	s.beginWait(s.stall.Timeout())
	return s.endWait(try, cur.Recv(msg))
}

// watchdog runs when nothing has come for too long. A worker that answers a
// probe only has nothing to say, and is asked again after as long as it has
// been silent; one that does not is given up.
func (s *Resumable) watchdog() {
	s.mu.Lock()
	w, cur, l, try := s.wait, s.current, s.leg, s.try
	s.mu.Unlock()
	if !w.waiting || s.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, probeTimeout)
	defer cancel()
	err := l.Probe(ctx)
	s.mu.Lock()
	over := !s.wait.waiting || s.wait.number != w.number
	switch {
	case over:
	case err == nil:
		s.watch.Reset(min(s.now()-w.since, probeEvery))
	default:
		s.wait.givenUp = try
	}
	s.mu.Unlock()
	if !over && err != nil {
		cur.Close()
	}
}
