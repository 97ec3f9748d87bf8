package balance

import "slices"

// roundRobin remembers the ID that it took last, not a position, so that a worker that
// joins or leaves gives no other a second turn.
type roundRobin struct{ last uint64 }

// Pick takes the next candidate after the last one.
func (r *roundRobin) Pick(cs []Candidate, req *PickRequest) Pick {
	if len(cs) == 0 {
		return Pick{Index: -1, Reason: reasonNone}
	}
	i, found := find(cs, r.last)
	if found {
		i++
	}
	if r.last == 0 { // the first pick: not all balancers begin with the same worker
		i = req.Rand.IntN(len(cs))
	}
	if i == len(cs) {
		i = 0
	}
	r.last = cs[i].ID
	return Pick{Index: i, Reason: reasonTurn}
}

// weightedRoundRobin is the smooth rotation of nginx: each pick, every
// candidate earns its capacity, the richest is taken and pays the sum. state
// is sorted by ID as candidates are, so that one walk serves both.
type weightedRoundRobin struct {
	state  []earned
	unseen int // picks since state may have held workers that are gone
}

// earned is what a candidate has earned and not paid.
type earned struct {
	id     uint64
	amount float64
}

// Pick takes the candidate that has earned most.
func (r *weightedRoundRobin) Pick(cs []Candidate, _ *PickRequest) Pick {
	if len(cs) == 0 {
		return Pick{Index: -1, Reason: reasonNone}
	}
	best, at, j := -1, 0, 0
	sum := 0.0
	for i := range cs {
		c := &cs[i]
		for j < len(r.state) && r.state[j].id < c.ID {
			j++
		}
		if j == len(r.state) || r.state[j].id != c.ID {
			r.state = slices.Insert(r.state, j, earned{id: c.ID})
		}
		r.state[j].amount += c.Capacity
		sum += c.Capacity
		if best < 0 || r.state[j].amount > r.state[at].amount {
			best, at = i, j
		}
		j++
	}
	r.state[at].amount -= sum
	r.forget(cs)
	return Pick{Index: best, Reason: reasonTurn}
}

// forget drops workers that are not among the candidates, now and then: those
// left out of one pick only keep what they have earned.
func (r *weightedRoundRobin) forget(cs []Candidate) {
	if r.unseen++; len(r.state) == len(cs) {
		r.unseen = 0
	} else if r.unseen > 1000 || len(r.state) > 2*len(cs)+64 {
		r.unseen = 0
		r.state = slices.DeleteFunc(r.state, func(e earned) bool {
			return !slices.ContainsFunc(cs, func(c Candidate) bool { return c.ID == e.id })
		})
	}
}
