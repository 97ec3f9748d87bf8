package director

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A picker has the directors of a client choose workers for its calls. It implements
// failover.Picker, which package failover calls once for each attempt.
type picker struct{ *Client }

// Pick takes a worker of a lease, or asks the directors for one. It takes one that the client knows itself if
// no director answers, or none has a worker to give: a director that has just come
// back knows none yet.
func (p picker) Pick(ctx context.Context, c *failover.Client, req *balance.PickRequest) (failover.Attempt, error) {
	if s, ok := p.leases.slot(ctx, req); ok {
		c.Tell(ctx, failover.Event{Kind: failover.Assigned, Worker: s.of.Name, Addr: s.of.Addr})
		a := p.attempt(&s.of.Worker, s.ticket, false)
		a.leased, a.number, a.alternates = s.of, s.number, s.of.lease
		return a, nil
	}
	c.Tell(ctx, failover.Event{Kind: failover.Asking})
	res, err := p.ask(ctx, req)
	if err == nil {
		if req.Alternates > 0 { // a stream that fails goes on there without a handshake
			for i := range res.Alternates {
				c.Conns().Warm(toWorker(&res.Alternates[i]))
			}
		}
		c.Tell(ctx, failover.Event{Kind: failover.Assigned, Worker: res.Worker.Name, Addr: res.Worker.Addr})
		a := p.attempt(&res.Worker, res.Ticket, req.WaitInQueue)
		a.alternates = res.Alternates
		return a, nil
	}
	// Only a director knows which workers match a selector. The workers that the
	// client knows match its own one, with which most calls ask.
	if !errors.Is(err, failover.ErrNoWorker) || req.Selector != p.cfg.Selector {
		return nil, err
	}
	// A worker that has failed is tried again only if no director answers. One that
	// answers and has no worker knows more about it.
	w, ok := p.alternate(req.Exclude, errors.Is(err, errNoAnswer))
	if !ok {
		return nil, err
	}
	c.Tell(ctx, failover.Event{Kind: failover.Alternate, Worker: w.Name, Addr: w.Addr})
	return p.attempt(&w, nil, req.WaitInQueue), nil
}

// An attempt is an attempt of a call on a worker that a director has named. The
// goroutine of the call owns it.
type attempt struct {
	failover.ConnAttempt
	client *Client
	worker directorv1.Worker
	ticket []byte // nil: no director has counted the call
	// leased is the worker's lease, whose ticket has the number. nil: the call has asked.
	leased *leased
	number uint64
	// alternates are the workers named or leased with this one. They are not counted.
	alternates []directorv1.Worker
}

// attempts are those that are not in use.
var attempts = sync.Pool{New: func() any { return new(attempt) }}

// Recycle lets another call use the attempt, which has ended.
func (a *attempt) Recycle() {
	*a = attempt{}
	attempts.Put(a)
}

// attempt returns an attempt on w. There is no ticket if no director has counted it.
func (c *Client) attempt(w *directorv1.Worker, ticket []byte, waitInQueue bool) *attempt {
	a := attempts.Get().(*attempt)
	a.client, a.worker, a.ticket = c, *w, ticket
	a.Init(c.calls, toWorker(w), ticket, waitInQueue)
	return a
}

// toWorker tells the lives of a worker apart: a connection to an earlier one may
// still be waiting to dial again, and its address may have changed hands.
func toWorker(w *directorv1.Worker) failover.Worker {
	return failover.Worker{Target: rpcnet.Target{Cluster: w.Cluster, Node: w.Name, Boot: w.Boot}, Addr: w.Addr, ServerName: w.ServerName}
}

// Alternate returns an attempt on another worker that the director has named with
// this one, or another one of the lease, for a hedge. It is not counted by the director.
func (a *attempt) Alternate(ctx context.Context) (failover.Attempt, bool) {
	first := 0 // the least loaded one
	if a.leased != nil {
		first = rand.IntN(len(a.alternates)) // a lease has no order, and its first worker would get all hedges
	}
	for i := range a.alternates {
		if w := &a.alternates[(first+i)%len(a.alternates)]; w.Name != a.worker.Name {
			a.client.calls.Tell(ctx, failover.Event{Kind: failover.Alternate, Worker: w.Name, Addr: w.Addr})
			return a.client.attempt(w, nil, false), true
		}
	}
	return nil, false
}

// End keeps for the director what the outcome says of the worker.
func (a *attempt) End(err error) {
	if !a.Done(err) {
		return
	}
	c, judged := a.client, failover.Judge(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	// A director ejects a worker of which several callers complain. What has failed is
	// also the client's own last choice.
	switch judged {
	case failover.Bad:
		c.failures = lastOf(append(c.failures, directorv1.Failure{Worker: a.worker.Name, Boot: a.worker.Boot}), maxReports)
		c.did(&a.worker, false)
	case failover.Fine:
		if a.leased == nil || !a.leased.fine { // once for a lease is enough
			c.did(&a.worker, true)
		}
	}
	if a.leased != nil {
		a.leased.fine = judged == failover.Fine
		c.leases.spendOne(a.leased, a.number)
		if judged == failover.Bad || judged == failover.Nothing && refused(err) {
			c.leases.revoke(a.leased)
		}
		return
	}
	// The director counts the call until the worker has its ticket, or 5 s pass. A
	// ticket that never left is given back, so that the worker does not look busier
	// than it is.
	if !a.Opened() && len(a.ticket) > 0 {
		c.unused = lastOf(append(c.unused, directorv1.Unused{Worker: a.worker.Name, Ticket: a.ticket}), maxReports)
	}
}

// refused reports whether err is the refusal of a worker that takes no calls now. A
// director chooses anew for the calls that were to go there.
func refused(err error) bool {
	var e *rpcnet.Error
	return errors.As(err, &e) && e.Remote() && e.Unprocessed()
}
