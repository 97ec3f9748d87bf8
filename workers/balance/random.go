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
