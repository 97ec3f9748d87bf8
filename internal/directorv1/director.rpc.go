// Package directorv1 is the contract between a director and its clients. See
// package director.
package directorv1

import "context"

//go:generate go tool rpcnet-gen

// Director gives workers to clients.
//
//rpcnet:service director.v1.Director
type Director interface {
	// GetWorker returns a worker for one call.
	//
	// A request with all that it may hold has 250 KB.
	//
	//rpcnet:limits timeout=5s maxsize=256KiB
	GetWorker(ctx context.Context, req *GetWorkerRequest) (*GetWorkerResponse, error)
}

// GetWorkerRequest says what worker is wanted and what has happened.
type GetWorkerRequest struct {
	// Selector filters workers by their tags; empty: any.
	Selector string `rpc:"selector,max=4096"`
	// Exclude are names of workers not wanted.
	Exclude []string `rpc:"exclude,max=256"`
	// Key is the affinity key, Hint the worker that served the session before.
	Key  string `rpc:"key,max=1024"`
	Hint string `rpc:"hint,max=256"`
	// QueueOK says that the call has been refused by full workers and would
	// rather wait.
	QueueOK bool
	// Failures are what the client has seen since it last asked.
	Failures []Failure `rpc:"failures,max=256"`
	// Unused are tickets that will not be used.
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

// GetWorkerResponse is the assignment.
type GetWorkerResponse struct {
	Worker Worker
	// Ticket goes with the call to the worker.
	Ticket []byte `rpc:"ticket,max=64"`
	// Alternates may be called when the worker fails and no director answers.
	Alternates []Worker `rpc:"alternates,max=8"`
}

// Worker is where to find a worker. A host name has at most 253 bytes.
type Worker struct {
	// Cluster is the name of its cluster, empty if there is none.
	Cluster string `rpc:"cluster,max=128"`
	Name    string `rpc:"name,max=128"`
	Boot    string `rpc:"boot,max=64"`
	Addr    string `rpc:"addr,max=272"`
	// ServerName is the name that its certificate is to carry, empty for its
	// address.
	ServerName string `rpc:"serverName,max=2048"`
}
