package balance

// peakEWMA compares two draws, as "the power of two choices" (Mitzenmacher 2001), by
// the cost that Finagle's Peak EWMA uses: latency times calls in flight.
type peakEWMA struct{}

// Pick takes the cheaper of two distinct draws.
func (peakEWMA) Pick(cs []Candidate, req *PickRequest) Pick {
	if c, done := few(cs); done {
		return c
	}
	i := req.Rand.IntN(len(cs))
	j := req.Rand.IntN(len(cs) - 1)
	if j >= i {
		j++
	}
	a, b := cost(&cs[i]), cost(&cs[j])
	if b < a {
		i, a = j, b
	}
	return Pick{i, reasonFasterOfTwo, a}
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
