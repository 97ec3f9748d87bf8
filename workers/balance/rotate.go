package balance

import (
	"math"
	"slices"
)

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

// PickFrom takes the next candidate after the last one.
func (r *roundRobin) PickFrom(set Set, req *PickRequest) Pick {
	if set.Len() == 0 {
		return Pick{Index: -1, Reason: reasonNone}
	}
	if r.last == 0 {
		r.last = req.Rand.Uint64()
	}
	i, id := set.Next(r.last)
	r.last = id
	return Pick{Index: i, Reason: reasonTurn}
}

// weightedRoundRobin is the smooth rotation of nginx: each pick, every
// candidate earns its capacity, the richest is taken and pays the sum. state
// is sorted by ID as candidates are, so that one walk serves both.
type weightedRoundRobin struct {
	state  []earned
	unseen int // picks since state may have held workers that are gone

	// Of picks from a set.
	last  uint64 // the ID of the last candidate that was looked at
	round uint64 // counts rotations over all candidates
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

// PickFrom goes round all candidates, and takes in each round those whose turn it is:
// one of half the largest capacity in every second round, each beginning with another
// one. The rounds that take a candidate follow from its ID and their number, so that
// nothing is kept of it. This is the static stride scheduler of gRPC's
// weighted_round_robin (https://github.com/grpc/proposal/blob/master/A58-client-side-weighted-round-robin-lb-policy.md).
func (r *weightedRoundRobin) PickFrom(set Set, req *PickRequest) Pick {
	if set.Len() == 0 {
		return Pick{Index: -1, Reason: reasonNone}
	}
	if r.last == 0 {
		r.last = req.Rand.Uint64()
	}
	largest := set.MaxCapacity()
	for passed := 1; ; passed++ {
		i, id := set.Next(r.last)
		if id <= r.last {
			r.round++
		}
		r.last = id
		// Its turns up to this round, less those up to the one before.
		phase := float64(mix(id)>>11) / (1 << 53)
		share := set.At(i).Capacity / largest
		turns := math.Floor(float64(r.round+1)*share+phase) - math.Floor(float64(r.round)*share+phase)
		if turns >= 1 || passed == maxPassed {
			return Pick{Index: i, Reason: reasonTurn}
		}
	}
}

// maxPassed is how many candidates a rotation by capacity passes over at most. Only if
// nearly all have much less than the largest capacity does it take one out of turn.
const maxPassed = 16
