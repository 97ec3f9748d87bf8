package balance

type random struct{}

func (random) Pick(cs []Candidate, req *Request) Choice {
	if c, done := few(cs); done {
		return c
	}
	return Choice{Index: req.Rand.IntN(len(cs)), Reason: Drawn}
}

type weightedRandom struct{}

func (weightedRandom) Pick(cs []Candidate, req *Request) Choice {
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
	return Choice{Index: i, Reason: Drawn}
}
