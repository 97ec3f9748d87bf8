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
//
// Invariants: workers and named hold the same; a worker stands in the groups that were
// given it and in no others; statuses, totals and capacities are the sums over all
// workers of their status and share; and each worker whose status time alone can change
// is in the timetable, for that time or an earlier one.
//
// It keeps the status of each worker, and how many workers each group has of each
// status, up to date with every event; a timetable has those whose status time alone
// will change. So a pick looks at a few workers, however many there are.
type Pool struct {
	workers []*Candidate          // sorted by ID
	named   map[string]*Candidate // the same by name
	groups  []*Group              // by number; nil where one was dropped
	rand    *rand.Rand

	timetable timetable
	statuses  [StatusUnreachable + 1]int // how many workers have each
	readiness uint64                     // see Readiness

	capacities capacities
	totals     totals

	tickets uint64 // the number of the last ticket
	pending int    // tickets that no worker has claimed, of all callers
	id      uint64

	accounts map[string]*account // by caller; some have nothing pending
	sweepAt  int                 // how many there may be before those are thrown away
}

// NewPool returns an empty pool of the balancer with the given id.
func NewPool(id uint64, r *rand.Rand) *Pool {
	p := &Pool{id: id, rand: r, named: map[string]*Candidate{}, accounts: map[string]*account{}, sweepAt: minSweep}
	p.capacities.derive()
	return p
}

// Len returns how many workers the pool has.
func (p *Pool) Len() int { return len(p.workers) }

// Workers returns all workers, sorted by ID. The caller must not change the
// slice.
func (p *Pool) Workers() []*Candidate { return p.workers }

// Above returns up to n workers with the next higher IDs than id, so that a walk over
// all can be made in steps, between which others come and go. The caller must not change
// the slice.
func (p *Pool) Above(id uint64, n int) []*Candidate {
	i, found := slices.BinarySearchFunc(p.workers, id, compareID)
	if found {
		i++
	}
	return p.workers[i:min(i+n, len(p.workers))]
}

// Named returns the worker of that name, nil if there is none.
func (p *Pool) Named(name string) *Candidate { return p.named[name] }

// Add adds a worker under its name. It belongs to no group yet.
func (p *Pool) Add(now time.Duration, w *Candidate) {
	w.ID = balance.ID(w.Name)
	w.Balancer = cmp.Or(w.Balancer, p.id)
	w.secret = NewSecret()
	w.tag = w.secret.Sign(0, "")
	i, _ := slices.BinarySearchFunc(p.workers, w.ID, compareID)
	p.workers = slices.Insert(p.workers, i, w)
	p.named[w.Name] = w
	w.places = w.near[:0]
	w.pool, w.status = p, StatusOf(now, w, false)
	p.statuses[w.status]++
	if w.status.Ready() {
		p.readiness++
	}
	p.settle(now, w)
}

// Remove removes w, from its groups too.
func (p *Pool) Remove(w *Candidate) {
	if w.pool != p {
		return
	}
	i, _ := slices.BinarySearchFunc(p.workers, w.ID, compareID)
	p.workers = slices.Delete(p.workers, i, i+1)
	delete(p.named, w.Name)
	for _, g := range p.groups {
		if g != nil {
			g.Remove(w)
		}
	}
	p.timetable.strike(w)
	p.statuses[w.status]--
	if w.status.Ready() {
		p.readiness++
	}
	w.LoadEstimate.Lost()
	p.tally(w)
	w.pool = nil
	w.LoadEstimate.void()
}

// compareID is the order of the workers of a pool.
func compareID(w *Candidate, id uint64) int { return cmp.Compare(w.ID, id) }

// Apply applies a report of w and reports whether it was newer than what was known.
// A report of another epoch is of a restarted worker: its failures and its latency
// are forgotten.
func (p *Pool) Apply(now time.Duration, w *Candidate, r Report) bool {
	before := w.report.Epoch
	if !w.LoadEstimate.Apply(now, r) {
		return false
	}
	if before != r.Epoch {
		w.health.Reset()
		w.Latency = Latency{}
	}
	p.settle(now, w)
	return true
}

// ApplyPiggybacked applies the numbers that came with the end of a call on w.
func (p *Pool) ApplyPiggybacked(now time.Duration, w *Candidate, r Report) {
	if w.LoadEstimate.ApplyPiggybacked(now, r) {
		p.settle(now, w)
	}
}

// Lost records that w reports no more.
func (p *Pool) Lost(now time.Duration, w *Candidate) {
	w.LoadEstimate.Lost()
	p.settle(now, w)
}

// SetPhase records what its heartbeats say of w.
func (p *Pool) SetPhase(now time.Duration, w *Candidate, phase Phase) {
	w.phase = phase
	p.settle(now, w)
}

// Success records a call that w answered: see [Health.Success].
func (p *Pool) Success(now time.Duration, w *Candidate) {
	w.health.Success(now)
	p.settle(now, w)
}

// Failure records a failed call on w and reports whether it ejected w: see
// [Health.Failure].
func (p *Pool) Failure(now time.Duration, w *Candidate) bool {
	ejected := w.health.Failure(now)
	p.settle(now, w)
	return ejected
}

// Complaint records that w failed a call of the caller by, and reports whether that
// ejected it: see [Health.Complaint].
func (p *Pool) Complaint(now time.Duration, w *Candidate, by string) bool {
	ejected := w.health.Complaint(now, by)
	p.settle(now, w)
	return ejected
}

// picked records that a call of the caller was assigned to w.
func (p *Pool) picked(now time.Duration, w *Candidate, caller string) {
	if w.health.ejected { // the call may be its trial
		w.health.Picked(now, caller)
		p.settle(now, w)
	}
}

// settle brings everything up to date that depends on w, after an event. Every method
// that changes what is known of a worker ends with it.
func (p *Pool) settle(now time.Duration, w *Candidate) {
	if w.pool == p { // a call can end after its worker was removed
		p.tally(w)
		p.look(now, w)
	}
}

// look determines the status of w, and when time alone can change it.
func (p *Pool) look(now time.Duration, w *Candidate) {
	if s := StatusOf(now, w, false); s != w.status {
		if s.Ready() != w.status.Ready() {
			p.readiness++
		}
		p.statuses[w.status]--
		p.statuses[s]++
		w.status = s
		for _, g := range p.groups {
			if g != nil && g.Has(w) {
				g.move(w, s)
			}
		}
	}
	p.timetable.list(w, changeOf(now, w))
}

// Advance brings the statuses up to date that time alone has changed. Picks and counts
// do so themselves. A worker comes up about every [UnusableAfter] for the age of its
// report, and at the end of an ejection.
func (p *Pool) Advance(now time.Duration) {
	for w := p.timetable.next(now); w != nil; w = p.timetable.next(now) {
		p.look(now, w)
	}
}

// Ready returns how many workers can be chosen.
func (p *Pool) Ready(now time.Duration) int {
	p.Advance(now)
	return p.statuses[StatusCandidate] + p.statuses[StatusLate]
}

// Readiness returns a number that changes whenever a worker has become ready, or is it
// no more. Who waits for workers compares it with what it was.
func (p *Pool) Readiness() uint64 { return p.readiness }

// maxCompared is up to how many members all candidates are compared: up to as many it
// takes less than a microsecond. Beyond, a strategy looks at a few of a
// [balance.Set], if it can.
const maxCompared = 64

// Pick chooses a worker as req asks, nil if there is none. full says that even the
// chosen one is believed to have no room, so that the call is expected to wait
// there. The group keeps nothing of req's memory but its strings, until the next
// pick.
func (g *Group) Pick(now time.Duration, req *balance.PickRequest) (w *Candidate, p balance.Pick, full bool) {
	g.pool.Advance(now)
	g.exclude(req.Exclude)
	g.req = *req // a copy: that the strategy is an interface must not put the caller's on the heap
	g.req.Exclude, g.req.Rand, g.req.Sample = nil, g.pool.rand, g.pool.sample()
	g.among.now, g.among.n = now, g.candidates()
	// It depends on the members, not on the candidates: these differ a little from one
	// balancer to the next, and all of them should agree on the owner of a key.
	if g.some != nil && len(g.members) > maxCompared {
		p = g.some.PickFrom(&g.among, &g.req)
		if p.Index >= 0 && p.Index < g.among.n {
			w = g.byStatus[p.Index]
		}
	} else {
		g.compare()
		p = g.picker.Pick(g.cs, &g.req)
		if p.Index >= 0 && p.Index < len(g.from) {
			w = g.from[p.Index]
		}
	}
	g.include()
	if w == nil {
		return nil, p, false
	}
	full = w.report.Capacity > 0 && g.pool.Estimate(now, w)+1 > g.pool.Capacity(w)
	g.pool.picked(now, w, req.Caller)
	return w, p, full
}

// compare lists all candidates, by ID.
func (g *Group) compare() {
	g.from, g.cs = g.from[:0], g.cs[:0]
	for _, w := range g.members {
		if i := g.place(w); i < g.among.n {
			g.from, g.cs = append(g.from, w), append(g.cs, g.among.At(i))
		}
	}
}

// candidates returns how many members are candidates: the first so many of byStatus,
// those up to the worst status that still makes one. Suspicion alone takes out at most
// half of the workers: if more are silent, the fault is in this process or in the
// network. Ejection does not count if it would leave less than half (Envoy's panic
// threshold). A worker that its caller excludes is never a candidate.
func (g *Group) candidates() int {
	best, fine, ejected, suspected, alive := g.ends[StatusCandidate], g.ends[StatusLate], g.ends[StatusEjected], g.ends[StatusSuspected], g.ends[StatusStale]
	switch {
	case 2*fine >= alive && best > 0:
		return best
	case 2*fine >= alive && fine > 0:
		return fine
	case 2*ejected >= alive && ejected > 0:
		return ejected
	case suspected > 0:
		return suspected
	}
	return alive
}
