package director

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// service is the wire form of a Director: it translates between the messages of
// directorv1, which stay compatible, and the types of this package.
type service struct{ d *Director }

// GetWorker serves a request. The server has checked its sizes (directives of the
// contract) before it comes here.
func (s service) GetWorker(ctx context.Context, req *directorv1.GetWorkerRequest) (*directorv1.GetWorkerResponse, error) {
	s.report(extend.CallerID(ctx), req.Failures, req.Unused)
	a, err := s.d.GetWorker(ctx, Request{
		PickRequest: balance.PickRequest{Selector: req.Selector, Exclude: req.Exclude, AffinityKey: req.Key, LastWorker: req.Hint, WaitInQueue: req.QueueOK},
	})
	if err != nil {
		return nil, err
	}
	res := &directorv1.GetWorkerResponse{Worker: worker(a.Cluster, &a.Worker), Ticket: a.Ticket}
	for i := range a.Alternates {
		res.Alternates = append(res.Alternates, worker(a.Cluster, &a.Alternates[i]))
	}
	return res, nil
}

// leaseFor is how long a client can keep the tickets of a lease. It is the time by which
// a lease makes the choice of a worker older: one that is drained, or found to be silent,
// gets no calls of leases after that.
const leaseFor = 100 * time.Millisecond

// The functions of package workers that a lease is made of.
var (
	lease = hook.Lease.(func(*workers.Registry, balance.PickRequest, int, func(of string, w *cluster.Member, ticket []byte) bool) error)
	spend = hook.Spend.(func(*workers.Registry, string, uint64, []uint64, string))
)

// Lease serves a request for several workers. The server has checked its sizes. What has
// happened since the last request comes first, so that it counts in the choices. The errors
// are those of GetWorker, if there is no worker. No slots and no error say that the workers
// have no places for a lease, which they can have for a single call.
func (s service) Lease(ctx context.Context, req *directorv1.LeaseRequest) (*directorv1.LeaseResponse, error) {
	caller := extend.CallerID(ctx)
	for _, spent := range req.Spent {
		spend(s.d.registry, spent.Worker, spent.Balancer, spent.Numbers, caller)
	}
	s.report(caller, req.Failures, req.Unused)
	want := int(min(req.Want, directorv1.MaxSlots))
	res := &directorv1.LeaseResponse{Millis: uint32(leaseFor / time.Millisecond), Slots: make([]byte, 0, want*directorv1.MaxSlotSize)}
	var members []*cluster.Member // those of res.Workers
	err := lease(s.d.registry, balance.PickRequest{Selector: req.Selector, Caller: caller}, want, func(of string, m *cluster.Member, ticket []byte) bool {
		i := slices.Index(members, m)
		if i < 0 {
			if i = len(members); i == directorv1.MaxLeased {
				return false
			}
			members = append(members, m)
			res.Workers = append(res.Workers, worker(of, m))
		}
		res.Slots = directorv1.AppendSlot(res.Slots, i, ticket)
		return true
	})
	if err != nil && len(res.Slots) == 0 {
		return nil, err
	}
	if s.d.log.Enabled(ctx, slog.LevelDebug) {
		s.d.log.Debug("leased", "caller", caller, "wanted", want, "workers", len(res.Workers), "bytes", len(res.Slots))
	}
	return res, nil
}

// report hands the registry what a caller has seen since its last request, before the
// choice that follows. caller is the identity that its certificate proves: so it can give
// back its own tickets only, and its failures count once.
func (s service) report(caller string, failures []directorv1.Failure, unused []directorv1.Unused) {
	for _, u := range unused {
		s.d.registry.Return(u.Worker, u.Ticket, caller)
	}
	for _, f := range failures {
		s.d.registry.ReportFailure(f.Worker, f.Boot, caller)
	}
}

// worker returns what a caller has to know of a member of the cluster called of, to
// dial it and to be sure that it is the one meant.
func worker(of string, m *cluster.Member) directorv1.Worker {
	return directorv1.Worker{Cluster: of, Name: m.Name, Boot: m.Boot, Addr: m.Addr, ServerName: m.ServerName}
}
