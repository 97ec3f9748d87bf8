// Package directorv1 is the contract between a director and its clients. Package
// director implements both sides. All texts and lists have a limit, because
// any client can send them.
package directorv1

import "context"

//go:generate go tool rpcnet-gen

// Director gives workers to clients.
//
//rpcnet:service director.v1.Director
type Director interface {
	// GetWorker returns a worker for one call.
	//
	// The largest request that the limits of its fields allow has 250 KB.
	//
	//rpcnet:limits timeout=5s maxsize=256KiB
	GetWorker(ctx context.Context, req *GetWorkerRequest) (*GetWorkerResponse, error)

	// Lease returns workers for the next calls of a client, each with a ticket, in the
	// order in which they are to be used. It returns fewer than are wanted, or none, if
	// that would be more than the client's share of the free places of the workers.
	//
	// The largest request that the limits of its fields allow has 650 KB.
	//
	//rpcnet:limits timeout=5s maxsize=768KiB
	Lease(ctx context.Context, req *LeaseRequest) (*LeaseResponse, error)
}

// GetWorkerRequest says which worker is wanted, and what has happened since the
// last request.
type GetWorkerRequest struct {
	// Selector filters workers by their tags. Empty means any worker.
	Selector string `rpc:"selector,max=4096"`
	// Exclude are the names of workers that are not wanted.
	Exclude []string `rpc:"exclude,max=256"`
	// Key is the affinity key. Hint is the worker that served the session before.
	Key  string `rpc:"key,max=1024"`
	Hint string `rpc:"hint,max=256"`
	// QueueOK says that full workers have refused the call, and that it now waits
	// in the queue of one.
	QueueOK bool
	// Failures are the failures that the client has seen since its last request.
	Failures []Failure `rpc:"failures,max=256"`
	// Unused are tickets that the client will not use.
	Unused []Unused `rpc:"unused,max=256"`
}

// Failure is a worker that failed the client.
type Failure struct {
	Worker string `rpc:"worker,max=128"`
	Boot   string `rpc:"boot,max=64"`
}

// Unused is a ticket that its client will not use.
type Unused struct {
	Worker string `rpc:"worker,max=128"`
	Ticket []byte `rpc:"ticket,max=64"`
}

// LeaseRequest says how many workers are wanted, and what has happened since the last
// request.
type LeaseRequest struct {
	// Selector filters workers by their tags. Empty means any worker.
	Selector string `rpc:"selector,max=4096"`
	// Want is how many workers are wanted. 0: none, the rest of the request counts.
	Want uint32
	// Failures and Unused are those of GetWorkerRequest.
	Failures []Failure `rpc:"failures,max=256"`
	Unused   []Unused  `rpc:"unused,max=256"`
	// Spent are leased tickets that the director is to count no more.
	Spent []Spent `rpc:"spent,max=128"`
}

// Spent are leased tickets of a worker whose calls have ended, or will not be made.
type Spent struct {
	Worker string `rpc:"worker,max=128"`
	// Balancer is the number in the tickets that tells who has made them.
	Balancer uint64
	// Numbers are those at the ends of the tickets.
	Numbers []uint64 `rpc:"numbers,packed,max=512"`
}

// LeaseResponse is a lease of workers.
type LeaseResponse struct {
	// Millis is how long the tickets can be used, in milliseconds. The client then
	// returns those that are left.
	Millis uint32
	// Workers are those of the lease.
	Workers []Worker `rpc:"workers,max=64"`
	// Slots are the places of the calls, one after the other: see AppendSlot.
	Slots []byte `rpc:"slots,max=18944"`
}

// GetWorkerResponse is the assignment of a worker.
type GetWorkerResponse struct {
	Worker Worker
	// Ticket is sent with the call to the worker, which counts the call by it.
	Ticket []byte `rpc:"ticket,max=64"`
	// Alternates are workers to call if this one fails and no director answers.
	Alternates []Worker `rpc:"alternates,max=8"`
}

// Worker says where to find a worker. A host name has at most 253 bytes (RFC 1035).
type Worker struct {
	// Cluster is the name of its cluster. Empty means none.
	Cluster string `rpc:"cluster,max=128"`
	Name    string `rpc:"name,max=128"`
	Boot    string `rpc:"boot,max=64"`
	Addr    string `rpc:"addr,max=272"`
	// ServerName is the name that its certificate must carry. Empty means the host
	// of its address.
	ServerName string `rpc:"serverName,max=2048"`
}
