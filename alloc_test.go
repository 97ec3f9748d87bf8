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

// A raw unary call costs few allocations, both sides together, when 64 callers share a
// connection. It counts mallocs of the whole process, so it does not run beside other
// tests.
func TestAllocationsPerCall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and sync.Pool drops at random under it")
	}
	conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(nil), nil).Addr().String(), nil)
	for _, c := range []struct {
		size, each int
		most       float64 // of crypto/tls is one for each record
	}{{32, 1000, 2}, {16 << 10, 100, 3.6}} {
		const callers = 64
		in := make([]byte, c.size)
		best := math.Inf(1)
		for range 5 { // in the first pools fill, stacks and buffers grow
			var before, after runtime.MemStats
			var wg sync.WaitGroup
			runtime.ReadMemStats(&before)
			for range callers {
				wg.Go(func() {
					for range c.each {
						if _, err := rpcnet.CallRaw(context.Background(), conn, "echo", in); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			runtime.ReadMemStats(&after)
			best = min(best, float64(after.Mallocs-before.Mallocs)/float64(callers*c.each))
		}
		if best > c.most {
			t.Errorf("%.2f allocations per call of %d bytes, want at most %.1f", best, c.size, c.most)
		} else {
			t.Logf("%.2f allocations per call of %d bytes", best, c.size)
		}
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
	for _, size := range []int{4 << 10, 8 << 10, 16 << 10, 18 << 10, 32 << 10, 40 << 10} {
		const callers, each, most = 16, 200, 2500
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
