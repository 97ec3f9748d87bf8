package load

import (
	"fmt"
	"slices"
	"time"
)

// Issue notes an assignment of a caller of its own.
func (v *LoadEstimate) Issue(now time.Duration, number uint64) {
	v.issue(now, number, &account{all: new(int)})
}

// Accounts returns how many accounts p keeps, and Queued how long v's list of
// assignments is.
func (p *Pool) Accounts() int { return len(p.accounts) }

// Queued returns how many assignments v's list has, those claimed among them.
func (v *LoadEstimate) Queued() int { return len(v.queue) }

// Median returns what a worker counts with that declares no capacity, beside those
// that declare these.
func Median(declared []uint32) float64 {
	var cs capacities
	cs.derive()
	for _, c := range declared {
		cs.add(c, 1)
	}
	return cs.median
}

// Check compares what the pool keeps account of with the same computed from nothing, and
// returns the first difference.
func (p *Pool) Check(now time.Duration) error {
	p.Advance(now)
	var statuses [StatusUnreachable + 1]int
	var declared []uint32
	var t totals
	for _, w := range p.workers {
		if s := StatusOf(now, w, false); w.status != s {
			return fmt.Errorf("%s is %v, want %v", w.Name, w.status, s)
		}
		statuses[w.status]++
		if due := changeOf(now, w); due != 0 && (w.listed == 0 || w.due > due || p.timetable[w.listed-1] != w) {
			return fmt.Errorf("%s changes at %v, and is listed as %d for %v", w.Name, due, w.listed, w.due)
		}
		if w.known {
			t.workers++
			t.crowded += number(w.report.Balancers > manyBalancers)
			if w.report.Capacity > 0 {
				declared = append(declared, w.report.Capacity)
			}
		}
		t.others += w.share.others
		t.capacity += w.share.capacity
	}
	slices.Sort(declared)
	median := 1.
	if n := len(declared); n > 0 {
		median = float64(declared[(n-1)/2])
		if most := min(float64(declared[n-1]), 8*median); p.capacities.largest() != most {
			return fmt.Errorf("the largest capacity is %v, want %v", p.capacities.largest(), most)
		}
	}
	switch {
	case p.statuses != statuses:
		return fmt.Errorf("statuses %v, want %v", p.statuses, statuses)
	case p.totals != t:
		return fmt.Errorf("totals %+v, want %+v", p.totals, t)
	case p.capacities.median != median:
		return fmt.Errorf("median %v, want %v", p.capacities.median, median)
	}
	for _, g := range p.groups {
		if g != nil {
			if err := g.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// check is Check for a group.
func (g *Group) check() error {
	if len(g.ids) != len(g.members) || len(g.byStatus) != len(g.members) || g.ends[StatusUnreachable] != len(g.members) {
		return fmt.Errorf("%d members, %d ids, %d by status, the last of which ends at %d", len(g.members), len(g.ids), len(g.byStatus), g.ends[StatusUnreachable])
	}
	for i, w := range g.members {
		if g.ids[i] != w.ID || i > 0 && g.ids[i-1] >= w.ID {
			return fmt.Errorf("the members are not in the order of IDs at %d", i)
		}
		if at := g.place(w); at < 0 || g.byStatus[at] != w || g.statusAt(at) != w.status {
			return fmt.Errorf("%s, %v, stands at %d among those who are %v", w.Name, w.status, at, g.statusAt(at))
		}
	}
	return nil
}

// Totals returns the calls of others on all workers, and what these count with.
func (p *Pool) Totals() (others, capacity float64) { return p.totals.others, p.totals.capacity }
