package director

import (
	"context"
	"errors"
	"slices"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A picker has the directors of a client choose workers for its calls.
type picker struct{ *Client }

// Pick asks the directors for a worker. If none answers, or none has a worker to
// give, as one that has just come back, it takes one that it knows itself.
func (p picker) Pick(ctx context.Context, c *failover.Client, req *balance.PickRequest) (failover.Attempt, error) {
	c.Tell(ctx, failover.Event{Kind: failover.Asking})
	res, err := p.ask(ctx, req)
	if err == nil {
		if req.Alternates > 0 {
			for i := range res.Alternates {
				c.Conns().Warm(toWorker(&res.Alternates[i]))
			}
		}
		c.Tell(ctx, failover.Event{Kind: failover.Assigned, Worker: res.Worker.Name, Addr: res.Worker.Addr})
		a := p.attempt(&res.Worker, res.Ticket, req.WaitInQueue)
		a.alternates = res.Alternates
		return a, nil
	}
	// What a selector other than the client's own matches, only a director knows.
	if !errors.Is(err, failover.ErrNoWorker) || req.Selector != p.cfg.Selector {
		return nil, err
	}
	w, ok := p.alternate(req.Exclude, errors.Is(err, errNoAnswer))
	if !ok {
		return nil, err
	}
	c.Tell(ctx, failover.Event{Kind: failover.Alternate, Worker: w.Name, Addr: w.Addr})
	return p.attempt(&w, nil, req.WaitInQueue), nil
}

// errNoAnswer says that no director could be asked.
var errNoAnswer = errors.New("no director answers")

// An answer is what came of asking one director.
type answer uint8

const (
	noAnswer answer = iota
	noWorker        // it has none: another may
	settled         // there is a worker, or an error that ends the call
)

// maxExclude is how many workers a question may exclude.
const maxExclude = 256

// ask asks one director after the other, the one that answered last first.
// When none is connected it waits a while for one. The error is
// [failover.ErrNoWorker] if none has a worker, [errNoAnswer] too if none answers.
func (c *Client) ask(ctx context.Context, pick *balance.PickRequest) (*directorv1.GetWorkerResponse, error) {
	c.mu.Lock()
	first := c.current
	req := &directorv1.GetWorkerRequest{Selector: pick.Selector, Exclude: slices.Clone(lastOf(pick.Exclude, maxExclude)), Key: pick.AffinityKey, Hint: pick.LastWorker,
		QueueOK: pick.WaitInQueue, Failures: c.failures, Unused: c.unused}
	c.failures, c.unused = nil, nil
	c.mu.Unlock()
	var res *directorv1.GetWorkerResponse
	var failure error       // ends the call
	var none, unasked error // of the last director that has no worker, or does not answer
	put := func(i int, conn *rpcnet.Conn) answer {
		r, err := c.askOne(ctx, conn, req)
		if err == nil {
			res = r
			c.learn(i, r)
			return settled
		}
		var e *rpcnet.Error
		if !errors.As(err, &e) {
			e = rpcnet.NewError(rpcnet.CodeUnavailable, err.Error())
		}
		switch {
		case e.Remote() && e.Code() == rpcnet.CodeUnavailable: // it has no worker, or assigns none: another may
			none = err
			return noWorker
		case e.Code() == rpcnet.CodeInvalidArgument, e.Remote() && (e.Code() == rpcnet.CodePermissionDenied || e.Code() == rpcnet.CodeUnimplemented):
			failure = rpcnet.NewError(e.Code(), e.Message()).WithCause(err).WithUnprocessed()
		default:
			unasked = err
			return noAnswer
		}
		return settled
	}
	answers := make([]answer, len(c.directors))
	for n := range answers {
		i := (first + n) % len(answers)
		if answers[i] = put(i, c.directors[i]); answers[i] == settled {
			break
		}
	}
	// One that has just come back may have no worker yet, and another be back
	// soon; but not when it is this call that has tried them all.
	if res == nil && failure == nil && (none == nil || len(pick.Exclude) == 0) {
		if err := c.reconnect(ctx, answers, put); err != nil {
			unasked = err // which knows more than that there is no connection
		}
	}
	if res != nil {
		return res, nil
	}
	c.keep(req) // report it next time
	switch {
	case ctx.Err() != nil:
		return nil, rpcnet.NewError(rpcnet.CodeOf(ctx.Err()), "asking a director: "+ctx.Err().Error()).WithCause(ctx.Err()).WithUnprocessed()
	case failure != nil:
		return nil, failure
	case none != nil:
		return nil, rpcnet.NewError(rpcnet.CodeUnavailable, failover.Reason(none)).WithCause(errors.Join(failover.ErrNoWorker, none)).WithUnprocessed()
	}
	return nil, rpcnet.Errorf(rpcnet.CodeUnavailable, "no director answers and no other worker is known: %s", failover.Reason(unasked)).
		WithCause(errors.Join(failover.ErrNoWorker, errNoAnswer, unasked)).WithUnprocessed()
}

func (c *Client) askOne(ctx context.Context, conn *rpcnet.Conn, req *directorv1.GetWorkerRequest) (*directorv1.GetWorkerResponse, error) {
	// The question is a call of its own: nothing of the caller's goes with it.
	asking, cancel := context.WithTimeout(context.Background(), c.cfg.AskTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return directorv1.NewDirectorClient(conn).GetWorker(asking, req)
}

// keep puts back what could not be reported.
func (c *Client) keep(req *directorv1.GetWorkerRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = lastOf(append(req.Failures, c.failures...), maxReports)
	c.unused = lastOf(append(req.Unused, c.unused...), maxReports)
}

func lastOf[T any](s []T, n int) []T { return s[max(0, len(s)-n):] }

// An attempt is an attempt of a call on a worker that a director has named.
type attempt struct {
	failover.ConnAttempt
	client     *Client
	worker     directorv1.Worker
	ticket     []byte
	alternates []directorv1.Worker // named with the worker
}

// attempt returns an attempt on w. There is no ticket if no director has counted it.
func (c *Client) attempt(w *directorv1.Worker, ticket []byte, waitInQueue bool) *attempt {
	a := &attempt{client: c, worker: *w, ticket: ticket}
	a.Init(c.calls, toWorker(w), ticket, waitInQueue)
	return a
}

// toWorker tells the lives of a worker apart: a connection to an earlier one may
// still be waiting to dial again, and its address may have changed hands.
func toWorker(w *directorv1.Worker) failover.Worker {
	return failover.Worker{Target: rpcnet.Target{Cluster: w.Cluster, Node: w.Name, Boot: w.Boot}, Addr: w.Addr, ServerName: w.ServerName}
}

// Alternate returns an attempt on another worker that the director has named with
// this one, for a hedge. It is not counted by the director.
func (a *attempt) Alternate(ctx context.Context) (failover.Attempt, bool) {
	for i := range a.alternates {
		if w := &a.alternates[i]; w.Name != a.worker.Name {
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
	c := a.client
	c.mu.Lock()
	defer c.mu.Unlock()
	switch failover.Judge(err) {
	case failover.Bad:
		c.failures = lastOf(append(c.failures, directorv1.Failure{Worker: a.worker.Name, Boot: a.worker.Boot}), maxReports)
		c.did(&a.worker, false)
	case failover.Fine:
		c.did(&a.worker, true)
	}
	if !a.Opened() && len(a.ticket) > 0 {
		c.unused = lastOf(append(c.unused, directorv1.Unused{Worker: a.worker.Name, Ticket: a.ticket}), maxReports)
	}
}
