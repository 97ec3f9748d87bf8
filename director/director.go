// Package director gives workers to callers that are not part of the cluster. It
// has both sides: the [Director], and the [Client] that calls through it.
//
// # The director
//
// A director is a node of the cluster with a registry of workers. It answers
// requests for a worker and does not touch the calls themselves:
//
//	node, err := cluster.Join(ctx, endpoint, &cluster.Config{Seeds: seeds})
//	registry, err := workers.NewRegistry(node, nil)
//	director.New(registry, nil).Register(server)
//	err = endpoint.Serve(ctx, server)
//
// Several directors can run side by side without knowing each other. Each counts
// the workers that it has given away until their reports confirm the calls.
//
// # The client
//
// A client is an rpcnet.Transport, so every generated client works over it:
//
//	client, err := director.Dial(ctx, &director.ClientConfig{Credentials: creds}, "10.0.0.1:61000", "10.0.0.2:61000")
//	inference := contract.NewInferenceClient(client)
//
// For each call it asks a director for a worker and then calls that worker
// directly. A client that calls often asks for the workers of many calls at once, and
// most of its calls do not wait for a director. If the worker fails, the client reports the failure to the director
// and goes on:
//
//   - A call that no handler has seen, or that is idempotent, is made again on
//     another worker.
//   - A resumable stream continues with the next message on another worker.
//   - If no director answers or has a worker to give, the client uses the workers
//     that it knows from earlier answers.
//   - If the worker of an idempotent unary call does not answer within 0.5 s, the
//     client probes it, and leaves it if the probe fails.
//   - If HedgeAfter is set, a slow idempotent unary call is made a second time, on an
//     alternate that the director has named with the worker.
//
// Goroutines: a director has none. A client has those of its connections, one for
// each probe of a silent worker, one for each lease that is asked for, and two for each director while a call waits for one
// to come back. A question to the directors, and the attempts of a call, belong
// to the goroutine that makes the call. What calls share is under Client.mu.
package director

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/contexts"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// alternates is how many further workers a director names with each assignment, if
// the request does not say.
const alternates = 2

// A Config configures a [Director]. The zero value has every default.
type Config struct {
	// Logger receives each assignment at level Debug. Default slog.Default.
	Logger *slog.Logger
}

// A Director answers requests for workers from a registry. It keeps nothing itself:
// what it has given away is counted in the registry. It is safe for concurrent use.
type Director struct {
	registry *workers.Registry
	log      *slog.Logger
}

// New returns a director that chooses workers from registry. A nil cfg has every
// default. The registry stays the caller's, who closes it after the server.
func New(registry *workers.Registry, cfg *Config) *Director {
	d := &Director{registry, slog.Default()}
	if cfg != nil && cfg.Logger != nil {
		d.log = cfg.Logger
	}
	return d
}

// Register makes srv serve requests for workers, as the procedures
// of /director.v1.Director. It panics if srv serves that already.
func (d *Director) Register(srv *rpcnet.Server) { directorv1.RegisterDirector(srv, service{d}) }

// A Request says which worker is wanted, and what has happened since the last one.
type Request struct {
	// PickRequest says which worker is wanted. Its Caller is the one that the ticket
	// is for. Default: the peer of the call that is being served. Default for
	// Alternates: 2.
	balance.PickRequest
	// Failures are workers that have failed the caller since its last request.
	Failures []Failure
	// Unused are tickets that the caller will not use, by the names of their workers.
	Unused map[string][]byte
}

// A Failure names one boot of a worker that has failed a caller.
type Failure struct{ Worker, Boot string }

// GetWorker chooses a worker for a caller. Programs whose directors have a
// contract of their own call it from a handler with the handler's context. The
// errors are those of workers.Registry.Assign.
func (d *Director) GetWorker(ctx context.Context, req Request) (workers.Assignment, error) {
	if call := rpcnet.ServerCallFrom(ctx); call != nil && req.Caller == "" {
		req.Caller = call.Peer().ID
	}
	// Reports come first, so that they count in the choice below.
	for name, ticket := range req.Unused {
		d.registry.Return(name, ticket, req.Caller)
	}
	for _, f := range req.Failures {
		d.registry.ReportFailure(f.Worker, f.Boot, req.Caller)
	}
	if req.Alternates == 0 {
		req.Alternates = alternates
	}
	a, err := d.registry.Assign(req.PickRequest)
	// The wait is for callers that get no worker only: others are answered at once.
	if errors.Is(err, workers.ErrNoWorker) && left(ctx) {
		return a, ctx.Err()
	}
	if err == nil && d.log.Enabled(ctx, slog.LevelDebug) {
		d.log.Debug("assigned", "worker", a.Worker.Name, "reason", a.Reason, "score", a.Score)
	}
	return a, err
}

// leaveWithin is how long a director that has no worker waits for its caller to
// cancel. After the process was stopped for a while, it first reads the requests
// of callers that have given up since, and their cancellations come right behind.
// Such a caller gets no answer.
const leaveWithin = 20 * time.Millisecond

// left reports whether the caller cancels within that time.
func left(ctx context.Context) bool { return !contexts.Sleep(ctx, leaveWithin) }
