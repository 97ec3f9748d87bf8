package workers

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
)

// A Result is what one worker answered to [Client.CallAll].
type Result struct {
	// Worker is the worker asked.
	Worker cluster.Member
	// Data is the answer; it belongs to the caller.
	Data []byte
	// Err is why there is none.
	Err error
}

// callAllAtOnce is how many workers are asked at the same time.
const callAllAtOnce = 64

// CallAll makes a unary call of bytes on every worker that the selector
// matches and that can be reached, 64 at a time, and yields the answers as they
// come. Nothing is retried: each worker is asked once. The calls begin when the
// sequence is ranged over; leaving the loop gives the rest up.
func (c *Client) CallAll(ctx context.Context, procedure string, data []byte, selector string) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		workers, err := c.matching(c.calls.Narrow(selector))
		if err != nil {
			yield(Result{Err: err})
			return
		}
		// Each goroutine makes one call after the other, and all of them end before the
		// sequence does: by the order of the defers, they are cancelled first.
		ctx, cancel := context.WithCancel(ctx)
		results := make(chan Result)
		spec := &rpcnet.Spec{Procedure: procedure}
		var next atomic.Int64
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		answers := make([][]byte, len(workers))
		ask := func() {
			for i := next.Add(1) - 1; i < int64(len(workers)); i = next.Add(1) - 1 {
				err := c.callOn(ctx, workers[i], spec, &data, &answers[i])
				select {
				case results <- Result{workers[i].member, answers[i], err}:
				case <-ctx.Done():
					return
				}
				answers[i] = nil // it is the caller's
			}
		}
		for range min(callAllAtOnce, len(workers)) {
			wg.Go(ask)
		}
		for range workers {
			select {
			case r := <-results:
				if !yield(r) {
					return
				}
			case <-ctx.Done():
				yield(Result{Err: ctx.Err()})
				return
			}
		}
	}
}

// A target is a worker, and the member that it was when it was chosen. The registry's
// mu guards the entry.
type target struct {
	entry  *worker
	member cluster.Member
}

// matching returns the workers that a selector matches and that can be reached, but not
// those that drain. Late, ejected, suspected and full ones are among them: all are
// asked, not the best.
func (c *Client) matching(selector string) ([]target, error) {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	g, err := r.table.group(selector, "")
	if err != nil {
		return nil, err
	}
	ts, now := make([]target, 0, len(g.load.Members())), r.now()
	for _, w := range g.load.Members() {
		if load.StatusOf(now, w, false) <= load.StatusSuspected {
			e := w.Owner.(*worker)
			ts = append(ts, target{e, e.member})
		}
	}
	return ts, nil
}

// callOn makes one call of bytes on one worker and counts it. The call waits in the
// worker's queue if it must, because no other worker can answer for this one.
func (c *Client) callOn(ctx context.Context, w target, spec *rpcnet.Spec, in, out *[]byte) error {
	r := c.registry
	r.mu.Lock()
	b := r.begin(r.now(), w.entry, true)
	r.mu.Unlock()
	a := b.attempt(c.calls, true)
	err := c.calls.CallOn(ctx, &a.ConnAttempt, a, spec, in, out)
	a.Recycle()
	return err
}
