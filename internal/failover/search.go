package failover

import (
	"context"
	"time"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A search is how a call comes to its next worker: what it asks the picker for, and
// which workers it does not want. The opener of the stream owns it.
type search struct {
	// pick is what the picker is asked. Its Exclude is made anew for each question.
	pick balance.PickRequest
	// excluded are the workers that have failed or refused the call.
	excluded exclusions
	// next is the attempt to begin with. nil: the picker chooses.
	next Attempt
}

// worker returns an attempt on a worker that is not excluded.
func (s *search) worker(ctx context.Context, c *Client) (Attempt, error) {
	if a := s.next; a != nil {
		s.next = nil
		return a, nil
	}
	s.pick.Exclude = s.excluded.names(s.pick.Exclude[:0])
	return c.picker.Pick(ctx, c, &s.pick)
}

// exclude keeps the call from a worker. next is the sequence that a resumable stream
// is to go on with.
func (s *search) exclude(worker string, kind exclusionKind, next uint64) {
	s.excluded.add(exclusion{worker, kind, time.Now(), next})
	if s.pick.LastWorker == worker {
		s.pick.LastWorker = ""
	}
}

// queue makes the call wait in the queues of the workers that were full, once, and
// reports whether there are any.
func (s *search) queue() bool {
	if s.pick.WaitInQueue {
		return false
	}
	s.pick.WaitInQueue = s.excluded.expire(func(e exclusion) bool { return e.kind == excludedFull })
	return s.pick.WaitInQueue
}
