package director_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/workers"
)

// TestHedgeThroughADirectorIsOnItsAlternate: the director is not asked for the second
// worker, because it has named alternates with the first.
func TestHedgeThroughADirectorIsOnItsAlternate(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var used []string
	cfg := onEvent(func(e workers.Event) {
		if e.Kind == workers.EventAlternate {
			mu.Lock()
			defer mu.Unlock()
			used = append(used, e.Worker)
		}
	})
	cfg.HedgeAfter = 400 * time.Millisecond // so that a starved machine does not spend the hedges before
	d, c := scriptedFor(t, cfg, "a", "b")
	ctx, cancel := context.WithTimeout(with(t, rpcnet.CallOptions{Idempotent: true}), time.Minute)
	defer cancel()
	// A hedge on a worker to which the connection is slow to come asks for another one.
	d.workers[0].failed.Store(true)
	within(t, "the client is connected to b", func() bool {
		out, err := c.CallWorker(ctx, "name", nil, "")
		return err == nil && string(out) == "b"
	})
	d.workers[0].failed.Store(false)
	for range 100 { // saves up five hedges
		if out, err := c.CallWorker(ctx, "name", nil, ""); err != nil || string(out) != "a" && string(out) != "b" {
			t.Fatalf("%q, %v", out, err)
		}
	}
	mu.Lock()
	used = nil // on a slow machine some of these are hedged too
	mu.Unlock()
	d.workers[0].frozen.Store(true)
	asked := d.asked.Load()
	if out, err := c.CallWorker(ctx, "name", nil, ""); err != nil || string(out) != "b" {
		t.Fatalf("%q, %v", out, err)
	}
	if n := d.asked.Load() - asked; n != 1 {
		t.Errorf("the director was asked %d times for a hedged call", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(used) != 1 || used[0] != "b" {
		t.Errorf("alternates used: %v, want b", used)
	}
}

func TestCallWorkerTakesASelector(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	for _, name := range []string{"worker-a", "worker-b", "worker-c"} {
		startWorker(t, name, "", d.addr, workers.WorkerConfig{})
	}
	ready(t, d, 3)
	c := dial(t, director.ClientConfig{ClientConfig: workers.ClientConfig{Selector: "role=worker"}}, d.addr)
	for range 10 {
		if out, err := c.CallWorker(t.Context(), "name", nil, "label=worker-b"); err != nil || string(out) != "worker-b" {
			t.Errorf("%q, %v", out, err)
		}
	}
	if out, err := c.CallWorker(with(t, rpcnet.CallOptions{Selector: "label=worker-c"}), "name", nil, ""); err != nil || string(out) != "worker-c" {
		t.Errorf("the context's selector: %q, %v", out, err)
	}
}
