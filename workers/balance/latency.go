package balance

import (
	"math"
	"time"
)

// A Latency is the mean duration of unary calls to one worker, sensitive to
// peaks as Finagle's: a sample above the mean replaces it, one below pulls it
// down with a time constant of 10 s. The zero value knows nothing. It is not
// safe for concurrent use.
type Latency struct {
	seconds float64
	at      time.Duration
}

// latencyDecay is the time in which an old mean loses 63 % of its weight.
const latencyDecay = 10 * time.Second

// Observe adds the duration of a call that ended at now, a time since any
// fixed moment. A failed call counts as at least a second: a worker that fails
// fast is not fast.
func (l *Latency) Observe(now, took time.Duration, failed bool) {
	s := took.Seconds()
	if failed {
		s = max(s, 1)
	}
	if s >= l.seconds {
		l.seconds = s
	} else {
		w := math.Exp(-float64(now-l.at) / float64(latencyDecay))
		l.seconds = l.seconds*w + s*(1-w)
	}
	l.at = now
}

// Seconds returns the mean, 0 if nothing was observed.
func (l *Latency) Seconds() float64 { return l.seconds }

type peakEWMA struct{}

func (peakEWMA) Pick(cs []Candidate, req *Request) Choice {
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
	return Choice{i, FasterOfTwo, a}
}

// cost is the expected wait in seconds. A worker never measured is free for
// its first call and costs a second per call until that one has told.
func cost(c *Candidate) float64 {
	l := c.Latency
	if l == 0 && c.Own > 0 {
		l = 1
	}
	return l * float64(c.Own+1) * (1 + c.Penalty)
}
