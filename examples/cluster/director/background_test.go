package main

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A worker that dies with a call of compute costs no call: compute only
// computes, so that another worker may do it again.
func TestComputeIsAnsweredThoughAWorkerDiesWithTheCall(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	node, err := cluster.Join(t.Context(), rpctest.Listen(t, nil), &cluster.Config{Name: "director", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	registry, err := workers.NewRegistry(node, &workers.RegistryConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	client, err := workers.NewClient(registry, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	var calls atomic.Int32
	eps, dies := map[string]*rpcnet.Endpoint{}, make(chan string, 1)
	for _, name := range []string{"worker-a", "worker-b"} {
		srv := rpcnet.NewServer(nil)
		srv.Handle("compute", func(ctx context.Context, in []byte) ([]byte, error) {
			if calls.Add(1) > 1 {
				return in, nil
			}
			dies <- name
			<-ctx.Done()
			return nil, ctx.Err()
		})
		ep := rpctest.Serve(t, srv, nil)
		eps[name] = ep
		worker, err := cluster.Join(t.Context(), ep, &cluster.Config{
			Name: name, Seeds: []string{node.Self().Addr}, Tags: cluster.Tags{"role": "worker"}, Logger: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { worker.Close() })
		if _, err := workers.NewWorker(worker, &workers.WorkerConfig{Logger: log}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := registry.WaitReady(ctx, 2); err != nil {
		t.Fatal(err)
	}
	go func() { eps[<-dies].Close() }()
	worker, err := compute(ctx, client, binary.BigEndian.AppendUint32(nil, 1))
	if err != nil || worker == "" || calls.Load() != 2 {
		t.Errorf("%d calls, answered by %q, error %v", calls.Load(), worker, err)
	}
}
