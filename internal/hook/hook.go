// Package hook lets packages of this module reach what others do not export:
// package workers a node of package cluster, tests and benchmarks the sockets and
// the partition detector of a node.
package hook

// Node is set by package cluster: what package workers needs of a node. Package
// workers asserts it to the interface that it calls.
var Node any

// Calls is set by package workers: the method of a workers.ClientConfig that makes
// a failover.Config of it. Package director, whose clients take the same
// configuration, asserts it to the function it is.
var Calls any

// Lease is set by package workers: the function that has a workers.Registry choose workers
// for several calls at once. Spend takes their tickets back by number. Package director
// asserts both to the functions that they are.
var Lease, Spend any

// A Receiver is the receiving side of a call.
type Receiver interface{ Recv(msg any) error }

// A MessageReceiver is the receiving side of a call of this module with no interceptor
// before it: generated code gets messages from it with fewer allocations.
type MessageReceiver interface {
	Receiver
	// RecvNew returns the next message, which it makes: a *T for a struct T. Nil without
	// an error says that the next message is to be made by the caller, and that none was
	// received.
	RecvNew() (msg any, err error)
	// RecvOver is Recv that uses the memory of what msg holds again.
	RecvOver(msg any) error
}

// RecvOne is set by package rpcnet: it receives the single response of a call, and
// the end after it. Package stub makes it available to generated code.
var RecvOne func(s Receiver, res any) error
