package director_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/examples/greeting"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A worker, a director, and a client that is not part of the cluster. The client
// is a transport, so a generated client works over it as over a connection.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pool := newPool(ctx) // in a program: rpcnet.CertFiles, see "rpcnet certs"
	defer pool.close()

	// The worker serves the contract.
	worker := pool.node("worker-a", cluster.Tags{"role": "worker", "gpu": "h100"})
	if _, err := workers.NewWorker(worker, &workers.WorkerConfig{Capacity: 16, Logger: quiet}); err != nil {
		log.Fatal(err)
	}
	srv := rpcnet.NewServer(nil)
	greeting.RegisterGreeting(srv, &greeting.GreetingFuncs{
		HelloFunc: func(_ context.Context, req *greeting.HelloRequest) (*greeting.HelloResponse, error) {
			return &greeting.HelloResponse{Text: "Hello, " + req.Name + ", from worker-a!"}, nil
		},
	})
	go worker.Endpoint().Serve(ctx, srv)

	// The director serves its own procedures. Its registry finds the workers.
	front := pool.node("director", cluster.Tags{"role": "director"}, worker.Self().Addr)
	registry, err := workers.NewRegistry(front, &workers.RegistryConfig{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	srv = rpcnet.NewServer(nil)
	director.New(registry, &director.Config{Logger: quiet}).Register(srv)
	go front.Endpoint().Serve(ctx, srv)
	if err := registry.WaitReady(ctx, 1); err != nil {
		log.Fatal(err)
	}

	// The client knows the address of the director and no worker's.
	cfg := &director.ClientConfig{Credentials: pool.credentials(), Logger: quiet}
	client, err := director.Dial(ctx, cfg, front.Self().Addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{Selector: "gpu=h100", WaitForReady: true})
	res, err := greeting.NewGreetingClient(client).Hello(ctx, &greeting.HelloRequest{Name: "Ada"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Text)
	// Output:
	// Hello, Ada, from worker-a!
}

// A director with a contract of its own asks GetWorker from a handler.
func ExampleDirector_GetWorker() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pool := newPool(ctx)
	defer pool.close()
	worker := pool.node("worker-a", cluster.Tags{"role": "worker"})
	if _, err := workers.NewWorker(worker, &workers.WorkerConfig{Logger: quiet}); err != nil {
		log.Fatal(err)
	}
	go worker.Endpoint().Serve(ctx, rpcnet.NewServer(nil))
	front := pool.node("director", nil, worker.Self().Addr)
	registry, err := workers.NewRegistry(front, &workers.RegistryConfig{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer registry.Close()
	if err := registry.WaitReady(ctx, 1); err != nil {
		log.Fatal(err)
	}

	d := director.New(registry, &director.Config{Logger: quiet})
	srv := rpcnet.NewServer(nil)
	srv.Handle("which worker", func(ctx context.Context, selector []byte) ([]byte, error) {
		a, err := d.GetWorker(ctx, director.Request{PickRequest: balance.PickRequest{Selector: string(selector)}})
		if err != nil {
			return nil, err
		}
		return []byte(a.Worker.Name), nil // the caller of a real one needs the address and the ticket too
	})
	conn := rpcnet.InProcess(srv)
	defer conn.Close()
	for _, selector := range []string{"role=worker", "gpu=h100"} {
		name, err := rpcnet.CallRaw(ctx, conn, "which worker", []byte(selector))
		fmt.Printf("%s: %q, %v\n", selector, name, rpcnet.CodeOf(err))
	}
	// Output:
	// role=worker: "worker-a", OK
	// gpu=h100: "", Unavailable
}

// A pool is what the examples need around them: an authority and nodes.
type pool struct {
	ctx   context.Context
	ca    *rpctest.DevCA
	nodes []io.Closer
}

func newPool(ctx context.Context) *pool {
	ca, err := rpctest.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	return &pool{ctx: ctx, ca: ca}
}

func (p *pool) credentials() rpcnet.Credentials {
	creds, err := p.ca.Credentials()
	if err != nil {
		log.Fatal(err)
	}
	return creds
}

// node starts a node that joins through seeds. close ends it.
func (p *pool) node(name string, tags cluster.Tags, seeds ...string) *cluster.Node {
	ep, err := rpcnet.Listen("127.0.0.1:0", p.credentials(), &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	n, err := cluster.Join(p.ctx, ep, &cluster.Config{Name: name, Seeds: seeds, Tags: tags, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	p.nodes = append(p.nodes, ep, n)
	return n
}

func (p *pool) close() {
	for i := len(p.nodes) - 1; i >= 0; i-- {
		p.nodes[i].Close()
	}
}
