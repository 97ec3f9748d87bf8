package workers

import (
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func init() {
	hook.Lease, hook.Spend = lease, spend
}

// leaseChunk is how many workers a lease chooses while it holds the registry's lock, so
// that reports and other choices wait for a few microseconds only.
const leaseChunk = 32

// lease chooses workers for up to n calls that a caller will make soon, and counts them
// as assigned. It calls take with the name of the cluster, a worker and its ticket,
// in the order in which they are to be used. A worker is the same pointer each time, which is valid during the
// call of take. If take returns false the assignment is taken back and the lease ends.
//
// The lease is shorter than n if the caller has its share of the free places (see
// [load.Pool.Leasable]), or if the workers are full: then calls ask one by one, so that
// they wait in turn. The errors are those of Assign.
func lease(r *Registry, req balance.PickRequest, n int, take func(of string, w *cluster.Member, ticket []byte) bool) error {
	if !r.node.Assigns() {
		return errMinority
	}
	for n > 0 {
		chunk := min(n, leaseChunk)
		n -= chunk
		more, err := leaseSome(r, &req, chunk, take)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// leaseSome chooses up to n workers of a lease under one lock. It reports whether it has
// chosen all of them. Each choice counts before the next one, as if calls asked one after
// the other: so a lease spreads as they do, and so do leases of several clients at once.
func leaseSome(r *Registry, req *balance.PickRequest, n int, take func(of string, w *cluster.Member, ticket []byte) bool) (all bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, err := r.table.group(req.Selector, req.Caller)
	if err != nil {
		return false, err
	}
	pool, now := r.table.pool, r.now()
	share := float64(len(g.load.Members())) / float64(max(pool.Len(), 1))
	room := pool.Leasable(req.Caller, share) // for each chunk anew, since others choose between
	var ticket [load.MaxTicketSize]byte
	for i := range n {
		if i >= room {
			return false, nil
		}
		w, _, full := g.load.Pick(now, req)
		if w == nil {
			return false, r.none(g, req)
		}
		if full {
			return false, nil
		}
		t := pool.Issue(now, w, false, req.Caller)
		if !take(r.cluster, &w.Owner.(*worker).member, t.Append(ticket[:0])) {
			pool.Spend(w, t.Balancer, []uint64{t.Number}, req.Caller)
			return false, nil
		}
	}
	return true, nil
}

// spend takes tickets of a worker back by their numbers, from the caller that they were
// made for. Numbers of other callers or balancers, and of tickets that are not pending, are ignored.
// A call whose ticket the worker has reported is counted by the worker until it ends.
func spend(r *Registry, worker string, balancer uint64, numbers []uint64, caller string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.table.named(worker); w != nil { // otherwise its tickets have gone with it
		r.table.pool.Spend(w.load, balancer, numbers, caller)
	}
}
