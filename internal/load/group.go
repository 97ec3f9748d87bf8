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
	members []*Worker // sorted by ID
	status  []Status  // of the members, as of the last pick
	from    []*Worker // of the last pick: parallel to cs
	cs      []balance.Candidate
	req     balance.Request
}

// NewGroup returns a group without members.
func (p *Pool) NewGroup(s balance.Strategy) *Group { return &Group{pool: p, picker: s.New()} }

// Set makes ws, sorted by ID, the members. The group keeps the slice.
func (g *Group) Set(ws []*Worker) { g.members = ws }

// Members returns the members, sorted by ID. The caller must not change them.
func (g *Group) Members() []*Worker { return g.members }

// A Wish is what a pick depends on beside the state of the pool.
type Wish struct {
	// Exclude are the IDs of workers that must not be chosen.
	Exclude []uint64
	// Key is the affinity key, Hint the ID of the worker before.
	Key  string
	Hint uint64
	// Caller is the identity of who is to make the call, "" for the chooser
	// itself.
	Caller string
}

// A Status is why a worker is a candidate or is not.
type Status uint8

// The statuses, from best to worst.
const (
	Candidate   Status = iota
	IsLate             // late: while no other is there
	IsEjected          // failed calls: only in a panic
	IsSuspected        // silent: only if more than half are
	IsStale            // its report is older than [UnusableAfter]: only in a panic
	IsExcluded         // the caller does not want it
	Drains             // says that it takes no calls
	NoReport           // has not reported yet, or reports no more
	Unreachable        // gone
)

// String returns the status in words.
func (s Status) String() string {
	return [...]string{"candidate", "late", "ejected", "suspected", "report too old", "excluded by the caller",
		"draining", "no reports", "unreachable"}[min(s, Unreachable)]
}

// StatusOf returns what a pick with this wish makes of w.
func StatusOf(now time.Duration, w *Worker, wish *Wish) Status {
	switch {
	case w.Phase == Gone:
		return Unreachable
	case !w.known:
		return NoReport
	case w.report.State == Draining:
		return Drains
	case slices.Contains(wish.Exclude, w.ID):
		return IsExcluded
	case now-w.at > UnusableAfter:
		return IsStale
	case w.Phase == Suspected:
		return IsSuspected
	case !w.Health.Available(now):
		return IsEjected
	case w.Phase == Late:
		return IsLate
	}
	return Candidate
}

// Pick chooses a worker, nil if there is none. full says that even the chosen
// one is believed to have no room, so that waiting there is no surprise.
func (g *Group) Pick(now time.Duration, wish *Wish) (w *Worker, c balance.Choice, full bool) {
	worst := g.worst(now, wish)
	g.from, g.cs = g.from[:0], g.cs[:0]
	gap := int(Gap(g.pool.Len()) / time.Millisecond)
	crowded := 0 // how many candidates say that choosers are many
	for i, w := range g.members {
		if g.status[i] > worst {
			continue
		}
		g.from = append(g.from, w)
		g.cs = append(g.cs, balance.Candidate{
			ID: w.ID, Load: g.pool.Estimate(now, w), Own: w.own, Capacity: g.pool.Capacity(w),
			Penalty: w.Penalty, Latency: w.Latency.Seconds(),
		})
		if balance.Crowded(int(w.report.Choosers), gap) {
			crowded++
		}
	}
	g.req = balance.Request{Rand: g.pool.rand, Key: wish.Key, Hint: wish.Hint, Sampled: 2*crowded > len(g.cs)}
	c = g.picker.Pick(g.cs, &g.req)
	if c.Index < 0 || c.Index >= len(g.cs) {
		return nil, c, false
	}
	w = g.from[c.Index]
	w.Health.Picked(now, wish.Caller)
	return w, c, w.report.Capacity > 0 && g.cs[c.Index].Load+1 > g.cs[c.Index].Capacity
}

// Others returns up to n candidates beside w, the least utilised first.
func (g *Group) Others(now time.Duration, wish *Wish, w *Worker, n int) []*Worker {
	if n <= 0 {
		return nil
	}
	worst := g.worst(now, wish)
	type scored struct {
		w     *Worker
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
	ws := make([]*Worker, 0, n)
	for _, o := range others[:min(n, len(others))] {
		ws = append(ws, o.w)
	}
	return ws
}

// worst returns the worst status that still makes a candidate. Suspicion alone
// takes out at most half of the workers: when more are silent, it is this
// process or the network. Ejection does not count when less than half would be
// left. One excluded by its caller is never a candidate.
func (g *Group) worst(now time.Duration, wish *Wish) Status {
	var n [Unreachable + 1]int
	g.status = g.status[:0]
	for _, w := range g.members {
		s := StatusOf(now, w, wish)
		g.status = append(g.status, s)
		n[s]++
	}
	fine := n[Candidate] + n[IsLate]
	alive := fine + n[IsEjected] + n[IsSuspected] + n[IsStale]
	switch {
	case 2*fine >= alive && n[Candidate] > 0:
		return Candidate
	case 2*fine >= alive && fine > 0:
		return IsLate
	case 2*(fine+n[IsEjected]) >= alive && fine+n[IsEjected] > 0:
		return IsEjected
	case fine+n[IsEjected]+n[IsSuspected] > 0:
		return IsSuspected
	}
	return IsStale
}
