package workers_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/workers"
)

// TestEventsOfAStreamThatGoesOnElsewhere: a client reports what director.Client does,
// but for the question to the director.
func TestEventsOfAStreamThatGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var events []workers.Event
	d := startRouting(t, workers.RegistryConfig{}, &workers.ClientConfig{OnEvent: func(_ context.Context, e workers.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}})
	var failed atomic.Bool
	serve := counting(time.Millisecond, func(_ *testWorker, n uint64) error {
		if n == 5 && !failed.Swap(true) {
			return rpcnet.NewError(rpcnet.CodeUnavailable, "out of order")
		}
		return nil
	})
	addrs := map[string]string{}
	for _, name := range []string{"worker-a", "worker-b"} {
		addrs[name] = startWorker(t, name, d.history, workerOptions{serve: serve}).ep.Addr().String()
	}
	d.ready(t, 2)
	if err := count(t, d.client, 10, nil); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	var kinds []workers.EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	want := []workers.EventKind{workers.EventAssigned, workers.EventConnected, workers.EventFailed,
		workers.EventAssigned, workers.EventConnected, workers.EventResumed}
	if !slices.Equal(kinds, want) {
		t.Fatalf("events %v, want %v", kinds, want)
	}
	first, second := events[0].Worker, events[3].Worker
	if first == second || events[0].Addr != addrs[first] || events[4].Addr != addrs[second] {
		t.Errorf("events %+v", events)
	}
	if e := events[2]; e.Worker != first || rpcnet.CodeOf(e.Err) != rpcnet.CodeUnavailable || e.Next != 5 {
		t.Errorf("the failure is %+v", e)
	}
	if e := events[5]; e.Worker != second || e.Next != 5 {
		t.Errorf("the resumption is %+v", e)
	}
}
