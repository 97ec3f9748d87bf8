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
	// On a starved machine a dial can take so long that another worker is tried: then
	// there are more attempts, between the failure and the resumption too.
	of := func(k workers.EventKind) func(workers.Event) bool {
		return func(e workers.Event) bool { return e.Kind == k }
	}
	failure := slices.IndexFunc(events, func(e workers.Event) bool { return e.Kind == workers.EventFailed && e.Next == 5 })
	if failure < 2 {
		t.Fatalf("events %+v: no failure at 5 after an assignment and a connection", events)
	}
	before, after := events[:failure], events[failure+1:]
	first := events[failure].Worker
	if e := before[len(before)-1]; e.Kind != workers.EventConnected || e.Worker != first || e.Addr != addrs[first] {
		t.Errorf("before the failure of %s: %+v", first, e)
	}
	if !slices.ContainsFunc(before, of(workers.EventAssigned)) || !slices.ContainsFunc(after, of(workers.EventAssigned)) {
		t.Errorf("events %+v: no worker was assigned", events)
	}
	if e := events[failure]; rpcnet.CodeOf(e.Err) != rpcnet.CodeUnavailable {
		t.Errorf("the failure is %+v", e)
	}
	if len(after) < 2 {
		t.Fatalf("after the failure: %+v", after)
	}
	if e := after[len(after)-2]; e.Kind != workers.EventConnected || e.Addr != addrs[e.Worker] {
		t.Errorf("before the resumption: %+v", e)
	}
	if e := after[len(after)-1]; e.Kind != workers.EventResumed || e.Worker != after[len(after)-2].Worker || e.Next != 5 {
		t.Errorf("the resumption is %+v", e)
	}
	if slices.ContainsFunc(events, of(workers.EventAsking)) {
		t.Errorf("events %+v: there is no director to ask", events)
	}
}
