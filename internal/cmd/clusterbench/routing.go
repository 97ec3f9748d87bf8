//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// routing measures for how long a registry still chooses a worker that has got
// a signal: SIGKILL, or SIGSTOP for a host that falls silent. A busy worker is
// one whose process the system takes long to clear away, and whose heartbeats are
// late: see toil.
func routing(name string, signal syscall.Signal, busy bool, limit float64) row {
	what, args := ", idle", []string(nil)
	if busy {
		what, args = ", busy", []string{"busy"}
	}
	name += what
	return single(line{name, "ms", fmt.Sprintf("<= %.0f", limit), 0, limit}, 20, 1, func(*berth) ([]float64, error) {
		dir, err := os.MkdirTemp("", "clusterbench")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		if _, err := certs.Make(dir, nil); err != nil {
			return nil, err
		}
		ep, err := rpcnet.Listen("127.0.0.1:0", credentials(dir), &rpcnet.EndpointConfig{Logger: quiet})
		if err != nil {
			return nil, err
		}
		defer ep.Close()
		n, err := cluster.Join(context.Background(), ep, &cluster.Config{Name: "director", Logger: quiet})
		if err != nil {
			return nil, err
		}
		defer n.Close()
		r, err := workers.NewRegistry(n, &workers.RegistryConfig{Logger: quiet})
		if err != nil {
			return nil, err
		}
		defer r.Close()
		victim, err := spawn(dir, "victim", ep.Addr().String(), args...)
		if err != nil {
			return nil, err
		}
		defer reap(victim)
		other, err := spawn(dir, "other", ep.Addr().String())
		if err != nil {
			return nil, err
		}
		defer reap(other)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.WaitReady(ctx, 2); err != nil {
			return nil, err
		}
		time.Sleep(2 * time.Second) // twenty heartbeats end the patience of the start
		start := time.Now()
		if err := victim.Process.Signal(signal); err != nil {
			return nil, err
		}
		var last time.Duration
		for time.Since(start) < time.Second {
			a, err := r.Assign(balance.PickRequest{Selector: "role=worker"})
			if err != nil {
				return nil, err
			}
			if a.Worker.Name == "victim" {
				last = time.Since(start)
			}
			time.Sleep(200 * time.Microsecond)
		}
		return []float64{float64(last) / float64(time.Millisecond)}, nil
	})
}

// toil keeps a process busy: with 256 MiB in small pieces, and as many goroutines
// as it has processors that make garbage of them all the time, until ctx ends.
func toil(ctx context.Context) {
	const piece, pieces = 1 << 10, 256 << 10
	workers := runtime.GOMAXPROCS(0)
	for range workers {
		live := make([][]byte, pieces/workers)
		go func() {
			for i := 0; ctx.Err() == nil; i++ {
				live[i%len(live)] = make([]byte, piece)
			}
		}()
	}
}
