package balance

type random struct{}

func (random) Pick(cs []Candidate, req *PickRequest) Pick {
	if c, done := few(cs); done {
		return c
	}
	return Pick{Index: req.Rand.IntN(len(cs)), Reason: reasonDrawn}
}

type weightedRandom struct{}

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
