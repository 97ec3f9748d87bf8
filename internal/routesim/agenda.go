package routesim

import (
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

// A kind is the kind of an event.
type kind uint8

const (
	arrive        kind = iota // a caller asks its balancer for a worker
	reach                     // a call arrives at its worker
	finish                    // a call ends
	fail                      // the failing worker fails a call
	reportDue                 // a worker has a report to send
	reportArrives             // the report arrives at its balancer
	ended                     // a balancer hears how a call ended
	join                      // the last worker starts
	fault                     // something breaks
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

// An agenda is a heap of the events to come, the earliest first.
type agenda []event

func (a agenda) Len() int { return len(a) }

// Less orders by time, and events of the same time in the order in which they
// were planned, so that a run with the same seed is always the same.
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	*a = old[:len(old)-1]
	return e
}
