package failover_test

import (
	"testing"

	"github.com/rpcnet-go/rpcnet"
)

func TestCallIsRefusedOnlyWhenTheQueuesOfAllWorkersAreFull(t *testing.T) {
	// All are full when first asked. Then the first has no room in its queue
	// either, and the last has.
	busy := func(name string, queue int32) *fakeWorker {
		w := &fakeWorker{name: name, answer: says(name)}
		w.refuse = func() error {
			if queue == 0 || w.calls.Load() < queue {
				return errFull
			}
			return nil
		}
		return w
	}
	eachWay(t, func(t *testing.T, c *fakeCluster) {
		if got, took, err := ask(t.Context(), c, &rpcnet.Spec{Procedure: "ask"}); err != nil || got != "c" || took > 0 {
			t.Errorf("%q in %v: %v", got, took, err)
		}
	}, func() []*fakeWorker { return []*fakeWorker{busy("a", 0), busy("b", 0), busy("c", 2)} })
	t.Run("all", func(t *testing.T) {
		eachWay(t, func(t *testing.T, c *fakeCluster) {
			_, took, err := ask(t.Context(), c, askSpec)
			wantCode(t, err, rpcnet.CodeResourceExhausted)
			if c.calls() != 6 || took > 0 {
				t.Errorf("%d calls in %v, want 2 of each worker", c.calls(), took)
			}
		}, func() []*fakeWorker { return []*fakeWorker{busy("a", 0), busy("b", 0), busy("c", 0)} })
	})
}
