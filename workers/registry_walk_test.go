package workers

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// filled returns a registry of n workers that report.
func filled(tb testing.TB, n int) (*Registry, []*worker) {
	r, _ := drive(tb, RegistryConfig{})
	ws := make([]*worker, n)
	for i := range ws {
		r.mu.Lock()
		ws[i] = r.table.enter(r.now(), workerMember("worker-"+strconv.Itoa(i), "1", nil))
		r.mu.Unlock()
		r.reported(ws[i], load.Report{Epoch: 1, Seq: 1, Capacity: 16, InFlight: uint32(i % 7), Interval: time.Hour, Balancers: 1})
	}
	return r, ws
}

// BenchmarkAssign measures an assignment with its ticket, taken back at once, by one
// goroutine and by 64. If the lock were contended, 64 would be slower.
func BenchmarkAssign(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%d/callers=%d", n, callers), func(b *testing.B) {
				r, _ := filled(b, n)
				share(b, callers, func() {
					a, err := r.Assign(balance.PickRequest{Caller: "caller"})
					if err != nil {
						b.Error(err)
						return
					}
					r.Return(a.Worker.Name, a.Ticket, "caller")
				})
			})
		}
	}
}

// BenchmarkChoose measures the choice of a client of the cluster and the end of its call.
func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%d/callers=%d", n, callers), func(b *testing.B) {
				r, _ := filled(b, n)
				share(b, callers, func() {
					c, err := r.choose(&balance.PickRequest{})
					if err != nil {
						b.Error(err)
						return
					}
					a := c.attempt(nil, false)
					a.End(nil)
					a.Recycle()
				})
			})
		}
	}
}

// share divides the iterations of b among goroutines.
func share(b *testing.B, callers int, f func()) {
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-16) >= 0 {
				for range 16 {
					f()
				}
			}
		})
	}
	wg.Wait()
}

// TestAWalkOverAllWorkersBearsThatSomeLeaveAndJoin between its steps: it comes to each of
// those that stay, once.
func TestAWalkOverAllWorkersBearsThatSomeLeaveAndJoin(t *testing.T) {
	t.Parallel()
	r, ws := filled(t, 100)
	r.mu.Lock()
	r.table.added = func(*worker) {} // their reports are not read
	r.mu.Unlock()
	seen, leave := map[string]bool{}, ws[:40]
	r.each(func(w *worker, now time.Duration) {
		if seen[w.member.Name] {
			t.Errorf("%s comes twice", w.member.Name)
		}
		seen[w.member.Name] = true
		if len(seen)%atATime == 0 { // it is the last of a step
			for _, gone := range leave[:8] {
				r.table.forget(now, gone.id, true)
			}
			leave = leave[8:]
			r.table.update(now, workerMember(fmt.Sprint("new-", len(seen)), "1", nil))
		}
	})
	for _, w := range ws[40-len(leave):] {
		if !seen[w.member.Name] {
			t.Errorf("%s was left out", w.member.Name)
		}
	}
}
