//go:build !race

package director_test

import (
	"runtime"
	"testing"

	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/workers"
)

// TestACallOfALeaseAllocatesLittle: a call that need not ask a director costs all sides
// together about 7 allocations, and not the 35 of one that asks.
func TestACallOfALeaseAllocatesLittle(t *testing.T) {
	d := startDirector(t, "director", "", "")
	startWorkers(t, d, 1, workers.WorkerConfig{})
	c := newCrowd(t, director.ClientConfig{}, d.addr)
	c.leaseUntil(t)
	const calls = 20000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, err := range c.call(64, times(calls)) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if n := float64(after.Mallocs-before.Mallocs) / calls; n > 16 {
		t.Errorf("%.1f allocations a call", n)
	} else {
		t.Logf("%.1f allocations a call", n)
	}
}
