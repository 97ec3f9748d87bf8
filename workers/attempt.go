package workers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A picker has a registry choose workers for the calls of clients.
type picker struct{ registry *Registry }

// Pick chooses a worker and counts the call on it.
func (p picker) Pick(ctx context.Context, c *failover.Client, req *balance.PickRequest) (failover.Attempt, error) {
	a, err := p.pick(c, req)
	if err != nil {
		return nil, err
	}
	w := a.Worker()
	c.Tell(ctx, failover.Event{Kind: failover.Assigned, Worker: w.Node, Addr: w.Addr})
	return a, nil
}

// pick chooses a worker under the registry's lock, so that no other call of this
// process chooses by the same numbers. What does not need the lock is done without it.
func (p picker) pick(c *failover.Client, req *balance.PickRequest) (*attempt, error) {
	b, err := p.registry.choose(req)
	if err != nil {
		return nil, err
	}
	return b.attempt(c, req.WaitInQueue), nil
}

// choose chooses a worker and counts the call on it. All calls of this process share
// mu here and in End, a third of a microsecond and a tenth: the next choice must see
// this one. With 64 callers a call costs no more of the processor than with one
// (BenchmarkChoose).
func (r *Registry) choose(req *balance.PickRequest) (beginning, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, err := r.table.group(req.Selector, "")
	if err != nil {
		return beginning{}, rpcnet.NewError(rpcnet.CodeInvalidArgument, err.Error()).WithCause(err).WithUnprocessed()
	}
	now := r.now()
	picked, _, full := g.load.Pick(now, req)
	if picked == nil {
		return beginning{}, r.none(g, req)
	}
	return r.begin(now, picked.Owner.(*worker), full || req.WaitInQueue), nil
}

// A beginning is a call that counts on a worker, and what its attempt is made of.
type beginning struct {
	registry *Registry
	worker   *worker
	member   cluster.Member // as the worker was at the choice
	ticket   load.Ticket
	at       time.Duration
}

// begin counts a call on w. The caller holds mu.
func (r *Registry) begin(now time.Duration, w *worker, queueOK bool) beginning {
	w.load.Begin()
	return beginning{r, w, w.member, r.table.pool.Own(w.load, queueOK), now}
}

// attempt returns the attempt of the call. The ticket, with which the worker tells this
// balancer's calls from others', goes with the call.
func (b *beginning) attempt(c *failover.Client, waitInQueue bool) *attempt {
	a := attempts.Get().(*attempt)
	a.registry, a.worker, a.began = b.registry, b.worker, b.at
	a.Init(c, b.registry.place(b.member), b.ticket.Append(a.ticket[:0]), waitInQueue)
	return a
}

// An attempt is an attempt of a call on a worker of the registry. It counts as in
// flight from the choice to its end. The registry's mu guards worker; the other fields
// do not change.
type attempt struct {
	failover.ConnAttempt
	registry *Registry
	worker   *worker
	ticket   [load.MaxTicketSize]byte
	began    time.Duration
}

// attempts are those that are not in use.
var attempts = sync.Pool{New: func() any { return new(attempt) }}

// Recycle lets another call use the attempt, which has ended.
func (a *attempt) Recycle() {
	*a = attempt{}
	attempts.Put(a)
}

// place returns where a worker is to be found. It tells its lives apart.
func (r *Registry) place(m cluster.Member) failover.Worker {
	return failover.Worker{
		Target: rpcnet.Target{Cluster: r.cluster, Node: m.Name, Boot: m.Boot},
		Addr:   m.Addr, ServerName: m.ServerName,
	}
}

// End says how the attempt ended. What the worker has said of its load is decoded
// before the lock is taken.
func (a *attempt) End(err error) {
	if !a.Done(err) {
		return
	}
	report, reported := a.piggybacked(err)
	r := a.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	w := a.worker.load
	w.End()
	now := r.now()
	if reported {
		// The worker counted this call still; it is over.
		report.InFlight, report.Yours = report.InFlight-1, report.Yours-1
		r.table.pool.ApplyPiggybacked(now, w, report)
	}
	// The outcome counts for the ejection of workers that fail, and the time of a unary
	// call for strategies that go by latency. That of a stream says nothing of speed.
	switch failover.Judge(err) {
	case failover.Fine:
		r.table.pool.Success(now, w)
		if a.Unary() {
			w.Latency.Observe(now, now-a.began, false)
		}
	case failover.Bad:
		if r.table.pool.Failure(now, w) {
			until, _ := w.Ejected(now)
			r.lines.Log(slog.LevelWarn, "ejected", "worker fails calls: ejected", "worker", a.Worker().Node, "for", until-now, "err", err)
		}
		if a.Unary() {
			w.Latency.Observe(now, now-a.began, true)
		}
	}
}

// piggybacked returns the load that came with the end of a unary call. It is newer
// than the last report on the control stream. It returns false if there is none, or
// one that cannot be right: this call was still in it.
func (a *attempt) piggybacked(err error) (r load.Report, ok bool) {
	if err != nil {
		return r, false
	}
	text := a.Trailer(loadTrailer)
	if len(text) == 0 {
		return r, false
	}
	r, perr := load.ParseReport(text)
	return r, perr == nil && r.InFlight > 0 && r.Yours > 0
}
