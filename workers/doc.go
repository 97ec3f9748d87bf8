// Package workers runs calls on the nodes of a cluster: which node runs a call, how it
// is chosen, and what happens if it fails.
//
// A [Worker] is the side that does the work. It counts the calls of its endpoint, keeps
// to a capacity, and reports its load. A [Registry] is the side that chooses: a live
// view of the workers of a cluster with their load. A [Client] makes calls on the
// workers that a registry chooses.
//
//	worker, err := workers.NewWorker(node, &workers.WorkerConfig{Capacity: 16})
//
//	registry, err := workers.NewRegistry(node, nil)
//	client, err := workers.NewClient(registry, nil)
//	greeting := contract.NewGreetingClient(client)
//
// Every constructor takes a pointer to its config as last parameter. nil, and every
// zero field, is the default.
//
// The strategies that compare workers are in package workers/balance. Callers outside
// the cluster use package director. Without gossip a [StaticMembers] says who the
// workers are.
//
// # What a registry knows
//
// A registry keeps a small connection of its own to each worker (report_client.go). On
// it the worker reports its load when it changes, and sends a heartbeat otherwise.
// Three things decide whether a worker can be chosen:
//
//   - its heartbeats, which a phi accrual detector judges (health.go),
//   - the connection, which breaks when a process dies,
//   - what the node knows of the member (table.go).
//
// What the registry finds out it gives the node as evidence, see cluster.Node.Suspect.
// [Registry.Workers] and [Registry.Explain] show all of it.
//
// # How a choice counts
//
// A worker counts the calls of all callers. A registry counts each choice at once,
// before the worker can report it, by a ticket that goes with the call: the next choice
// sees it, and when the worker reports the ticket the count moves there. So several
// registries do not flood a worker that has just become idle. The arithmetic is in
// package internal/load.
//
// # When a worker fails
//
// A call that fails goes to another worker if it can be made again: if no handler has
// seen it, or if its procedure is idempotent (package internal/failover). A stream of a
// resumable procedure goes on at another worker. A worker that fails several calls in a
// row is ejected for a while. A worker that leaves drains: it refuses new calls as
// "elsewhere" and moves its resumable streams.
//
// # Goroutines and locks
//
// A Registry has one goroutine that follows the node's events, one that checks
// deadlines every 20 ms, one for each worker that reads its reports, and short ones
// that ping late workers or close connections to those that are gone. Close waits for
// all of them. Its mu guards the table of workers, their loads and the groups. Nothing
// that may block is called under mu.
//
// A Worker of a node has one goroutine, which waits for the node to stop. Reports are
// sent by the endpoint's goroutines of the streams, which sleep until something
// changes. Calls wait in the queue on the goroutines of their handlers. Its mu guards
// the ledger and the streams.
//
// A Client has no goroutine but those of dials, of hedged calls, which end before the
// call does, and of probes of silent workers. Its locks are those of package
// internal/failover. None of them is held together with the registry's mu.
package workers
