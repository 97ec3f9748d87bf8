package rpcnet_test

import (
	"context"
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// A raw unary call costs at most two allocations, both sides together, when 64
// callers share a connection. It counts mallocs of the whole process, so it
// does not run beside other tests.
func TestAllocationsPerCall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and sync.Pool drops at random under it")
	}
	conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(nil), nil).Addr().String(), nil)
	const callers, each = 64, 1000
	in := make([]byte, 32)
	round := func() uint64 {
		var before, after runtime.MemStats
		var wg sync.WaitGroup
		runtime.ReadMemStats(&before)
		for range callers {
			wg.Go(func() {
				for range each {
					if _, err := rpcnet.CallRaw(context.Background(), conn, "echo", in); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	round() // pools fill, stacks and buffers grow
	best := round()
	for range 3 {
		best = min(best, round())
	}
	if per := float64(best) / (callers * each); per > 2 {
		t.Errorf("%.2f allocations per call, want at most 2", per)
	} else {
		t.Logf("%.2f allocations per call", per)
	}
}

// A raw unary call of some KiB allocates its response, which is the caller's, and next to
// nothing beside it, both sides together: the buffers on the way are used again. It
// counts bytes of the whole process, so it does not run beside other tests.
func TestBytesAllocatedPerCall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and sync.Pool drops at random under it")
	}
	conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(nil), nil).Addr().String(), nil)
	for _, size := range []int{4 << 10, 8 << 10, 16 << 10, 32 << 10} {
		const callers, each, most = 16, 200, 1500
		in := make([]byte, size)
		best := math.Inf(1)
		for range 6 { // the first ones fill pools and grow buffers
			var before, after runtime.MemStats
			var wg sync.WaitGroup
			runtime.ReadMemStats(&before)
			for range callers {
				wg.Go(func() {
					for range each {
						if _, err := rpcnet.CallRaw(context.Background(), conn, "echo", in); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			runtime.ReadMemStats(&after)
			best = min(best, float64(after.TotalAlloc-before.TotalAlloc)/(callers*each))
		}
		if beside := best - float64(size); beside > most {
			t.Errorf("a call of %d bytes allocates %.0f bytes beside its response, want at most %d", size, beside, most)
		} else {
			t.Logf("a call of %d bytes allocates %.0f bytes beside its response", size, beside)
		}
	}
}
