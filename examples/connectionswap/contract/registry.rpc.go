package contract

import "context"

// Registry is where workers register and clients ask.
//
//rpcnet:service swap.v1.Registry
type Registry interface {
	// Register adds a worker, or says that it is still there.
	//
	//rpcnet:idempotent timeout=2s
	Register(ctx context.Context, req *RegisterRequest) (*RegisterResponse, error)
	// GetWorker returns the next worker.
	//
	//rpcnet:limits timeout=2s
	GetWorker(ctx context.Context, req *GetWorkerRequest) (*GetWorkerResponse, error)
}

// RegisterRequest names a worker.
type RegisterRequest struct{ Label, Addr string }

// RegisterResponse is empty.
type RegisterResponse struct{}

// GetWorkerRequest names the worker that has just failed the client, if any.
type GetWorkerRequest struct{ Failed string }

// GetWorkerResponse is the worker to call.
type GetWorkerResponse struct{ Label, Addr string }

// Health is what the director pings.
//
//rpcnet:service swap.v1.Health
type Health interface {
	// Ping answers.
	//
	//rpcnet:nosideeffects timeout=1s
	Ping(ctx context.Context, req *PingRequest) (*PingResponse, error)
}

// PingRequest is empty.
type PingRequest struct{}

// PingResponse is empty.
type PingResponse struct{}
