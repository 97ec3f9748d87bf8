package load

import "time"

// Issue notes an assignment of a caller of its own.
func (v *LoadEstimate) Issue(now time.Duration, number uint64) {
	v.issue(now, number, &account{all: new(int)})
}

// Accounts returns how many accounts p keeps, and Queued how long v's list of
// assignments is.
func (p *Pool) Accounts() int { return len(p.accounts) }

// Queued returns how many assignments v's list has, those claimed among them.
func (v *LoadEstimate) Queued() int { return len(v.queue) }

// Median is [median].
func Median(declared []float64) float64 { return median(declared) }

// ShouldSample is [shouldSample].
func ShouldSample(balancers int, minReportInterval time.Duration) bool {
	return shouldSample(balancers, minReportInterval)
}
