package workers_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A testWorker is a worker node that serves "compute" (which answers with the
// worker's name) and "hold" (which answers when released).
type testWorker struct {
	*history
	ep      *rpcnet.Endpoint
	worker  *workers.Worker
	name    string
	calls   atomic.Int64
	release chan struct{}
	stop    context.CancelFunc
	served  chan struct{}
}

type workerOptions struct {
	tags   cluster.Tags
	config workers.WorkerConfig
	addr   string
	serve  func(w *testWorker, srv *rpcnet.Server)
}

func startWorker(t testing.TB, name string, seed *history, o workerOptions) *testWorker {
	t.Helper()
	if o.addr == "" {
		o.addr = "127.0.0.1:0"
	}
	tags := cluster.Tags{"role": "worker", "label": name}
	for k, v := range o.tags {
		tags[k] = v
	}
	w := &testWorker{name: name, ep: listen(t, o.addr), release: make(chan struct{}), served: make(chan struct{})}
	w.history = join(t, w.ep, cluster.Config{Name: name, Seeds: addrs(seed), Tags: tags})
	o.config.Logger = quiet()
	var err error
	if w.worker, err = workers.NewWorker(w.Node, &o.config); err != nil {
		t.Fatal(err)
	}
	srv := rpcnet.NewServer(nil)
	srv.Handle("compute", func(context.Context, []byte) ([]byte, error) {
		w.calls.Add(1)
		return []byte(name), nil
	})
	srv.Handle("hold", func(ctx context.Context, _ []byte) ([]byte, error) {
		w.calls.Add(1)
		select {
		case <-w.release:
			return []byte(name), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	if o.serve != nil {
		o.serve(w, srv)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() {
		defer close(w.served)
		w.ep.Serve(ctx, srv)
	}()
	t.Cleanup(func() { stop(); <-w.served })
	return w
}

// kill is the death of the worker's process, as others see it.
func (w *testWorker) kill() {
	w.ep.Close()
	w.stop()
	w.Node.Close()
	<-w.served
}

// routing is a balancer: a node with a registry and a client.
type routing struct {
	*history
	registry *workers.Registry
	client   *workers.Client
}

func startRouting(t testing.TB, cfg workers.RegistryConfig, ccfg *workers.ClientConfig) *routing {
	t.Helper()
	return routingOn(t, start(t, "director"), cfg, ccfg)
}

func routingOn(t testing.TB, h *history, cfg workers.RegistryConfig, ccfg *workers.ClientConfig) *routing {
	t.Helper()
	cfg.Logger = quiet()
	r, err := workers.NewRegistry(h.Node, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c, err := workers.NewClient(r, ccfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &routing{h, r, c}
}

// ready waits until n workers can be chosen.
func (r *routing) ready(t testing.TB, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // on a starved machine
	defer cancel()
	if err := r.registry.WaitReady(ctx, n); err != nil {
		t.Fatalf("%v\n%.4000s", err, fmt.Sprint(r.registry.Workers()))
	}
}

// inFlight returns the calls a worker reports.
func (r *routing) inFlight(name string) int {
	for _, w := range r.registry.Workers() {
		if w.Name == name {
			return w.Load.InFlight
		}
	}
	return -1
}

func (r *routing) call(t testing.TB, selector string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := r.client.CallWorker(ctx, "compute", nil, selector)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// with returns a context for calls with options.
func with(t *testing.T, o rpcnet.CallOptions) context.Context {
	ctx, _ := rpcnet.NewCall(t.Context(), o)
	return ctx
}
