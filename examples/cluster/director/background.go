package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/workers"
)

// every is the time between two looks at the pool, and between two calls of
// compute.
const every = 5 * time.Second

// sayReady logs each time that more workers than ever can be chosen, until ctx
// ends.
func sayReady(ctx context.Context, registry *workers.Registry, log *slog.Logger) {
	for n := 1; registry.WaitReady(ctx, n) == nil; n++ {
		log.Info(fmt.Sprintf("🙋 %d workers ready", n))
	}
}

// showPool logs the workers until ctx ends. That there are none is a warning
// from the second look on: at the first, none has had the time to come.
func showPool(ctx context.Context, registry *workers.Registry, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for none := slog.LevelInfo; ; none = slog.LevelWarn {
		var ready []workers.WorkerInfo
		for _, w := range registry.Workers() {
			if w.Ready {
				ready = append(ready, w)
			}
		}
		if len(ready) == 0 {
			log.Log(ctx, none, "⚠️  No workers available")
		} else {
			log.Info(fmt.Sprintf("📊 Worker pool status: %d workers available", len(ready)))
		}
		for _, w := range ready {
			log.Info(fmt.Sprintf("   - %s at %s (%d connections)", w.Name, w.Addr, w.Load.InFlight), "capacity", w.Load.Declared, "queued", w.Load.Queued, "tags", w.Tags.String())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// callCompute calls the procedure compute of some worker, again and again, until
// ctx ends.
func callCompute(ctx context.Context, registry *workers.Registry, client *workers.Client, log *slog.Logger) {
	input := binary.BigEndian.AppendUint32(nil, 1000) // rounds of hashing
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if registry.Count() == 0 {
			continue // said already
		}
		start := time.Now()
		worker, err := compute(ctx, client, input)
		if err != nil {
			log.Warn("⚠️  compute failed", "error", err)
			continue
		}
		log.Info("🧮 compute answered", "worker", worker, "took", time.Since(start).Round(time.Microsecond))
	}
}

// compute calls the procedure compute of some worker and returns which one
// answered. The procedure only computes, so that the call is made again on
// another worker when one falls silent or dies with it.
func compute(ctx context.Context, client *workers.Client, input []byte) (worker string, err error) {
	ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{Idempotent: true, ServedBy: func(w rpcnet.Target, _ string) { worker = w.Node }})
	_, err = client.CallWorker(ctx, "compute", input, "role=worker")
	return worker, err
}
