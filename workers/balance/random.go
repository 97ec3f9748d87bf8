package balance

// random draws one candidate, each as likely as the others.
type random struct{}

// Pick draws one.
func (random) Pick(cs []Candidate, req *PickRequest) Pick {
	if c, done := few(cs); done {
		return c
	}
	return Pick{Index: req.Rand.IntN(len(cs)), Reason: reasonDrawn}
}

// PickFrom draws one.
func (random) PickFrom(set Set, req *PickRequest) Pick {
	if c, done := fewOf(set); done {
		return c
	}
	return Pick{Index: req.Rand.IntN(set.Len()), Reason: reasonDrawn}
}

// weightedRandom draws one candidate in proportion to capacity.
type weightedRandom struct{}

// Pick draws a point of the total capacity and takes the candidate it falls on.
func (weightedRandom) Pick(cs []Candidate, req *PickRequest) Pick {
	if c, done := few(cs); done {
		return c
	}
	sum := 0.0
	for i := range cs {
		sum += cs[i].Capacity
	}
	x, i := req.Rand.Float64()*sum, 0
	for ; i < len(cs)-1; i++ {
		if x -= cs[i].Capacity; x < 0 {
			break
		}
	}
	return Pick{Index: i, Reason: reasonDrawn}
}

// PickFrom draws one by rejection.
func (weightedRandom) PickFrom(set Set, req *PickRequest) Pick {
	if c, done := fewOf(set); done {
		return c
	}
	i, _ := drawByCapacity(set, req)
	return Pick{Index: i, Reason: reasonDrawn}
}

// maxRejected is how often drawByCapacity draws anew. If a worker of the largest
// capacity is so rare that as many draws are rejected, the last one is taken, which
// makes small workers a little likelier than they should be.
const maxRejected = 16

// drawByCapacity draws a candidate in proportion to capacity: a uniform draw is kept
// with the probability of its share of the largest capacity (rejection sampling, von
// Neumann 1951), which takes two or three draws if capacities differ by a few times.
func drawByCapacity(set Set, req *PickRequest) (i int, c Candidate) {
	largest := set.MaxCapacity()
	for range maxRejected {
		i = req.Rand.IntN(set.Len())
		if c = set.At(i); c.Capacity >= largest || req.Rand.Float64()*largest < c.Capacity {
			break
		}
	}
	return i, c
}
