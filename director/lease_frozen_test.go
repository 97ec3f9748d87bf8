package director_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
)

// serve starts an endpoint that belongs to no cluster.
func serve(t *testing.T, setup func(*rpcnet.Endpoint, *rpcnet.Server)) (ep *rpcnet.Endpoint) {
	t.Helper()
	ep, err := rpcnet.Listen("127.0.0.1:0", credentials(t), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	srv := rpcnet.NewServer(nil)
	setup(ep, srv)
	served := make(chan struct{})
	go func() {
		defer close(served)
		ep.Serve(context.Background(), srv)
	}()
	t.Cleanup(func() { ep.Close(); <-served })
	return ep
}

// TestLeasesOfAFrozenWorkerExpire: a client that has leased far more than it calls uses no
// slot on a worker that hangs once the director has found that out, although nothing tells
// the client.
func TestLeasesOfAFrozenWorkerExpire(t *testing.T) {
	t.Parallel()
	var members []cluster.Member
	var first *rpctest.Proxy
	for i := range 3 {
		ep := serve(t, func(ep *rpcnet.Endpoint, srv *rpcnet.Server) {
			if _, err := workers.NewStaticWorker(ep, &workers.WorkerConfig{Logger: quiet}); err != nil {
				t.Fatal(err)
			}
			srv.Handle("name", func(context.Context, []byte) ([]byte, error) { return nil, nil })
		})
		proxy := rpctest.NewProxy(t, ep.Addr().String())
		if i == 0 {
			first = proxy
		}
		members = append(members, cluster.Member{Name: fmt.Sprint("worker-", i), Addr: proxy.Addr(), Tags: cluster.Tags{"role": "worker"}})
	}
	var registry *workers.Registry
	d := serve(t, func(ep *rpcnet.Endpoint, srv *rpcnet.Server) {
		var err error
		if registry, err = workers.NewStaticRegistry(ep, workers.NewStaticMembers(members...), &workers.RegistryConfig{Logger: quiet}); err != nil {
			t.Fatal(err)
		}
		director.New(registry, &director.Config{Logger: quiet}).Register(srv)
	})
	t.Cleanup(func() { registry.Close() })
	if err := registry.WaitReady(t.Context(), 3); err != nil {
		t.Fatal(err)
	}

	var last atomic.Int64 // when worker-0 was last assigned
	cfg := onEvent(func(e workers.Event) {
		if e.Kind == workers.EventAssigned && e.Worker == "worker-0" {
			last.Store(time.Now().UnixNano())
		}
	})
	c := dial(t, director.ClientConfig{ClientConfig: cfg, AskTimeout: 10 * time.Second}, d.Addr().String())
	c.KeepStock(400)
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				limit, stop := context.WithTimeout(ctx, 500*time.Millisecond)
				c.CallWorker(limit, "name", nil, "")
				stop()
				time.Sleep(50 * time.Millisecond) // 400 slots would last for 5 s
			}
		})
	}
	defer callers.Wait()
	defer cancel()
	within(t, "worker-0 is called", func() bool { return last.Load() > 0 })
	time.Sleep(1500 * time.Millisecond) // after 20 heartbeats the detector is as fast as it gets
	first.Stall()
	begun := time.Now()
	within(t, "the director has found it out", func() bool {
		w, _ := registry.Worker("worker-0")
		return w.Status != "ready"
	})
	found := time.Now()
	time.Sleep(4 * time.Second) // a slot counts for 5 s
	after := time.Unix(0, last.Load()).Sub(found)
	t.Logf("the director found out after %v; the last call was assigned %v after that", found.Sub(begun), after)
	if after > 2*time.Second {
		t.Errorf("a call was assigned to a worker that was known to hang for %v", after)
	}
}
