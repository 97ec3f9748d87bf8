package workers_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/workers"
)

// staticWorker starts a worker that belongs to no cluster.
func staticWorker(t testing.TB, name string) cluster.Member {
	t.Helper()
	ep := listen(t, "127.0.0.1:0")
	w, err := workers.NewStaticWorker(ep, &workers.WorkerConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	srv := rpcnet.NewServer(nil)
	srv.Handle("compute", func(context.Context, []byte) ([]byte, error) { return []byte(name), nil })
	srv.Handle("seen", func(ctx context.Context, in []byte) ([]byte, error) {
		call := rpcnet.ServerCallFrom(ctx)
		call.SetHeader("h", "of the response")
		call.SetTrailer("t", "of the response")
		return fmt.Appendf(nil, "%s: %v of %v, priority %d, attempt %d", in, call.Header()["h"],
			slices.Sorted(maps.Keys(call.Header())), call.Priority(), call.Attempt()), nil
	})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		ep.Serve(ctx, srv)
	}()
	t.Cleanup(func() { stop(); <-served })
	return cluster.Member{Name: name, Addr: ep.Addr().String(), Tags: cluster.Tags{"role": "worker"}}
}

func TestStaticRegistryFollowsItsList(t *testing.T) {
	t.Parallel()
	a, b := staticWorker(t, "worker-a"), staticWorker(t, "worker-b")
	list := workers.NewStaticMembers(a)
	r, err := workers.NewStaticRegistry(listen(t, "127.0.0.1:0"), list, &workers.RegistryConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c, err := workers.NewClient(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	d := &routing{registry: r, client: c}
	d.ready(t, 1)
	if got := d.call(t, ""); got != "worker-a" {
		t.Errorf("answered by %s", got)
	}
	list.Set(b)
	within(t, "only worker-b is there", func() bool {
		ws := r.Workers()
		return len(ws) == 1 && ws[0].Name == "worker-b" && ws[0].Ready
	})
	if got := d.call(t, ""); got != "worker-b" {
		t.Errorf("answered by %s", got)
	}
	if _, ok := r.Worker("worker-a"); ok {
		t.Error("worker-a is still known")
	}
}
