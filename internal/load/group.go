package load

import (
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A Group is the part of a pool that one selector chooses, with the picker of
// its own that selectors need (a rotation is per selector).
//
// Its members stand in two orders. By ID they are in the same order in every process,
// which rotations and rings need. By status they are in one slice, the best first, so
// that all members up to some status are its beginning, and drawing one at random is
// one step.
type Group struct {
	pool   *Pool
	picker balance.Picker
	some   setPicker // the same picker, nil if it needs all candidates
	number int       // in Pool.groups

	members  []*Candidate // sorted by ID
	ids      []uint64     // of the members
	byStatus []*Candidate
	ends     [StatusUnreachable + 1]int // where in byStatus each status ends

	// Scratch space of picks, which allocate nothing.
	excluded []*Candidate        // that the request excludes, and that were of a better status
	among    among               // the candidates, if they are many
	from     []*Candidate        // the candidates, if they are few: parallel to cs
	cs       []balance.Candidate //
	req      balance.PickRequest
}

// NewGroup returns a group without members. It lasts until it is dropped.
func (p *Pool) NewGroup(s balance.Strategy) *Group {
	g := &Group{pool: p, picker: s.New(), number: slices.Index(p.groups, nil)}
	g.some, _ = g.picker.(setPicker)
	g.among.group = g
	if g.number < 0 {
		g.number = len(p.groups)
		p.groups = append(p.groups, nil)
	}
	p.groups[g.number] = g
	return g
}

// Drop ends the group.
func (g *Group) Drop() {
	for _, w := range g.members {
		w.places[g.number] = 0
	}
	g.pool.groups[g.number] = nil
	g.members, g.ids, g.byStatus, g.ends = nil, nil, nil, [StatusUnreachable + 1]int{}
}

// Members returns the members, sorted by ID. The caller must not change them.
func (g *Group) Members() []*Candidate { return g.members }

// Of returns the members of a status, in no order. The caller must not change them.
func (g *Group) Of(s Status) []*Candidate { return g.byStatus[g.start(s):g.ends[s]] }

// Statuses returns how many members have each status, for a caller that excludes
// these.
func (g *Group) Statuses(now time.Duration, exclude []string) (n [StatusUnreachable + 1]int) {
	g.pool.Advance(now)
	g.exclude(exclude)
	for s := range n {
		n[s] = g.ends[s] - g.start(Status(s))
	}
	g.include()
	return n
}

// Has reports whether w is a member.
func (g *Group) Has(w *Candidate) bool { return g.place(w) >= 0 }

// place returns the position of w in byStatus, -1 if it is no member.
func (g *Group) place(w *Candidate) int {
	if g.number >= len(w.places) {
		return -1
	}
	return int(w.places[g.number]) - 1
}

// put puts w at a position of byStatus.
func (g *Group) put(i int, w *Candidate) {
	g.byStatus[i] = w
	w.places[g.number] = int32(i + 1)
}

// Insert makes a worker of the pool a member. It does nothing if it is one. Its cost is
// that of moving the members after it by one place.
func (g *Group) Insert(w *Candidate) {
	if g.Has(w) {
		return
	}
	i, _ := slices.BinarySearch(g.ids, w.ID)
	g.ids, g.members = slices.Insert(g.ids, i, w.ID), slices.Insert(g.members, i, w)
	for len(w.places) <= g.number {
		w.places = append(w.places, 0)
	}
	// The last place of all is of the worst status.
	g.byStatus = append(g.byStatus, nil)
	g.put(len(g.byStatus)-1, w)
	g.ends[StatusUnreachable]++
	g.move(w, w.status)
}

// Remove makes w a member no more.
func (g *Group) Remove(w *Candidate) {
	if !g.Has(w) {
		return
	}
	i, _ := slices.BinarySearch(g.ids, w.ID)
	g.ids, g.members = slices.Delete(g.ids, i, i+1), slices.Delete(g.members, i, i+1)
	g.move(w, StatusUnreachable)
	last := len(g.byStatus) - 1
	g.put(g.place(w), g.byStatus[last])
	g.byStatus[last] = nil
	g.byStatus = g.byStatus[:last]
	g.ends[StatusUnreachable]--
	w.places[g.number] = 0
}

// start returns where in byStatus a status begins.
func (g *Group) start(s Status) int {
	if s == 0 {
		return 0
	}
	return g.ends[s-1]
}

// statusAt returns the status whose part of byStatus has the position i.
func (g *Group) statusAt(i int) Status {
	s := StatusCandidate
	for i >= g.ends[s] {
		s++
	}
	return s
}

// move puts a member among those of a status. From status to status it changes places
// with the one at the border, which then moves over it:
//
//	before  A A x A A | B B B | C      x becomes a C
//	        A A A A | x B B B | C
//	after   A A A A | B B B | x C
//
// So the cost depends on the number of statuses alone.
func (g *Group) move(w *Candidate, to Status) {
	i := g.place(w)
	s := g.statusAt(i)
	for ; s < to; s++ {
		g.ends[s]--
		g.put(i, g.byStatus[g.ends[s]])
		i = g.ends[s]
		g.put(i, w)
	}
	for ; s > to; s-- {
		border := g.ends[s-1]
		g.put(i, g.byStatus[border])
		i = border
		g.put(i, w)
		g.ends[s-1]++
	}
}

// exclude moves the members that a request excludes among those of StatusExcluded, until
// include. Then they count no more as candidates, and not in the shares that decide
// about a panic. It costs a few steps for each name, and nothing for the other members.
func (g *Group) exclude(names []string) {
	for _, name := range names {
		if w := g.pool.named[name]; w != nil && g.Has(w) && g.statusAt(g.place(w)) < StatusExcluded {
			g.move(w, StatusExcluded)
			g.excluded = append(g.excluded, w)
		}
	}
}

// include ends what exclude has done.
func (g *Group) include() {
	for i, w := range g.excluded {
		g.move(w, w.status)
		g.excluded[i] = nil
	}
	g.excluded = g.excluded[:0]
}

// Alternates returns up to req.Alternates candidates beside w, the least utilised
// first: of all candidates, or of some draws if they are many. They are a hint for when
// w fails, so that the caller need not ask again, and need not be the best.
func (g *Group) Alternates(now time.Duration, req *balance.PickRequest, w *Candidate) []*Candidate {
	if req.Alternates <= 0 {
		return nil
	}
	g.pool.Advance(now)
	g.exclude(req.Exclude)
	g.drawOthers(w, max(4*req.Alternates, 16))
	g.include()
	// Computed once, so that sorting does not estimate again.
	scores := make([]float64, len(g.from))
	for i, o := range g.from {
		scores[i] = g.pool.Estimate(now, o) / g.pool.Capacity(o)
	}
	n := min(req.Alternates, len(g.from))
	for i := range n { // as many steps of a selection sort as are needed
		least := i
		for j := i + 1; j < len(scores); j++ {
			if scores[j] < scores[least] {
				least = j
			}
		}
		scores[i], scores[least] = scores[least], scores[i]
		g.from[i], g.from[least] = g.from[least], g.from[i]
	}
	return slices.Clone(g.from[:n])
}

// drawOthers lists candidates beside w in from, in random order, so that equals do not
// come in the same order for every caller: n of them, or all if those are not many more.
func (g *Group) drawOthers(w *Candidate, n int) {
	g.from = g.from[:0]
	all := g.byStatus[:g.candidates()]
	r := g.pool.rand
	if len(all) <= max(2*n, maxCompared) {
		for _, o := range all {
			if o != w {
				g.from = append(g.from, o)
			}
		}
		r.Shuffle(len(g.from), func(i, j int) { g.from[i], g.from[j] = g.from[j], g.from[i] })
		return
	}
	for len(g.from) < n { // at least half of the draws are new
		if o := all[r.IntN(len(all))]; o != w && !slices.Contains(g.from, o) {
			g.from = append(g.from, o)
		}
	}
}
