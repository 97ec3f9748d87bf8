// Package director gives workers to callers that are not part of the cluster,
// and is the caller's side of it.
//
// A director is any node with a registry of workers ([New]). Several may run
// side by side: each counts what it has given away until the workers report
// it, so they need not know of each other.
//
// A client ([Dial]) is an rpcnet.Transport, so every generated client works
// over it. For each call it asks a director for a worker and calls that worker
// directly. When the worker fails, it returns to the director and says so; a
// call that no handler saw, or an idempotent one, is made again elsewhere, and a
// resumable stream goes on with the next message on another worker. While no
// director answers, or has a worker to give, the client goes on with the workers
// it has been told of. The worker of an idempotent unary call that does not
// answer for 0.5 s is asked whether it lives, and given up if it does not say so.
//
// Goroutines: a director has none. A client has those of its connections, one
// per director and worker, one per director while it waits for one to be
// connected, and one per probe of a silent worker.
package director

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// Alternates is how many further workers a director names with each
// assignment.
const Alternates = 2

// A Director answers clients with workers of a registry. It is safe for
// concurrent use.
type Director struct {
	registry *workers.Registry
	log      *slog.Logger
}

// New returns a director over a registry. logger receives assignments at
// Debug; nil is slog.Default.
func New(registry *workers.Registry, logger *slog.Logger) *Director {
	if logger == nil {
		logger = slog.Default()
	}
	return &Director{registry, logger}
}

// Register makes a server answer clients.
func (d *Director) Register(srv *rpcnet.Server) { directorv1.RegisterDirector(srv, service{d}) }

// A Request says what worker is wanted and what has happened before.
type Request struct {
	// PickRequest is what is wanted. Its Caller, for whom the ticket is good and by whom
	// Failures are told, is by default the peer of the call that is being served.
	balance.PickRequest
	// Failures are workers that have failed the caller since it last asked.
	Failures []Failure
	// Unused are tickets that will not be used, with their workers' names.
	Unused map[string][]byte
}

// A Failure is a life of a worker that has failed a caller.
type Failure struct{ Worker, Boot string }

// GetWorker chooses a worker for a caller, for programs with a contract of
// their own: ctx is that of the handler. The error is as that of
// workers.Registry.Assign.
func (d *Director) GetWorker(ctx context.Context, req Request) (workers.Assignment, error) {
	if call := rpcnet.ServerCallFrom(ctx); call != nil && req.Caller == "" {
		req.Caller = call.Peer().ID
	}
	for name, ticket := range req.Unused {
		d.registry.Return(name, ticket, req.Caller)
	}
	for _, f := range req.Failures {
		d.registry.ReportFailure(f.Worker, f.Boot, req.Caller)
	}
	if req.Alternates == 0 {
		req.Alternates = Alternates
	}
	a, err := d.registry.Assign(req.PickRequest)
	if errors.Is(err, workers.ErrNoWorker) && left(ctx) {
		return a, ctx.Err()
	}
	if err == nil {
		d.log.Debug("assigned", "worker", a.Worker.Name, "reason", a.Reason, "score", a.Score)
	}
	return a, err
}

// leaveWithin is how long a director that has no worker waits for the news that its
// caller has gone. When the process was stopped for a while, the questions of
// callers who have long given up are read first, and that they have after them:
// there is nobody left whom the answer would tell anything.
const leaveWithin = 20 * time.Millisecond

// left reports whether the caller goes within that time.
func left(ctx context.Context) bool {
	t := time.NewTimer(leaveWithin)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-t.C:
		return false
	}
}

// service is the wire form of a Director.
type service struct{ d *Director }

func (s service) GetWorker(ctx context.Context, req *directorv1.GetWorkerRequest) (*directorv1.GetWorkerResponse, error) {
	r := Request{
		PickRequest: balance.PickRequest{Selector: req.Selector, Exclude: req.Exclude, AffinityKey: req.Key, LastWorker: req.Hint, WaitInQueue: req.QueueOK},
	}
	for _, f := range req.Failures {
		r.Failures = append(r.Failures, Failure{f.Worker, f.Boot})
	}
	if len(req.Unused) > 0 {
		r.Unused = map[string][]byte{}
		for _, u := range req.Unused {
			r.Unused[u.Worker] = u.Ticket
		}
	}
	a, err := s.d.GetWorker(ctx, r)
	if err != nil {
		return nil, err
	}
	res := &directorv1.GetWorkerResponse{Worker: worker(a.Cluster, a.Worker), Ticket: a.Ticket}
	for _, m := range a.Alternates {
		res.Alternates = append(res.Alternates, worker(a.Cluster, m))
	}
	return res, nil
}

func worker(of string, m cluster.Member) directorv1.Worker {
	return directorv1.Worker{Cluster: of, Name: m.Name, Boot: m.Boot, Addr: m.Addr, ServerName: m.ServerName}
}
