package routed

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// receive waits for the next message. When that takes longer than the stream's
// rhythm allows, the worker is asked whether it lives.
func (s *Resumable) receive(cur rpcnet.ClientStream, msg any) error {
	s.waits++
	s.waiting.Store(s.waits)
	limit := s.stall.Timeout()
	s.watch.Reset(limit)
	err := cur.Recv(msg)
	s.waiting.Store(0)
	s.watch.Stop()
	if err != nil && err != io.EOF && s.stalled.Load() == s.waits && s.ctx.Err() == nil {
		return fmt.Errorf("%w for more than %v", ErrStalled, limit)
	}
	return err
}

// probeTimeout is how long a silent worker has to say that it lives.
const probeTimeout = 250 * time.Millisecond

// watchdog runs when nothing has come for too long. A worker that answers a
// probe only has nothing to say; one that does not is given up.
func (s *Resumable) watchdog() {
	wait := s.waiting.Load()
	s.mu.Lock()
	cur, l := s.current, s.leg
	s.mu.Unlock()
	if wait == 0 || s.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, probeTimeout)
	defer cancel()
	err := l.Probe(ctx)
	switch {
	case s.waiting.Load() != wait:
	case err == nil:
		s.watch.Reset(probeEvery)
	default:
		s.stalled.Store(wait)
		cur.Close()
	}
}

// probeEvery is the time between two probes of a worker that lives and sends
// nothing.
const probeEvery = 2 * time.Second
