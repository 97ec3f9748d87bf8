package workers_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A node that works, and a node that chooses among those that do and calls them.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	ca, err := rpctest.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	node := func(name string, tags cluster.Tags, seeds ...string) *cluster.Node {
		ep := exampleEndpoint(ca)
		n, err := cluster.Join(ctx, ep, &cluster.Config{Name: name, Seeds: seeds, Tags: tags, Logger: quiet})
		if err != nil {
			log.Fatal(err)
		}
		return n
	}

	// Where calls run.
	a := node("worker-a", cluster.Tags{"role": "worker", "gpu": "h100"})
	defer a.Endpoint().Close()
	defer a.Close()
	if _, err := workers.NewWorker(a, &workers.WorkerConfig{Capacity: 16, Logger: quiet}); err != nil {
		log.Fatal(err)
	}
	srv := rpcnet.NewServer(nil)
	srv.Handle("compute", func(_ context.Context, data []byte) ([]byte, error) {
		return append(data, " on worker-a"...), nil
	})
	go a.Endpoint().Serve(ctx, srv)

	// Where calls are made.
	b := node("frontend", nil, a.Self().Addr)
	defer b.Endpoint().Close()
	defer b.Close()
	registry, err := workers.NewRegistry(b, &workers.RegistryConfig{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	client, err := workers.NewClient(registry, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := registry.WaitReady(ctx, 1); err != nil {
		log.Fatal(err)
	}
	out, err := client.CallWorker(ctx, "compute", []byte("2+2"), "gpu=h100")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(out))
	// Output:
	// 2+2 on worker-a
}

// exampleEndpoint returns an endpoint with a certificate of its own.
func exampleEndpoint(ca *rpctest.DevCA) *rpcnet.Endpoint {
	creds, err := ca.Credentials()
	if err != nil {
		log.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	return ep
}

// examplePool starts a worker without a cluster that answers "compute" with its name,
// and returns it as a list, an endpoint that can call it, and what ends both.
func examplePool(cfg *workers.WorkerConfig) (list *workers.StaticMembers, ep *rpcnet.Endpoint, stop func()) {
	ca, err := rpctest.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	worker, ep := exampleEndpoint(ca), exampleEndpoint(ca)
	if _, err := workers.NewStaticWorker(worker, cfg); err != nil {
		log.Fatal(err)
	}
	srv := rpcnet.NewServer(nil)
	srv.Handle("compute", func(context.Context, []byte) ([]byte, error) { return []byte("worker-a"), nil })
	ctx, cancel := context.WithCancel(context.Background())
	go worker.Serve(ctx, srv)
	list = workers.NewStaticMembers(cluster.Member{Name: "worker-a", Addr: worker.Addr().String(), Tags: cluster.Tags{"role": "worker", "zone": "eu-1"}})
	return list, ep, func() { cancel(); ep.Close(); worker.Close() }
}

// A caller that calls its worker itself asks for an assignment, which counts from then
// on.
func ExampleRegistry_Assign() {
	list, ep, stop := examplePool(nil)
	defer stop()
	registry, err := workers.NewStaticRegistry(ep, list, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	if err := registry.WaitReady(context.Background(), 1); err != nil {
		log.Fatal(err)
	}
	a, err := registry.Assign(balance.PickRequest{})
	if err != nil {
		log.Fatal(err)
	}
	w, _ := registry.Worker(a.Worker.Name)
	fmt.Println(w.Name, w.Status, "pending", w.Load.Pending)
	// Output:
	// worker-a ready pending 1
}

// A registry that keeps the calls of a session on one worker, and prefers workers of
// its own zone.
func ExampleNewStaticRegistry() {
	list, ep, stop := examplePool(&workers.WorkerConfig{Capacity: 8})
	defer stop()
	registry, err := workers.NewStaticRegistry(ep, list, &workers.RegistryConfig{
		Strategy: balance.StickyUntilFull,
		Selector: "role=worker,zone in (eu-1,eu-2)",
		Zone:     "eu-1",
		Phi:      workers.PhiConfig{SuspectPause: time.Second}, // tolerates pauses of a second
	})
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	if err := registry.WaitReady(context.Background(), 1); err != nil {
		log.Fatal(err)
	}
	a, err := registry.Assign(balance.PickRequest{LastWorker: "worker-a"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a.Worker.Name, "because:", a.Reason)
	_, err = registry.Assign(balance.PickRequest{Exclude: []string{"worker-a"}})
	fmt.Println(err)
	// Output:
	// worker-a because: served the session before
	// Unavailable: none of 1 workers that match "role=worker,zone in (eu-1,eu-2)" can be chosen: 1 excluded by the caller
}

// A worker that runs 8 calls at once, lets 4 wait for at most a second, and gives its
// calls a minute to finish when it leaves.
func ExampleNewWorker() {
	ca, err := rpctest.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	ep := exampleEndpoint(ca)
	defer ep.Close()
	node, err := cluster.Join(context.Background(), ep, &cluster.Config{
		Name: "worker-a", Tags: cluster.Tags{"role": "worker"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	worker, err := workers.NewWorker(node, &workers.WorkerConfig{
		Capacity:     8,
		Queue:        4,
		QueueWait:    time.Second,
		DrainTimeout: time.Minute,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()
	fmt.Println(worker.InFlight(), "in flight,", worker.Queued(), "queued")
	// Output:
	// 0 in flight, 0 queued
}

// A client that makes an idempotent call a second time if the first worker has not
// answered within 50 ms.
func ExampleNewClient() {
	list, ep, stop := examplePool(&workers.WorkerConfig{Capacity: 8})
	defer stop()
	registry, err := workers.NewStaticRegistry(ep, list, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	client, err := workers.NewClient(registry, &workers.ClientConfig{
		Selector:   "zone=eu-1",
		HedgeAfter: 50 * time.Millisecond,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := registry.WaitReady(context.Background(), 1); err != nil {
		log.Fatal(err)
	}
	ctx, _ := rpcnet.NewCall(context.Background(), rpcnet.CallOptions{Idempotent: true})
	out, err := client.CallWorker(ctx, "compute", nil, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", out)
	// Output:
	// worker-a
}
