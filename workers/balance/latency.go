package balance

// peakEWMA compares two draws, as "the power of two choices" (Mitzenmacher 2001), by
// the cost that Finagle's Peak EWMA uses: latency times calls in flight.
type peakEWMA struct{}

// Pick takes the cheaper of two distinct draws.
func (peakEWMA) Pick(cs []Candidate, req *PickRequest) Pick {
	if c, done := few(cs); done {
		return c
	}
	i, j := drawTwo(len(cs), req)
	return cheaper(i, j, &cs[i], &cs[j])
}

// PickFrom takes the cheaper of two distinct draws.
func (peakEWMA) PickFrom(set Set, req *PickRequest) Pick {
	if c, done := fewOf(set); done {
		return c
	}
	i, j := drawTwo(set.Len(), req)
	a, b := set.At(i), set.At(j)
	return cheaper(i, j, &a, &b)
}

// drawTwo draws two different positions below n.
func drawTwo(n int, req *PickRequest) (i, j int) {
	i, j = req.Rand.IntN(n), req.Rand.IntN(n-1)
	if j >= i {
		j++
	}
	return i, j
}

// cheaper returns the pick of the candidate a at i or b at j.
func cheaper(i, j int, a, b *Candidate) Pick {
	if x, y := cost(a), cost(b); y < x {
		return Pick{j, reasonFasterOfTwo, y}
	} else {
		return Pick{i, reasonFasterOfTwo, x}
	}
}

// cost is the expected wait in seconds. A worker that was never measured is free for
// its first call, and costs a second per call until the first has ended.
func cost(c *Candidate) float64 {
	l := c.Latency
	if l == 0 && c.Own > 0 {
		l = 1
	}
	return l * float64(c.Own+1) * (1 + c.Penalty)
}
