package load

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A Pool is all that one balancer knows of the workers. Groups are the parts of
// it that selectors choose.
type Pool struct {
	workers []*Candidate // sorted by ID
	rand    *rand.Rand

	// Computed from all workers by refresh, when stale; others is also kept up to date
	// by each report, so that a report costs no walk over the workers.
	stale    bool
	median   float64 // capacity of workers that declare none
	most     float64 // what a declared capacity counts at most
	declared int     // how many workers declare one
	others   float64 // calls of others on workers that report
	total    float64 // capacity of those

	tickets uint64 // the number of the last ticket
	pending int    // tickets that no worker has claimed, of all callers
	id      uint64

	accounts map[string]*account // by caller; some have nothing pending
	sweepAt  int                 // how many there may be before those are thrown away
}

// MaxCapacityRatio is how many times the median of all declared capacities one of
// them counts at most: eight, as a machine with eight of what the others have one
// of. So no worker takes all calls by declaring that it can. Of two workers the
// lower capacity is the median. A worker that is alone counts in full.
const MaxCapacityRatio = 8

// NewPool returns an empty pool of the balancer with the given id.
func NewPool(id uint64, r *rand.Rand) *Pool {
	return &Pool{id: id, rand: r, median: 1, accounts: map[string]*account{}, sweepAt: minSweep}
}

// Len returns how many workers the pool has.
func (p *Pool) Len() int { return len(p.workers) }

// Workers returns all workers, sorted by ID. The caller must not change the
// slice.
func (p *Pool) Workers() []*Candidate { return p.workers }

// Named returns the worker of that name, nil if there is none.
func (p *Pool) Named(name string) *Candidate {
	i, found := slices.BinarySearchFunc(p.workers, balance.ID(name), compareID)
	if !found || p.workers[i].Name != name {
		return nil
	}
	return p.workers[i]
}

// Add adds a worker under its name.
func (p *Pool) Add(w *Candidate) {
	w.ID = balance.ID(w.Name)
	w.Balancer = cmp.Or(w.Balancer, p.id)
	w.secret = NewSecret()
	w.tag = w.secret.Sign(0, "")
	i, _ := slices.BinarySearchFunc(p.workers, w.ID, compareID)
	p.workers = slices.Insert(p.workers, i, w)
	p.stale = true
}

// Remove removes w.
func (p *Pool) Remove(w *Candidate) {
	p.workers = slices.DeleteFunc(p.workers, func(o *Candidate) bool { return o == w })
	w.LoadEstimate.void()
	p.stale = true
}

// compareID is the order of the workers of a pool.
func compareID(w *Candidate, id uint64) int {
	switch {
	case w.ID < id:
		return -1
	case w.ID > id:
		return 1
	}
	return 0
}

// Apply applies a report of w and reports whether it was newer than what was known.
// A report of another epoch is of a restarted worker: its failures and its latency
// are forgotten.
func (p *Pool) Apply(now time.Duration, w *Candidate, r Report) bool {
	before, had, counted := w.LoadEstimate.report, w.LoadEstimate.known, p.counted(w)
	if !w.LoadEstimate.Apply(now, r) {
		return false
	}
	if before.Epoch != r.Epoch {
		w.Health.Reset()
		w.Latency = Latency{}
	}
	if !had || before.Capacity != r.Capacity {
		p.stale = true // the median may change, and with it what all others count
		return true
	}
	p.others += p.counted(w) - counted
	return true
}

// ApplyPiggybacked applies the numbers that came with the end of a call on w.
func (p *Pool) ApplyPiggybacked(now time.Duration, w *Candidate, r Report) {
	before := p.counted(w)
	if w.LoadEstimate.ApplyPiggybacked(now, r) {
		p.others += p.counted(w) - before
	}
}

// counted returns how many calls of others on w count in the mean of all workers: at
// most eight times the capacity it counts with. So a worker that claims a billion
// calls does not change the estimates of the others. If no worker declares a capacity,
// there is nothing to compare with.
func (p *Pool) counted(w *Candidate) float64 {
	if p.declared == 0 {
		return w.others()
	}
	return min(w.others(), max(64, MaxCapacityRatio*p.capacity(w)))
}

// Lost records that w reports no more.
func (p *Pool) Lost(w *Candidate) {
	w.LoadEstimate.Lost()
	p.stale = true
}

// refresh computes what depends on all workers, if it is stale.
func (p *Pool) refresh() {
	if !p.stale {
		return
	}
	p.stale = false
	declared := make([]float64, 0, len(p.workers))
	for _, w := range p.workers {
		if w.known && w.report.Capacity > 0 {
			declared = append(declared, float64(w.report.Capacity))
		}
	}
	p.median = median(declared)
	p.most, p.declared = MaxCapacityRatio*p.median, len(declared)
	p.others, p.total = 0, 0
	for _, w := range p.workers {
		if w.known {
			p.others += p.counted(w)
			p.total += p.capacity(w)
		}
	}
}

// capacity returns the declared capacity of w, limited by [MaxCapacityRatio], or the
// median if it declares none.
func (p *Pool) capacity(w *Candidate) float64 {
	if c := w.report.Capacity; c > 0 {
		return min(float64(c), p.most)
	}
	return p.median
}

// Estimate returns how many calls w has in flight: see [LoadEstimate.Estimate]. The
// mean that an old report fades to is the utilisation of all workers by others.
func (p *Pool) Estimate(now time.Duration, w *Candidate) float64 {
	p.refresh()
	u := 0.0
	if p.total > 0 {
		u = max(p.others, 0) / p.total
	}
	return w.LoadEstimate.Estimate(now, u, p.capacity(w), MinReportInterval(len(p.workers)))
}

// Capacity returns the capacity that w counts with: less than its own while it
// comes back or starts slowly.
func (p *Pool) Capacity(w *Candidate) float64 {
	p.refresh()
	c := p.capacity(w)
	if w.Weight > 0 {
		c *= w.Weight
	}
	return c
}

// A Group is the part of a pool that one selector chooses, with the picker of
// its own that selectors need (a rotation is per selector).
type Group struct {
	pool    *Pool
	picker  balance.Picker
	members []*Candidate // sorted by ID

	// Scratch space of picks, which allocate nothing.
	status  []Status     // of the members, as of the last pick
	from    []*Candidate // of the last pick: parallel to cs
	cs      []balance.Candidate
	req     balance.PickRequest
	exclude []uint64 // IDs of the workers that the last pick excluded
}

// NewGroup returns a group without members.
func (p *Pool) NewGroup(s balance.Strategy) *Group { return &Group{pool: p, picker: s.New()} }

// Set makes ws the members. They must be sorted by ID. The group keeps the slice.
func (g *Group) Set(ws []*Candidate) { g.members = ws }

// Members returns the members, sorted by ID. The caller must not change them.
func (g *Group) Members() []*Candidate { return g.members }

// shouldSample reports whether balancers of a worker should compare a few draws
// instead of taking the minimum: when more than 3 share the workers, or reports are
// coalesced to more than 20 ms. Simulated with 8 balancers and 50 ms: p99 waiting
// 485 ms for the minimum, 232 ms for the best of 4 draws.
func shouldSample(balancers int, minReportInterval time.Duration) bool {
	return balancers > 3 || minReportInterval > 20*time.Millisecond
}

// Pick chooses a worker as req asks, nil if there is none. full says that even the
// chosen one is believed to have no room, so that the call is expected to wait
// there. The group keeps nothing of req's memory but its strings, until the next
// pick.
func (g *Group) Pick(now time.Duration, req *balance.PickRequest) (w *Candidate, p balance.Pick, full bool) {
	worst := g.worst(now, req)
	g.from, g.cs = g.from[:0], g.cs[:0]
	interval := MinReportInterval(g.pool.Len())
	sample := 0 // how many candidates say that balancers are many
	for i, w := range g.members {
		if g.status[i] > worst {
			continue
		}
		g.from = append(g.from, w)
		g.cs = append(g.cs, balance.Candidate{
			ID: w.ID, Load: g.pool.Estimate(now, w), Own: w.own, Capacity: g.pool.Capacity(w),
			Penalty: w.Penalty, Latency: w.Latency.Seconds(),
		})
		if shouldSample(int(w.report.Balancers), interval) {
			sample++
		}
	}
	g.req = *req // a copy: that the strategy is an interface must not put the caller's on the heap
	g.req.Exclude, g.req.Rand, g.req.Sample = nil, g.pool.rand, 2*sample > len(g.cs)
	p = g.picker.Pick(g.cs, &g.req)
	if p.Index < 0 || p.Index >= len(g.cs) {
		return nil, p, false
	}
	w = g.from[p.Index]
	w.Health.Picked(now, req.Caller)
	return w, p, w.report.Capacity > 0 && g.cs[p.Index].Load+1 > g.cs[p.Index].Capacity
}

// Alternates returns up to req.Alternates candidates beside w, the least utilised
// first.
func (g *Group) Alternates(now time.Duration, req *balance.PickRequest, w *Candidate) []*Candidate {
	n := req.Alternates
	if n <= 0 {
		return nil
	}
	worst := g.worst(now, req)
	type scored struct { // once, so that sorting does not estimate again
		w     *Candidate
		score float64
	}
	var others []scored
	for i, o := range g.members {
		if o != w && g.status[i] <= worst {
			others = append(others, scored{o, g.pool.Estimate(now, o) / g.pool.Capacity(o)})
		}
	}
	// Shuffled first, so that equals do not come in the same order for every caller.
	g.pool.rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	slices.SortStableFunc(others, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	ws := make([]*Candidate, 0, n)
	for _, o := range others[:min(n, len(others))] {
		ws = append(ws, o.w)
	}
	return ws
}

// worst returns the worst status that still makes a candidate. Suspicion alone takes
// out at most half of the workers: if more are silent, the fault is in this process or
// in the network. Ejection does not count if it would leave less than half (Envoy's
// panic threshold). A worker that its caller excludes is never a candidate.
func (g *Group) worst(now time.Duration, req *balance.PickRequest) Status {
	g.exclude = g.exclude[:0]
	for _, name := range req.Exclude {
		g.exclude = append(g.exclude, balance.ID(name))
	}
	var n [StatusUnreachable + 1]int
	g.status = g.status[:0]
	for _, w := range g.members {
		s := StatusOf(now, w, slices.Contains(g.exclude, w.ID))
		g.status = append(g.status, s)
		n[s]++
	}
	fine := n[StatusCandidate] + n[StatusLate]
	alive := fine + n[StatusEjected] + n[StatusSuspected] + n[StatusStale]
	switch {
	case 2*fine >= alive && n[StatusCandidate] > 0:
		return StatusCandidate
	case 2*fine >= alive && fine > 0:
		return StatusLate
	case 2*(fine+n[StatusEjected]) >= alive && fine+n[StatusEjected] > 0:
		return StatusEjected
	case fine+n[StatusEjected]+n[StatusSuspected] > 0:
		return StatusSuspected
	}
	return StatusStale
}
