// Command worker is a worker of the cluster example: it generates tokens for
// the clients that the director sends. See "worker -h".
//
//	DIRECTOR_ADDR=127.0.0.1:61000 WORKER_LABEL=worker-a WORKER_ADDR=127.0.0.1:62001 go run ./examples/cluster/worker
package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/program"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A worker is the process: an endpoint that is a node of the cluster while it
// does not pretend to have failed.
type worker struct {
	director string
	label    string
	addr     string
	tags     cluster.Tags
	capacity int
	log      *slog.Logger

	ep    *rpcnet.Endpoint
	node  *cluster.Node // of the goroutine that runs run; nil before the first join
	state *state
}

func main() {
	p := program.New("worker", "generates tokens for clients, as a member of the cluster that the director is in.",
		"the member to join the cluster through", "test")
	label := p.Vars.Name("WORKER_LABEL", "worker-1", "the worker's name, also its tag label")
	addr := p.Vars.Addr("WORKER_ADDR", "127.0.0.1:62001", "the address to bind, for TCP and UDP")
	tags := cluster.Tags{}
	p.Vars.Func("WORKER_TAGS", "", "more tags, such as zone=a,gpu=h100", func(s string) (err error) {
		if tags, err = cluster.ParseTags(s); err != nil {
			err = fmt.Errorf("want tags such as zone=a,gpu=h100: %w", err)
		}
		return err
	})
	capacity := p.Vars.Uint("WORKER_CAPACITY", 16, 1, 100_000, "how many streams it wants to run at once")
	failures := p.Vars.Bool("WORKER_FAILURE_ENABLED", false, "fail for 5 s out of every 18 s")
	offset := p.Vars.Duration("WORKER_FAILURE_OFFSET", 0, 0, time.Hour, "how long to wait before the first of these cycles")
	p.Main(func(ctx context.Context, log *slog.Logger) error {
		tags["role"], tags["label"] = "worker", *label
		w := &worker{director: *p.DirectorAddr, label: *label, addr: *addr, tags: tags, capacity: int(*capacity), log: log, state: newState()}
		log.Info(fmt.Sprintf("👷 Starting Worker '%s' at %s", w.label, w.addr))
		creds, err := p.Credentials(log)
		if err != nil {
			return err
		}
		log.Info(fmt.Sprintf("🔌 Binding server to %s...", w.addr))
		if w.ep, err = program.Listen("WORKER_ADDR", w.addr, creds, log); err != nil {
			return err
		}
		defer w.ep.Close()
		log.Info(fmt.Sprintf("✅ Server bound successfully to %s", w.ep.Addr()))
		life := w.steady
		if *failures {
			life = w.failing(*offset)
		}
		return w.run(ctx, life)
	})
}

// run serves until ctx ends, and then drains.
func (w *worker) run(ctx context.Context, life func(context.Context) error) error {
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{w.refuseWhenFailed}})
	contract.RegisterInference(srv, &inference{worker: w})
	srv.Handle("compute", compute)
	served := make(chan error, 1)
	go func() { served <- w.ep.Serve(context.Background(), srv) }()

	err := w.join(ctx)
	if err == nil {
		w.log.Info(fmt.Sprintf("🚀 Worker '%s' is running and ready to handle requests", w.label))
		err = life(ctx)
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	w.log.Info(fmt.Sprintf("🛑 Worker '%s' is draining", w.label))
	drain, cancel := context.WithTimeout(context.Background(), program.DrainTime)
	defer cancel()
	if w.node != nil {
		w.node.Leave(drain)
	}
	w.ep.Shutdown(drain) // what is left at the end of the time is cut
	<-served
	w.log.Info(fmt.Sprintf("👋 Worker '%s' has left", w.label))
	return nil
}

// join makes the endpoint a node of the cluster and a worker.
func (w *worker) join(ctx context.Context) error {
	w.log.Info(fmt.Sprintf("🌐 Enabling cluster, connecting to director at %s...", w.director))
	node, err := cluster.Join(ctx, w.ep, &cluster.Config{
		Name:    w.label,
		Cluster: program.Cluster,
		Seeds:   []string{w.director},
		Tags:    maps.Clone(w.tags),
		Logger:  w.log,
	})
	if err != nil {
		return err
	}
	w.node = node
	go program.LogEvents(node, w.log)
	_, err = workers.NewWorker(node, &workers.WorkerConfig{
		Capacity:     w.capacity,
		DrainTimeout: -1, // streams go on elsewhere as soon as we leave
		Logger:       w.log,
	})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !reached(node) {
		w.log.Warn(fmt.Sprintf("⏳ Director at %s does not answer - still trying", w.director))
		select {
		case <-node.Joined():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	w.log.Info("✅ Cluster enabled, connected to director")
	w.log.Info(fmt.Sprintf("🏷️  Tagging worker with role=worker and label=%s...", w.label))
	w.log.Info(fmt.Sprintf("✅ Worker '%s' joined cluster with role=worker, label=%s", w.label, w.label), "tags", w.tags.String())
	return nil
}

// reached reports whether the node has been in contact with a seed.
func reached(node *cluster.Node) bool {
	select {
	case <-node.Joined():
		return true
	default:
		return false
	}
}

// steady lives without failures.
func (w *worker) steady(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
