package balance

import (
	"math"
	"slices"
)

// leastConnections keeps the running sums of the capacities from one pick to
// the next for their memory alone.
type leastConnections struct{ sums []float64 }

// Pick takes the least utilised of all candidates, or of a few draws.
func (l *leastConnections) Pick(cs []Candidate, req *PickRequest) Pick {
	if c, done := few(cs); done {
		return c
	}
	if req.Sample && len(cs) > draws {
		return l.sampled(cs, req)
	}
	return least(cs, req)
}

// least returns the candidate of the lowest score, drawn among equals: if the first of
// them were taken, it would get every call of an idle pool. The i-th of the equals
// replaces the others with probability 1/i, which makes all equally likely.
func least(cs []Candidate, req *PickRequest) Pick {
	best, low, ties := 0, math.Inf(1), 1
	for i := range cs {
		s := score(&cs[i])
		switch {
		case s < low:
			best, low, ties = i, s, 1
		case s == low:
			ties++
			if req.Rand.Uint32N(uint32(ties)) == 0 {
				best = i
			}
		}
	}
	reason := reasonLeastLoaded
	if ties > 1 {
		reason = reasonTie
	}
	return Pick{best, reason, low}
}

// draws is how many candidates are compared when the request says to sample.
const draws = 4

// sampled returns the lowest score of [draws] distinct candidates, drawn in
// proportion to capacity. Distinct, because two draws of one hung worker would
// make it the best of both.
func (l *leastConnections) sampled(cs []Candidate, req *PickRequest) Pick {
	if cap(l.sums) < len(cs) {
		l.sums = make([]float64, len(cs))
	}
	l.sums = l.sums[:len(cs)]
	sum := 0.0
	for i := range cs {
		sum += cs[i].Capacity
		l.sums[i] = sum
	}
	var taken [draws]int
	n, best, low := 0, -1, math.Inf(1)
	for tries := 0; n < draws; tries++ {
		i := l.draw(req.Rand.Float64() * sum)
		if slices.Contains(taken[:n], i) {
			if tries < 4*draws {
				continue
			}
			// A few hold nearly all the capacity: take the next one that is not taken.
			for slices.Contains(taken[:n], i) {
				i = (i + 1) % len(cs)
			}
		}
		taken[n] = i
		n++
		if s := score(&cs[i]); s < low {
			best, low = i, s
		}
	}
	return Pick{best, reasonSampled, low}
}

// PickFrom takes the least utilised of a few draws: the draws of a set find a worker
// with room as surely as the minimum does, since the larger a pool is, the less its load
// fluctuates. Simulated with 1 000 and 10 000 workers: see docs/routing.md.
func (l *leastConnections) PickFrom(set Set, req *PickRequest) Pick {
	if c, done := fewOf(set); done {
		return c
	}
	return leastOf(set, req)
}

// leastOf returns the lowest score of [draws] distinct candidates of a set, drawn in
// proportion to capacity.
func leastOf(set Set, req *PickRequest) Pick {
	var taken [draws]int
	best, low := -1, math.Inf(1)
	for n := range min(draws, set.Len()) {
		i, c := drawByCapacity(set, req)
		for tries := 1; slices.Contains(taken[:n], i); tries++ {
			if tries < draws {
				i, c = drawByCapacity(set, req)
			} else { // a few hold nearly all the capacity: take the next one that is not taken
				i = (i + 1) % set.Len()
				c = set.At(i)
			}
		}
		taken[n] = i
		if s := score(&c); s < low {
			best, low = i, s
		}
	}
	return Pick{best, reasonSampled, low}
}

// draw returns the first position whose running sum is above x, starting from
// where it would be if all capacities were equal.
func (l *leastConnections) draw(x float64) int {
	last := len(l.sums) - 1
	at := min(int(x/l.sums[last]*float64(last+1)), last)
	for at > 0 && l.sums[at-1] > x {
		at--
	}
	for at < last && l.sums[at] <= x {
		at++
	}
	return at
}
