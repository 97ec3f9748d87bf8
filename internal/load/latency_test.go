package load_test

import (
	"math"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

func TestLatencyJumpsToPeaksDecaysAndDistrustsFastFailures(t *testing.T) {
	t.Parallel()
	var l load.Latency
	l.Observe(0, 10*time.Millisecond, false)
	l.Observe(time.Second, 200*time.Millisecond, false)
	if l.Seconds() != 0.2 {
		t.Errorf("after a peak: %v", l.Seconds())
	}
	l.Observe(11*time.Second, 0, false)
	if got, want := l.Seconds(), 0.2/math.E; math.Abs(got-want) > 1e-9 {
		t.Errorf("10 s later: %v, want %v", got, want)
	}
	l.Observe(12*time.Second, time.Millisecond, true)
	if l.Seconds() != 1 {
		t.Errorf("after a fast failure: %v, want 1", l.Seconds())
	}
}
