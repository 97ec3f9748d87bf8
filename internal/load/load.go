// Package load is the arithmetic of true load: the state machines of reports
// and tickets on both sides, ejection, and the choice of a worker. It has no
// network, no clock and no goroutine, so that a live cluster and a simulation
// run the same code.
//
// The worker counts, and every balancer adds what it knows before the worker
// does:
//
//	caller --ticket--> worker: Ledger          admits, queues, refuses, releases
//	                     | Report              epoch, sequence, in flight, claimed tickets
//	                     v
//	                   balancer: Pool of Workers  estimate = others (from the report) + own + pending
//	                     | Pick
//	                     v
//	                   balance.Picker
//
// A pick looks at a few workers, however many there are. So the pool keeps up to date
// with every event what a pick would otherwise have to find out from all:
//
//	event                          brings up to date
//	-----                          -----------------
//	a report, its loss             the totals of all workers, the median capacity, the status
//	a phase, an answer, a pick     the status
//	a moment of the timetable      the status that time alone has changed
//	a worker joins or leaves       the orders by ID of the pool and of its groups
//	a status has changed           the order by status of each group of the worker
//
// What a worker's load is believed to be changes all the time, and is computed when a
// pick looks at the worker.
//
// A [Ledger] reads in flight, own share and claimed tickets at one moment, and
// a balancer applies a report as a whole: that is what makes the sum exact. There
// is no expiry of live calls; only tickets that no worker claims expire.
//
// Instants are durations since an origin of the caller's choice, the same for
// all calls on one value, from a clock that does not jump. Nothing here is safe
// for concurrent use: the owner has a lock.
package load

import "time"

// Times of the protocol. Simulated: gaps and the claim time; the others are
// judged for clusters of 3 to 20 workers.
const (
	// ClaimWithin is how long a ticket counts as pending if no worker claims it:
	// time to dial, with a margin.
	ClaimWithin = 5 * time.Second
	// UnusableAfter is the age at which a report says nothing any more.
	UnusableAfter = 10 * time.Second
)

// MinReportInterval returns the least time between two reports of changes to a balancer of
// so many workers.
func MinReportInterval(workers int) time.Duration {
	switch {
	case workers > 1000:
		return 100 * time.Millisecond
	case workers > 100:
		return 50 * time.Millisecond
	}
	return 20 * time.Millisecond
}

// Heartbeat returns the longest time between two reports to a balancer of so
// many workers.
func Heartbeat(workers int) time.Duration {
	switch {
	case workers > 2000:
		return 500 * time.Millisecond
	case workers > 1000:
		return 250 * time.Millisecond
	case workers > 200:
		return 100 * time.Millisecond
	}
	return 50 * time.Millisecond
}

// A State is what a worker says of itself.
type State uint8

// The states.
const (
	// Ready: takes calls.
	StateReady State = iota
	// Draining: finishes what it has and takes no more.
	StateDraining
)

// String returns "ready" or "draining".
func (s State) String() string {
	if s == StateDraining {
		return "draining"
	}
	return "ready"
}

// ewma is a mean that follows the last 20 samples or so.
type ewma struct {
	mean float64
	set  bool
}

func (e *ewma) observe(x float64) {
	if !e.set {
		e.mean, e.set = x, true
		return
	}
	e.mean += (x - e.mean) / 20
}
