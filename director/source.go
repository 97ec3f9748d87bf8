package director

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// A source gets workers for one call.
type source struct {
	*Client
	choice failover.Choice
}

// Next asks the directors for a worker. If none answers, or none has a worker to
// give, as one that has just come back, it takes one that it knows itself.
func (s *source) Next(ctx context.Context, wish *failover.Wish) (failover.Leg, error) {
	s.tell(ctx, Event{Kind: Asking})
	res, err := s.ask(ctx, wish)
	if err == nil {
		if wish.Standby {
			for _, w := range res.Alternates {
				s.conns.Warm(keyOf(&w))
			}
		}
		s.tell(ctx, Event{Kind: Assigned, Worker: res.Worker.Name, Addr: res.Worker.Addr})
		return &leg{client: s.Client, worker: res.Worker, ticket: res.Ticket, patient: wish.Patient}, nil
	}
	// What a selector other than the client's own matches, only a director knows.
	if !errors.Is(err, failover.ErrNoWorker) || wish.Selector != s.cfg.Selector {
		return nil, err
	}
	w, ok := s.alternate(wish.Exclude, errors.Is(err, errNoAnswer))
	if !ok {
		return nil, err
	}
	s.tell(ctx, Event{Kind: Alternate, Worker: w.Name, Addr: w.Addr})
	return &leg{client: s.Client, worker: w, patient: wish.Patient}, nil
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
func (c *Client) ask(ctx context.Context, wish *failover.Wish) (*directorv1.GetWorkerResponse, error) {
	c.mu.Lock()
	first := c.current
	req := &directorv1.GetWorkerRequest{Selector: wish.Selector, Exclude: slices.Clone(lastOf(wish.Exclude, maxExclude)), Key: wish.Key, Hint: wish.Hint,
		QueueOK: wish.Patient, Failures: c.failures, Unused: c.unused}
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
	for try := range answers {
		i := (first + try) % len(answers)
		if answers[i] = put(i, c.directors[i]); answers[i] == settled {
			break
		}
	}
	// One that has just come back may have no worker yet, and another be back
	// soon; but not when it is this call that has tried them all.
	if res == nil && failure == nil && (none == nil || len(wish.Exclude) == 0) {
		if err := c.reconnect(ctx, answers, put); err != nil {
			unasked = err // which knows more than that there is no connection
		}
	}
	if res != nil {
		return res, nil
	}
	c.keep(req) // tell it next time
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

// keep puts back what could not be told.
func (c *Client) keep(req *directorv1.GetWorkerRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = lastOf(append(req.Failures, c.failures...), maxReports)
	c.unused = lastOf(append(req.Unused, c.unused...), maxReports)
}

func lastOf[T any](s []T, n int) []T { return s[max(0, len(s)-n):] }

// Retry takes a token of the budget.
func (s *source) Retry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.budget.Take()
}

// Answered gives the budget what a success is worth.
func (s *source) Answered(l failover.Leg) {
	s.mu.Lock()
	s.budget.Success()
	s.mu.Unlock()
	if w := l.(*leg).worker; s.choice.Served != nil {
		s.choice.Served(w.Name, w.Boot, w.Addr)
	}
}

// Tell reports what happens to a resumable stream.
func (s *source) Tell(ctx context.Context, e failover.Event) {
	kind := [...]Kind{failover.Failed: Failed, failover.Moved: Moved, failover.Resumed: Resumed, failover.Waiting: Waiting}[e.Kind]
	s.tell(ctx, Event{Kind: kind, Worker: e.Worker, Err: e.Err, Next: e.Next, Pause: e.Pause})
}

// Patience is how long a resumable stream waits for a worker.
func (s *source) Patience() time.Duration { return s.cfg.Patience }

// MaxAttempts is how often a call is made that a handler may have seen.
func (s *source) MaxAttempts() int { return s.cfg.MaxAttempts }

// Retryable reports whether another worker may do better.
func (s *source) Retryable(err error) bool { return s.cfg.Retryable(err) }

// Watch looks after the client's calls.
func (s *source) Watch() *failover.Watch { return &s.watch }

// A leg is one try on one worker.
type leg struct {
	client  *Client
	worker  directorv1.Worker
	ticket  []byte
	opened  atomic.Bool
	lease   failover.Lease
	patient bool // there is no other worker to try
	once    sync.Once
}

// Worker returns the worker's name.
func (l *leg) Worker() string { return l.worker.Name }

// keyOf tells the lives of a worker apart: a connection to an earlier one may
// still be waiting to dial again, and its address may have changed hands. Where
// there is no cluster, whoever answers at the address is the worker.
func keyOf(w *directorv1.Worker) failover.Key {
	k := failover.Key{ID: w.Boot, Addr: w.Addr, ServerName: w.ServerName}
	if w.Cluster != "" {
		k.Target = rpcnet.Target{Cluster: w.Cluster, Node: w.Name, Boot: w.Boot}
	}
	return k
}

// Open connects to the worker and opens the call there.
func (l *leg) Open(ctx context.Context, spec *rpcnet.Spec, attempt int) (rpcnet.ClientStream, error) {
	conn, err := l.lease.Take(ctx, l.client.conns, keyOf(&l.worker), l.patient)
	if err != nil {
		return nil, err
	}
	call := rpcnet.CallOptions{Attempt: attempt, Ticket: l.ticket}
	s, err := rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: call}).NewStream(ctx, spec)
	if err == nil {
		l.opened.Store(true)
		l.client.tell(ctx, Event{Kind: Connected, Worker: l.worker.Name, Addr: l.worker.Addr})
	}
	return s, err
}

// Probe asks the worker whether it lives.
func (l *leg) Probe(ctx context.Context) error { return l.lease.Probe(ctx) }

// End keeps for the director what the outcome says of the worker.
func (l *leg) End(err error, _ bool) {
	l.once.Do(func() {
		c := l.client
		l.lease.Return(err != nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		switch failover.Judge(err) {
		case failover.Bad:
			c.failures = lastOf(append(c.failures, directorv1.Failure{Worker: l.worker.Name, Boot: l.worker.Boot}), maxReports)
			c.did(&l.worker, false)
		case failover.Fine:
			c.did(&l.worker, true)
		}
		if !l.opened.Load() && len(l.ticket) > 0 {
			c.unused = lastOf(append(c.unused, directorv1.Unused{Worker: l.worker.Name, Ticket: l.ticket}), maxReports)
		}
	})
}
