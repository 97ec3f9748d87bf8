package routesim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// Ours returns balancers that run the production code with strategy s. If director
// is true, the balancer is a director: it gives tickets to callers and learns of
// their calls only from reports and from failures. Otherwise it is a client of the
// cluster that makes the calls itself and sees how each ends.
func Ours(s balance.Strategy, director bool) func(*Env, int) Balancer {
	return func(env *Env, id int) Balancer {
		o := &ours{env: env, director: director, byWorker: map[int]*load.Candidate{}}
		o.pool = load.NewPool(uint64(id+1), rand.New(rand.NewPCG(uint64(id), env.Rand.Uint64())))
		o.group = o.pool.NewGroup(s)
		return o
	}
}

// caller is the identity of all callers and balancers. The simulation has no
// dishonest ones.
const caller = "caller"

// An ours drives the pool and the group of one balancer. It has one group, of all
// workers: selectors are not simulated.
type ours struct {
	env      *Env
	director bool
	pool     *load.Pool
	group    *load.Group
	byWorker map[int]*load.Candidate
}

// name returns the name of a worker. Its hash is the worker's place in the order of IDs.
func name(worker int) string { return "worker-" + strconv.Itoa(worker) }

// Up adds a worker to the pool and to the group of all. It cannot be chosen before its
// first report, which follows.
func (o *ours) Up(now time.Duration, i int) {
	if o.byWorker[i] == nil {
		o.byWorker[i] = &load.Candidate{Name: name(i), Owner: i}
		o.pool.Add(now, o.byWorker[i])
		o.group.Insert(o.byWorker[i])
	}
}

// Down removes a worker from the pool, with the tickets that were pending.
func (o *ours) Down(_ time.Duration, i int) {
	if w := o.byWorker[i]; w != nil {
		delete(o.byWorker, i)
		o.pool.Remove(w)
	}
}

// Report applies a report, as workers.Registry does. One of a worker that was removed
// while it was under way is dropped.
func (o *ours) Report(now time.Duration, i int, r load.Report, lost bool) {
	switch w := o.byWorker[i]; {
	case w == nil:
	case lost:
		o.pool.Lost(now, w)
	default:
		o.pool.Apply(now, w, r)
	}
}

// Choose picks a worker and counts the choice: by a ticket as a director, by its own
// count as a client.
func (o *ours) Choose(now time.Duration, r *Request) (int, load.Ticket) {
	req := balance.PickRequest{Caller: caller}
	for _, i := range r.Exclude {
		req.Exclude = append(req.Exclude, name(i))
	}
	if r.Session > 0 {
		req.AffinityKey = strconv.Itoa(r.Session)
	}
	if r.Last >= 0 {
		req.LastWorker = name(r.Last)
	}
	w, _, full := o.group.Pick(now, &req)
	// As failover does: it waits where it was refused rather than fail.
	if w == nil && len(r.Exclude) > 0 { // every worker has refused it, so it waits in a queue
		r.Exclude = nil
		req.Exclude = nil
		w, _, full = o.group.Pick(now, &req)
	}
	if w == nil {
		r.Picked = nil
		return -1, load.Ticket{}
	}
	r.Picked = w
	if o.director {
		return w.Owner.(int), o.pool.Issue(now, w, full, caller)
	}
	w.Begin()
	return w.Owner.(int), o.pool.Own(w, full)
}

// Secret returns the secret that signs the balancer's tickets for a worker.
func (o *ours) Secret(i int) *load.Secret { return o.byWorker[i].Secret() }

// Ended does what a registry does at the end of a call. A director hears of failures
// only, each from another caller, and learns the rest from reports. A client sees how
// each of its calls ends.
func (o *ours) Ended(now time.Duration, _ int, r *Request, out Outcome) {
	w, _ := r.Picked.(*load.Candidate) // nil if there was no worker
	if w == nil {
		return
	}
	if o.director {
		if out == Failed {
			w.Drop(r.Ticket.Number)
			o.pool.Complaint(now, w, strconv.FormatUint(o.env.Rand.Uint64(), 36))
		}
		return
	}
	w.End()
	switch out {
	case Done:
		o.pool.Success(now, w)
		w.Latency.Observe(now, now-r.Assigned, false)
	case Failed:
		o.pool.Failure(now, w)
	}
}

// Estimate returns how many calls the balancer believes to be on a worker. At the end of
// a run, when there are none, it must be 0.
func (o *ours) Estimate(now time.Duration, i int) float64 {
	if w := o.byWorker[i]; w != nil {
		return w.LoadEstimate.Estimate(now, 0, 1, o.env.Gap)
	}
	return 0
}

// Ruled returns balancers that take the worker with the lowest score, and a random
// one of several. score gets how many calls the balancer has ever assigned to the
// worker, and how many of these have not ended.
func Ruled(score func(env *Env, worker, assigned, running int) float64) func(*Env, int) Balancer {
	return func(env *Env, _ int) Balancer {
		return &ruled{env: env, score: score, assigned: map[int]int{}, running: map[int]int{}}
	}
}

// Rules to compare with.
var (
	// Oracle knows the true number of calls on a worker, those on the way included.
	// No real balancer can do better.
	Oracle = Ruled(func(env *Env, w, _, _ int) float64 {
		return float64(env.Truth(w)+1) / float64(env.Cap(w))
	})
	// Assignments counts assignments and never subtracts those that have ended, as
	// rpcnet for Rust does.
	Assignments = Ruled(func(_ *Env, _, assigned, _ int) float64 { return float64(assigned) })
	// OwnOnly counts the balancer's own running calls, divided by the capacity. It
	// does not see those of other balancers.
	OwnOnly = Ruled(func(env *Env, w, _, running int) float64 {
		return float64(running+1) / float64(env.Cap(w))
	})
)

// A ruled is a balancer that follows a score.
type ruled struct {
	env      *Env
	score    func(*Env, int, int, int) float64
	up       []int       // the workers that are there
	assigned map[int]int // ever, since the worker has started
	running  map[int]int // of these, those that have not ended
}

// Up adds a worker that has no calls. One that has restarted is new: what its life before
// had to do is forgotten.
func (c *ruled) Up(_ time.Duration, i int) {
	c.up = append(c.up, i)
	c.assigned[i], c.running[i] = 0, 0
}

// Down removes a worker. Calls that it still has end later, and count for nothing.
func (c *ruled) Down(_ time.Duration, i int) {
	for at, w := range c.up {
		if w == i {
			c.up = append(c.up[:at], c.up[at+1:]...)
			return
		}
	}
}

// Report does nothing: the rules know only what their balancer has done.
func (c *ruled) Report(time.Duration, int, load.Report, bool) {}

// Choose looks at all workers, however many they are: a rule to compare with need not be
// fast. It takes the lowest score, drawn among equals. It avoids the worker that has just
// failed or refused the call, if there is another.
func (c *ruled) Choose(_ time.Duration, r *Request) (int, load.Ticket) {
	best, low, ties := -1, math.Inf(1), 0
	for _, w := range c.up {
		if len(r.Exclude) > 0 && r.Exclude[len(r.Exclude)-1] == w && len(c.up) > 1 {
			continue
		}
		switch s := c.score(c.env, w, c.assigned[w], c.running[w]); {
		case s < low:
			best, low, ties = w, s, 1
		case s == low:
			if ties++; c.env.Rand.IntN(ties) == 0 {
				best = w
			}
		}
	}
	if best >= 0 {
		c.assigned[best]++
		c.running[best]++
	}
	return best, load.Ticket{}
}

// Ended counts a call of a worker less. One that has restarted meanwhile has none, so that
// the count must not go below 0.
func (c *ruled) Ended(_ time.Duration, i int, _ *Request, _ Outcome) {
	if c.running[i] > 0 {
		c.running[i]--
	}
}

// String returns the delays, utilisation and refusals in one line.
func (r Result) String() string {
	return fmt.Sprintf("p50 %7.1f ms  p99 %9.1f ms  p99.9 %9.1f ms  highest utilisation %5.2f  refused %d",
		ms(r.P50), ms(r.P99), ms(r.P999), r.Utilisation, r.Refusals)
}

// ms returns a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
