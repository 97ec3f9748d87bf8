// Package routesim simulates balancers, workers and callers on a virtual clock.
// The ledgers, reports, tickets, pools and strategies are the production code of
// internal/load and workers/balance. Only the network and the work are simulated.
// With the same seed all balancers see the same workload, so their results can be
// compared. A run has one goroutine.
//
// # The model
//
//   - A worker runs up to its capacity of calls at once and queues the rest in
//     order.
//   - A stream has a number of tokens from a bounded Pareto distribution (1.3, 20 to
//     4096). Each token takes 25 ms divided by the worker's speed.
//   - Arrivals are a Poisson process.
//   - A caller needs 1 ms + Exp(4 ms) to reach its worker, and a report 0.5 ms to
//     reach its balancer.
//   - The delay of a call is the time from its arrival until it runs.
//
// # A run
//
// [Run] keeps an agenda of events and lets the virtual clock jump from one to the next.
// A call passes through these:
//
//	arrive -> assign (the balancer chooses) -> reach (the ledger admits it or not)
//	       -> runs, at once or from the queue -> finish -> ended (the balancer learns how)
//
// A call that fails or is refused goes back to its balancer by ended. Beside the calls
// run the reports: each change on a worker plans a report to each balancer, not before
// the gap since the last is over (reportDue), which arrives a little later
// (reportArrives). Faults, if they are on, break workers, streams of reports, balancers
// and callers at random. A run ends when no event is left.
//
// # Many workers
//
// It takes long until ten thousand workers are busy, and longer until their last streams
// have ended. So a run of many ([Many]) begins with more arrivals than the workers can
// do, is cut ([Config.Cut]) when four fifths of all places are taken, and measures the
// last quarter of its calls. What it is compared with is a run in which none has to wait:
// the time that the same calls need to reach a worker.
//
// # Balancers
//
// [Ours] is the production code. [Oracle] knows the truth, which no real balancer does:
// it is the bound. [Assignments] and [OwnOnly] are rules that others use, and package
// bench/routing adds the policies of grpc-go.
//
// [Gates] are the bounds that the production code must keep. Command
// internal/cmd/routesim checks them.
package routesim
