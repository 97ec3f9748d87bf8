package load

import (
	"cmp"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A Group is the part of a pool that one selector chooses, with the picker of
// its own that selectors need (a rotation is per selector).
type Group struct {
	pool    *Pool
	picker  balance.Picker
	members []*Candidate // sorted by ID
	status  []Status     // of the members, as of the last pick
	from    []*Candidate // of the last pick: parallel to cs
	cs      []balance.Candidate
	req     balance.PickRequest
	exclude []uint64 // IDs of the workers that the last pick excluded
}

// NewGroup returns a group without members.
func (p *Pool) NewGroup(s balance.Strategy) *Group { return &Group{pool: p, picker: s.New()} }

// Set makes ws, sorted by ID, the members. The group keeps the slice.
func (g *Group) Set(ws []*Candidate) { g.members = ws }

// Members returns the members, sorted by ID. The caller must not change them.
func (g *Group) Members() []*Candidate { return g.members }

// A Status is why a worker is a candidate or is not.
type Status uint8

// The statuses, from best to worst.
const (
	StatusCandidate   Status = iota
	StatusLate               // late: while no other is there
	StatusEjected            // failed calls: only in a panic
	StatusSuspected          // silent: only if more than half are
	StatusStale              // its report is older than [UnusableAfter]: only in a panic
	StatusExcluded           // the caller does not want it
	StatusDraining           // says that it takes no calls
	StatusNoReport           // has not reported yet, or reports no more
	StatusUnreachable        // gone
)

// String returns the status in words.
func (s Status) String() string {
	return [...]string{"candidate", "late", "ejected", "suspected", "report too old", "excluded by the caller",
		"draining", "no reports", "unreachable"}[min(s, StatusUnreachable)]
}

// StatusOf returns what a pick makes of w. excluded says that the caller does not
// want it.
func StatusOf(now time.Duration, w *Candidate, excluded bool) Status {
	switch {
	case w.Phase == PhaseGone:
		return StatusUnreachable
	case !w.known:
		return StatusNoReport
	case w.report.State == StateDraining:
		return StatusDraining
	case excluded:
		return StatusExcluded
	case now-w.at > UnusableAfter:
		return StatusStale
	case w.Phase == PhaseSuspected:
		return StatusSuspected
	case !w.Health.Available(now):
		return StatusEjected
	case w.Phase == PhaseLate:
		return StatusLate
	}
	return StatusCandidate
}

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
	type scored struct {
		w     *Candidate
		score float64
	}
	var others []scored
	for i, o := range g.members {
		if o != w && g.status[i] <= worst {
			others = append(others, scored{o, g.pool.Estimate(now, o) / g.pool.Capacity(o)})
		}
	}
	g.pool.rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	slices.SortStableFunc(others, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	ws := make([]*Candidate, 0, n)
	for _, o := range others[:min(n, len(others))] {
		ws = append(ws, o.w)
	}
	return ws
}

// worst returns the worst status that still makes a candidate. Suspicion alone
// takes out at most half of the workers: when more are silent, it is this
// process or the network. Ejection does not count when less than half would be
// left. One excluded by its caller is never a candidate.
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
