//go:build !race

package workers_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/workers"
)

// TestAHeartbeatAllocatesOnce: a heartbeat costs both sides together one allocation, which
// is crypto/tls's for a record that it reads, and the registry none besides.
func TestAHeartbeatAllocatesOnce(t *testing.T) {
	const interval, span = 10 * time.Millisecond, time.Second
	r, err := workers.NewStaticRegistry(listen(t, "127.0.0.1:0"), workers.NewStaticMembers(staticWorker(t, "worker-a")),
		&workers.RegistryConfig{Logger: quiet(), HealthCheckInterval: interval})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.WaitReady(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	time.Sleep(span / 4) // the start has garbage of its own
	least := 0.0
	for try := range 3 { // other goroutines of the process allocate too, now and then
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		time.Sleep(span)
		runtime.ReadMemStats(&after)
		if n := float64(after.Mallocs-before.Mallocs) / float64(span/interval); try == 0 || n < least {
			least = n
		}
	}
	if least > 1.6 {
		t.Errorf("%.2f allocations a heartbeat", least)
	}
}
