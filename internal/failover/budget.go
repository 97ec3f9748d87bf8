package failover

import (
	"math/rand/v2"
	"time"
)

// A Budget limits how many of a client's calls are made a second time: 10 at
// once, and one for every ten that succeed, so that a cluster in trouble is not
// given more work than one that is well (gRPC's retry throttling, gRFC A6). The
// zero value is full.
//
// The resumes of streams do not pay. They repeat nothing that was accepted, so
// they are the work the cluster had before; when a worker with 100 streams dies,
// 100 must go on at once, which no useful budget would allow; and each
// stream has a limit ([MaxResumes]) and a back-off of its own.
type Budget struct{ spent float64 }

const (
	// budgetTokens is how many tokens a full budget has.
	budgetTokens = 10
	// budgetSuccess is what a call that succeeds gives back.
	budgetSuccess = 0.1
)

// Take takes a token and reports whether there was one.
func (b *Budget) Take() bool {
	if b.spent > budgetTokens-1 {
		return false
	}
	b.spent++
	return true
}

// Success gives a tenth of a token back.
func (b *Budget) Success() { b.spent = max(0, b.spent-budgetSuccess) }

// Left returns the tokens left.
func (b *Budget) Left() float64 { return budgetTokens - b.spent }

// Backoff returns how long to wait before an attempt: nothing before the first of a
// row (n = 1), then 100 to 200 ms, doubled up to 1 to 2 s. The random half keeps
// streams apart that have failed together; the fixed half makes 3 resumes outlast
// a disturbance of 0.3 s.
func Backoff(n int, r *rand.Rand) time.Duration {
	if n <= 1 {
		return 0
	}
	half := min(100*time.Millisecond<<min(n-2, 10), time.Second)
	return half + time.Duration(r.Int64N(int64(half))+1)
}
