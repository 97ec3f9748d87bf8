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

// Ours returns balancers of production code. A director gives tickets to callers
// it never hears of again, unless they fail; otherwise the balancer makes the
// calls itself, as a cluster client does.
func Ours(s balance.Strategy, director bool) func(*Env, int) Balancer {
	return func(env *Env, id int) Balancer {
		o := &ours{env: env, director: director, byWorker: map[int]*load.Candidate{}}
		o.pool = load.NewPool(uint64(id+1), rand.New(rand.NewPCG(uint64(id), env.Rand.Uint64())))
		o.group = o.pool.NewGroup(s)
		return o
	}
}

// caller is the identity of all callers and balancers: there are no liars here.
const caller = "caller"

type ours struct {
	env      *Env
	director bool
	pool     *load.Pool
	group    *load.Group
	byWorker map[int]*load.Candidate
}

func name(worker int) string { return "worker-" + strconv.Itoa(worker) }

func (o *ours) Up(_ time.Duration, i int) {
	if o.byWorker[i] == nil {
		o.byWorker[i] = &load.Candidate{Name: name(i), Owner: i}
		o.pool.Add(o.byWorker[i])
		o.group.Set(o.pool.Workers())
	}
}

func (o *ours) Down(_ time.Duration, i int) {
	if w := o.byWorker[i]; w != nil {
		delete(o.byWorker, i)
		o.pool.Remove(w)
		o.group.Set(o.pool.Workers())
	}
}

func (o *ours) Report(now time.Duration, i int, r load.Report, lost bool) {
	switch w := o.byWorker[i]; {
	case w == nil:
	case lost:
		o.pool.Lost(w)
	default:
		o.pool.Apply(now, w, r)
	}
}

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
	if w == nil && len(r.Exclude) > 0 { // all have sent it away: now it waits
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

// Secret returns what the balancer shares with a worker.
func (o *ours) Secret(i int) *load.Secret { return o.byWorker[i].Secret() }

func (o *ours) Ended(now time.Duration, _ int, r *Request, out Outcome) {
	w, _ := r.Picked.(*load.Candidate) // it may have restarted meanwhile
	if w == nil {
		return
	}
	if o.director {
		if out == Failed {
			w.Drop(r.Ticket.Number)
			w.Health.Complaint(now, strconv.FormatUint(o.env.Rand.Uint64(), 36))
		}
		return
	}
	w.End()
	switch out {
	case Done:
		w.Health.Success(now)
		w.Latency.Observe(now, now-r.Assigned, false)
	case Failed:
		w.Health.Failure(now)
	}
}

// Estimate returns what the balancer believes of a worker.
func (o *ours) Estimate(now time.Duration, i int) float64 {
	if w := o.byWorker[i]; w != nil {
		return w.LoadEstimate.Estimate(now, 0, 1, o.env.Gap)
	}
	return 0
}

// Ruled returns balancers that take the worker with the lowest score. The score
// may use what the balancer knows by itself: how many calls it has assigned to
// the worker ever, and how many of those have not ended.
func Ruled(score func(env *Env, worker, assigned, running int) float64) func(*Env, int) Balancer {
	return func(env *Env, _ int) Balancer {
		return &ruled{env: env, score: score, assigned: map[int]int{}, running: map[int]int{}}
	}
}

// Rules of others, for comparison, and the bound.
var (
	// Oracle knows the truth at once, calls on the way included.
	Oracle = Ruled(func(env *Env, w, _, _ int) float64 {
		return float64(env.Truth(w)+1) / float64(env.Cap(w))
	})
	// Assignments is the rule of the original rpcnet: assignments counted, never
	// released.
	Assignments = Ruled(func(_ *Env, _, assigned, _ int) float64 { return float64(assigned) })
	// OwnOnly counts the calls the balancer knows of itself, by capacity.
	OwnOnly = Ruled(func(env *Env, w, _, running int) float64 {
		return float64(running+1) / float64(env.Cap(w))
	})
)

type ruled struct {
	env      *Env
	score    func(*Env, int, int, int) float64
	up       []int
	assigned map[int]int
	running  map[int]int
}

func (c *ruled) Up(_ time.Duration, i int) {
	c.up = append(c.up, i)
	c.assigned[i], c.running[i] = 0, 0
}

func (c *ruled) Down(_ time.Duration, i int) {
	for at, w := range c.up {
		if w == i {
			c.up = append(c.up[:at], c.up[at+1:]...)
			return
		}
	}
}

func (c *ruled) Report(time.Duration, int, load.Report, bool) {}

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

func (c *ruled) Ended(_ time.Duration, i int, _ *Request, _ Outcome) {
	if c.running[i] > 0 {
		c.running[i]--
	}
}

// String returns the result in one line.
func (r Result) String() string {
	return fmt.Sprintf("p50 %7.1f ms  p99 %9.1f ms  p99.9 %9.1f ms  highest utilisation %5.2f  refused %d",
		ms(r.P50), ms(r.P99), ms(r.P999), r.Utilisation, r.Refusals)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
