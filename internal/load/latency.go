package load

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
