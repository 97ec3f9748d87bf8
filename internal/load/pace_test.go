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
