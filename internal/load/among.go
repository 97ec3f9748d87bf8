package load

import (
	"math/bits"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A setPicker is a picker that need not see all candidates: see [balance.Set].
type setPicker interface {
	PickFrom(set balance.Set, req *balance.PickRequest) balance.Pick
}

// An among is the candidates of one pick of a group: its first n members by status.
type among struct {
	group *Group
	now   time.Duration
	n     int
}

// Len returns how many candidates there are.
func (a *among) Len() int { return a.n }

// At returns a candidate as a strategy sees it. Its load is computed here, since it
// depends on the time.
func (a *among) At(i int) balance.Candidate {
	w, p := a.group.byStatus[i], a.group.pool
	return balance.Candidate{ID: w.ID, Load: p.Estimate(a.now, w), Own: w.own, Capacity: p.Capacity(w),
		Penalty: w.Penalty, Latency: w.Latency.Seconds()}
}

// MaxCapacity returns a bound of the capacities of all candidates: the largest in the
// pool. So draws by rejection from a group whose workers are all small take more tries.
func (a *among) MaxCapacity() float64 { return a.group.pool.capacities.largest() }

// Find returns the position of the candidate with the given ID. A member that is no
// candidate is not found.
func (a *among) Find(id uint64) (i int, found bool) {
	at, found := slices.BinarySearch(a.group.ids, id)
	if !found {
		return 0, false
	}
	i = a.group.place(a.group.members[at])
	return i, i < a.n
}

// Next returns the first candidate whose ID is above id, or the first of all if there
// is none.
func (a *among) Next(id uint64) (i int, next uint64) {
	g := a.group
	if a.n*a.n < len(g.members) { // few among many: it takes fewer steps to look at them all
		return a.nextOf(id)
	}
	for at := firstAbove(g.ids, id); ; at++ {
		if at == len(g.members) {
			at = 0
		}
		if i := g.place(g.members[at]); i < a.n {
			return i, g.ids[at]
		}
	}
}

// nextOf is Next by comparing all candidates.
func (a *among) nextOf(id uint64) (i int, next uint64) {
	least := ^uint64(0)
	for at, w := range a.group.byStatus[:a.n] {
		// Counted from the one after id, so that those below id come last.
		if after := w.ID - id - 1; after <= least {
			i, least = at, after
		}
	}
	return i, id + 1 + least
}

// firstAbove returns the position of the first of the sorted ids that is above id. They
// are hashes, and so evenly spread: it begins where id would stand if they were exactly
// so, about the square root of their number away, and doubles its steps from there.
func firstAbove(ids []uint64, id uint64) int {
	guess, _ := bits.Mul64(id, uint64(len(ids)))
	low, high, step := int(guess), int(guess), 16
	for low > 0 && ids[low-1] > id {
		high = low
		low, step = max(low-step, 0), 2*step
	}
	for high < len(ids) && ids[high] <= id {
		low = high + 1
		high, step = min(high+step, len(ids)), 2*step
	}
	for low < high {
		if middle := (low + high) / 2; ids[middle] > id {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}
