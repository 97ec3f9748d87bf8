package workers_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A node that works, and a node that chooses among those that do and calls them.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	ca, err := rpcnet.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	node := func(name string, tags cluster.Tags, seeds ...string) *cluster.Node {
		creds, err := ca.Credentials()
		if err != nil {
			log.Fatal(err)
		}
		ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet})
		if err != nil {
			log.Fatal(err)
		}
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

// Who calls a worker itself asks for an assignment, so that it counts from then on.
func ExampleRegistry_Assign() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	ca, err := rpcnet.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	listen := func() *rpcnet.Endpoint {
		creds, err := ca.Credentials()
		if err != nil {
			log.Fatal(err)
		}
		ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet})
		if err != nil {
			log.Fatal(err)
		}
		return ep
	}
	worker, balancer := listen(), listen()
	defer worker.Close()
	defer balancer.Close()
	if _, err := workers.NewStaticWorker(worker, &workers.WorkerConfig{Logger: quiet}); err != nil {
		log.Fatal(err)
	}
	go worker.Serve(ctx, rpcnet.NewServer(nil))

	list := workers.NewStaticMembers(cluster.Member{Name: "worker-a", Addr: worker.Addr().String(), Tags: cluster.Tags{"role": "worker"}})
	registry, err := workers.NewStaticRegistry(balancer, list, &workers.RegistryConfig{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	if err := registry.WaitReady(ctx, 1); err != nil {
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
