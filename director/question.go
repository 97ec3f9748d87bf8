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

// errNoAnswer says that no director could be asked.
var errNoAnswer = errors.New("no director answers")

// maxExclude is how many workers a question can exclude. Directors refuse more. So
// the last ones are sent, which the call has tried last.
const maxExclude = 256

// A question for a worker is put to one director after the other until the matter
// is settled. The goroutine of the call owns it.
type question struct {
	client  *Client
	ctx     context.Context // of the call
	req     *directorv1.GetWorkerRequest
	answers []answer // of the directors, by their place in Client.directors

	// res is the answer that settles the question.
	res *directorv1.GetWorkerResponse
	// refusal ends the call: each director would refuse it.
	refusal error
	// noWorker is the error of the last director that has no worker, and noAnswer that of
	// the last one that does not answer.
	noWorker, noAnswer error
}

// An answer is what came of asking one director.
type answer uint8

const (
	noAnswer answer = iota // it was not asked, or did not answer
	noWorker               // it has none; another may have one
	settled                // there is a worker, or an error that ends the call
)

// ask asks for a worker. The director that answered last is asked first. If none is
// connected, ask waits for one, as long as [ClientConfig.AskTimeout]. The error is
// [failover.ErrNoWorker] if no director has a worker, and [errNoAnswer] too if none
// answers.
func (c *Client) ask(ctx context.Context, pick *balance.PickRequest) (*directorv1.GetWorkerResponse, error) {
	q := &question{client: c, ctx: ctx, answers: make([]answer, len(c.directors)), req: &directorv1.GetWorkerRequest{
		Selector: pick.Selector, Exclude: slices.Clone(lastOf(pick.Exclude, maxExclude)),
		Key: pick.AffinityKey, Hint: pick.LastWorker, QueueOK: pick.WaitInQueue,
	}}
	// One after the other, and not all at once: each director that names a worker
	// counts the call.
	first := c.takeReports(q.req)
	for n := range q.answers {
		i := (first + n) % len(q.answers)
		if q.put(i, c.askers[i]) == settled {
			break
		}
	}
	// A director that has just come back has no worker yet, and another is perhaps back
	// soon: then it is worth waiting. It is not if this call has excluded workers,
	// because then the directors have none that it has not tried.
	if !q.settled() && (q.noWorker == nil || len(pick.Exclude) == 0) {
		if err := q.reconnect(); err != nil {
			q.noAnswer = err // it says more than that there is no connection
		}
	}
	if q.res != nil {
		return q.res, nil
	}
	c.keepReports(q.req)
	return nil, q.err()
}

// settled reports whether no further director is to be asked.
func (q *question) settled() bool { return q.res != nil || q.refusal != nil }

// put asks one director and notes its answer.
func (q *question) put(director int, asker *directorv1.DirectorClient) answer {
	a := q.ask(director, asker)
	q.answers[director] = a
	return a
}

// ask asks one director. The question is a call of its own: nothing of the caller's
// goes with it, neither its metadata nor its deadline. A director that does not answer
// thus costs AskTimeout and not the whole deadline of the call.
func (q *question) ask(director int, asker *directorv1.DirectorClient) answer {
	asking, cancel := context.WithTimeout(context.Background(), q.client.cfg.AskTimeout)
	defer cancel()
	if q.ctx.Done() != nil {
		defer context.AfterFunc(q.ctx, cancel)()
	}
	res, err := asker.GetWorker(asking, q.req)
	if err == nil {
		q.res = res
		q.client.learn(director, res)
		return settled
	}
	// An error of another type comes from this side, before anything was sent.
	var e *rpcnet.Error
	if !errors.As(err, &e) {
		e = rpcnet.NewError(rpcnet.CodeUnavailable, err.Error())
	}
	switch {
	case e.Remote() && e.Code() == rpcnet.CodeUnavailable: // it has no worker, or is in the minority of a partition
		q.noWorker = err
		return noWorker
	case e.Code() == rpcnet.CodeInvalidArgument, // a selector or a field that each director refuses
		e.Remote() && (e.Code() == rpcnet.CodePermissionDenied || e.Code() == rpcnet.CodeUnimplemented):
		q.refusal = rpcnet.NewError(e.Code(), e.Message()).WithCause(err).WithUnprocessed()
		return settled
	}
	q.noAnswer = err
	return noAnswer
}

// err returns why there is no worker. The call was not made: all of these errors
// say so.
func (q *question) err() error {
	switch {
	// The end of the call comes first: it explains the errors of the directors.
	case q.ctx.Err() != nil:
		err := q.ctx.Err()
		return rpcnet.NewError(rpcnet.CodeOf(err), "asking a director: "+err.Error()).WithCause(err).WithUnprocessed()
	case q.refusal != nil:
		return q.refusal
	case q.noWorker != nil:
		return rpcnet.NewError(rpcnet.CodeUnavailable, failover.Reason(q.noWorker)).
			WithCause(errors.Join(failover.ErrNoWorker, q.noWorker)).WithUnprocessed()
	}
	return rpcnet.Errorf(rpcnet.CodeUnavailable, "no director answers and no other worker is known: %s", failover.Reason(q.noAnswer)).
		WithCause(errors.Join(failover.ErrNoWorker, errNoAnswer, q.noAnswer)).WithUnprocessed()
}

// takeReports moves what waits to be reported into req, and returns the director to
// ask first. It moves, so that two calls at once do not report the same failure twice:
// directors count complaints.
func (c *Client) takeReports(req *directorv1.GetWorkerRequest) (first int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	req.Failures, req.Unused = c.failures, c.unused
	c.failures, c.unused = nil, nil
	return c.current
}

// keepReports puts back what no director has taken: the next question reports it.
func (c *Client) keepReports(req *directorv1.GetWorkerRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = lastOf(append(req.Failures, c.failures...), maxReports)
	c.unused = lastOf(append(req.Unused, c.unused...), maxReports)
}

// lastOf returns the last n of s, or all if there are fewer.
func lastOf[T any](s []T, n int) []T { return s[max(0, len(s)-n):] }
