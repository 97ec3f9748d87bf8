package load_test

import (
	"math"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

func TestCapacityOfThoseThatDeclareNone(t *testing.T) {
	t.Parallel()
	if m := load.Median(nil); m != 1 {
		t.Errorf("none declared: %v", m)
	}
	if m := load.Median([]uint32{16, 4, 8}); m != 8 {
		t.Errorf("median of 4, 8, 16: %v", m)
	}
}

func TestSlowStartGrowsFromATenthToAll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		age, window time.Duration
		aggression  float64
		want        float64
	}{
		{0, 0, 0, 1}, {0, 10 * time.Second, 0, 0.1}, {5 * time.Second, 10 * time.Second, 0, 0.5},
		{-time.Second, 10 * time.Second, 1, 0.1}, {2500 * time.Millisecond, 10 * time.Second, 2, 0.5}, {time.Minute, time.Second, 1, 1},
	} {
		if got := load.SlowStart(c.age, c.window, c.aggression); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("SlowStart(%v, %v, %v) = %v, want %v", c.age, c.window, c.aggression, got, c.want)
		}
	}
}
