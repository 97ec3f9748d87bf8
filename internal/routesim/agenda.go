package routesim

import (
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

// A kind is the kind of an event.
type kind uint8

// The kinds of events.
const (
	// arrive: a caller asks its balancer for a worker.
	arrive kind = iota
	// reach: a call arrives at its worker.
	reach
	// finish: a call ends.
	finish
	// fail: the failing worker fails a call.
	fail
	// reportDue: a worker has a report to send.
	reportDue
	// reportArrives: the report arrives at its balancer.
	reportArrives
	// ended: a balancer hears how a call ended.
	ended
	// join: the last worker starts.
	join
	// fault: something breaks.
	fault
)

// An event is something that happens at a point of the virtual time. Only the
// fields that its kind needs are set.
type event struct {
	at       time.Duration
	seq      uint64 // orders events of the same time
	kind     kind
	worker   int
	balancer int
	life     int // of the worker or of its report stream; the event is void if it has ended
	entry    *load.Entry
	req      *Request
	report   load.Report
	outcome  Outcome
}

// An agenda is a heap of the events to come, the earliest first. It holds pointers, since
// events are large and a heap moves its elements; those that are over are used again.
type agenda []*event

// Len, Less, Swap, Push and Pop are those of heap.Interface.
func (a agenda) Len() int { return len(a) }

// Less orders by time, and events of the same time in the order in which they
// were planned, so that a run with the same seed is always the same.
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}

// Swap swaps two events, of which the heap has pointers.
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push appends an event.
func (a *agenda) Push(x any) { *a = append(*a, x.(*event)) }

// Pop removes the last event, which the heap has put there.
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	*a = old[:len(old)-1]
	return e
}
