package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// directory implements contract.DirectorRegistry, for clients that connect to
// their worker by themselves. Those of package director have a contract of
// their own.
type directory struct{ *director.Director }

// GetWorker chooses a worker for a client that will call it directly.
func (d *directory) GetWorker(ctx context.Context, req *contract.GetWorkerRequest) (*contract.GetWorkerResponse, error) {
	a, err := d.Director.GetWorker(ctx, director.Request{PickRequest: balance.PickRequest{Selector: req.Selector, Exclude: req.Exclude}})
	switch {
	case errors.Is(err, workers.ErrNoWorker):
		return nil, &contract.NoWorkers{Selector: req.Selector, Message: err.Error()}
	case rpcnet.CodeOf(err) == rpcnet.CodeInvalidArgument:
		return nil, &contract.BadSelector{Selector: req.Selector, Reason: err.Error()}
	case err != nil:
		return nil, err
	}
	res := &contract.GetWorkerResponse{
		Label: a.Worker.Name, Addr: a.Worker.Addr, NodeID: a.Worker.ID(), Ticket: a.Ticket,
		ConnectionID: cmp.Or(req.ConnectionID, rand.Text()[:8]),
	}
	for _, w := range a.Alternates {
		res.Alternates = append(res.Alternates, contract.Alternate{Label: w.Name, Addr: w.Addr})
	}
	return res, nil
}
