package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
)

// director implements contract.DirectorRegistry.
type director struct {
	registry *cluster.WorkerRegistry
	log      *slog.Logger
}

// GetWorker chooses a worker for a client that will call it directly.
func (d *director) GetWorker(_ context.Context, req *contract.GetWorkerRequest) (*contract.GetWorkerResponse, error) {
	id := cmp.Or(req.ConnectionID, rand.Text()[:8])
	log := d.log.With("connection", id)
	log.Info("📨 client requesting worker assignment", "selector", req.Selector, "exclude", req.Exclude)
	a, err := d.registry.Assign(cluster.Choice{Selector: req.Selector, Exclude: req.Exclude})
	switch {
	case errors.Is(err, cluster.ErrNoWorker):
		log.Warn("⚠️  No workers available", "reason", err)
		return nil, &contract.NoWorkers{Selector: req.Selector, Message: err.Error()}
	case errors.As(err, new(*cluster.SelectorError)):
		return nil, &contract.BadSelector{Selector: req.Selector, Reason: err.Error()}
	case err != nil:
		return nil, err
	}
	log.Info("✅ assigned worker to client", "worker", a.Worker.Name, "addr", a.Worker.Addr, "reason", a.Reason)
	return &contract.GetWorkerResponse{Label: a.Worker.Name, Addr: a.Worker.Addr, NodeID: a.Worker.ID(), ConnectionID: id}, nil
}
