package load_test

import (
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func TestHeartbeatsComeMoreSlowlyTheMoreAreWatched(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{1: 50, 200: 50, 201: 100, 1000: 100, 1001: 250, 2000: 250, 2001: 500} {
		if got := load.Heartbeat(n); got != want*ms {
			t.Errorf("%d workers: %v", n, got)
		}
	}
}

func TestBalancersSampleWhenTheyAreManyOrReportsAreFarApart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		workers int
		// reported is how many balancers the workers report to, in turn.
		reported []uint32
		want     bool
	}{
		{10, []uint32{3}, false}, {10, []uint32{4}, true}, {10, []uint32{4, 1}, false}, {9, []uint32{4, 1}, true}, {101, []uint32{1}, true},
	} {
		var sampled bool
		p, g := pool(c.workers, balance.Custom("spy", func() balance.Picker {
			return pickerFunc(func(_ []balance.Candidate, req *balance.PickRequest) balance.Pick {
				sampled = req.Sample
				return balance.Pick{}
			})
		}))
		for i, w := range p.Workers() {
			p.Apply(0, w, load.Report{Epoch: 1, Seq: 2, Capacity: 8, Balancers: c.reported[i%len(c.reported)]})
		}
		if g.Pick(0, &balance.PickRequest{}); sampled != c.want {
			t.Errorf("%d workers that report to %d balancers: sampled %v", c.workers, c.reported, sampled)
		}
	}
}
