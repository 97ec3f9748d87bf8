// Package contract holds the two contracts of the cluster example: what a
// director answers and what a worker streams. rpcnet-gen makes the rest.
package contract

import (
	"context"
	"fmt"

	"github.com/rpcnet-go/rpcnet"
)

//go:generate go tool rpcnet-gen

// DirectorRegistry gives workers to clients.
//
//rpcnet:service cluster.v1.DirectorRegistry
//rpcnet:errors DirectorError
type DirectorRegistry interface {
	// GetWorker returns the worker that a client should connect to.
	//
	//rpcnet:limits timeout=5s
	GetWorker(ctx context.Context, req *GetWorkerRequest) (*GetWorkerResponse, error)
}

// GetWorkerRequest asks for a worker.
type GetWorkerRequest struct {
	// Selector filters workers by their tags, "gpu=h100,zone=a"; empty: any.
	Selector string
	// Exclude are labels of workers that have just failed the client.
	Exclude []string
	// ConnectionID names the client's generation in logs.
	ConnectionID string
}

// GetWorkerResponse is the worker of one client.
type GetWorkerResponse struct {
	Label string
	Addr  string
	// NodeID is the worker's identity in the cluster.
	NodeID string
	// ConnectionID is the request's, or a new one if that was empty.
	ConnectionID string
	// Ticket goes with the call to the worker (rpcnet.CallOptions), so that the
	// assignment counts until the worker has it, and never twice.
	Ticket []byte `rpc:"ticket,max=64"`
	// Alternates are other workers, for when this one fails and no director
	// answers.
	Alternates []Alternate `rpc:"alternates,max=8"`
}

// Alternate is a worker that would have done as well.
type Alternate struct {
	Label string
	Addr  string
}

// DirectorError is what GetWorker fails with.
//
//rpcnet:errors
type DirectorError interface {
	error
	isDirectorError()
}

// NoWorkers says that no worker can be given now: try again later.
type NoWorkers struct {
	Selector string
	Message  string
}

// BadSelector says that the request can never be answered.
type BadSelector struct {
	Selector string
	Reason   string
}

func (e *NoWorkers) Error() string {
	if e.Selector == "" {
		return "no workers available: " + e.Message
	}
	return fmt.Sprintf("no workers available for %q: %s", e.Selector, e.Message)
}

func (e *BadSelector) Error() string { return fmt.Sprintf("bad selector %q: %s", e.Selector, e.Reason) }

// Code says that a client can try again later.
func (*NoWorkers) Code() rpcnet.Code { return rpcnet.CodeUnavailable }

// Code says that the request is wrong, so that a client does not try again.
func (*BadSelector) Code() rpcnet.Code { return rpcnet.CodeInvalidArgument }

func (*NoWorkers) isDirectorError()   {}
func (*BadSelector) isDirectorError() {}
