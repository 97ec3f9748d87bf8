package routesim

import (
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
)

// A kind is what an event is.
type kind uint8

const (
	arrive kind = iota
	reach
	finish
	fail
	reportDue
	reportArrives
	told
	join
	fault
)

type event struct {
	at       time.Duration
	seq      uint64
	kind     kind
	worker   int
	balancer int
	life     int
	entry    *load.Entry
	req      *Request
	report   load.Report
	outcome  Outcome
}

type agenda []event

func (a agenda) Len() int { return len(a) }
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
