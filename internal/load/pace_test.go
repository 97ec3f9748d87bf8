package load_test

import (
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
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
	if load.ShouldSample(3, 20*time.Millisecond) || !load.ShouldSample(4, 20*time.Millisecond) || !load.ShouldSample(1, 50*time.Millisecond) {
		t.Error("the limits are 3 balancers and 20 ms")
	}
}
