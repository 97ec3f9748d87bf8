package load

import "time"

// The totals are sums over all workers that report, which each event brings up to
// date by the share of its own worker.
//
// A capacity that changes the median of all changes what other workers count with,
// too: at once in every pick, but in these sums only with the next report of each,
// which comes within a heartbeat. That is good enough, since the sums serve only as
// the mean that old reports fade to, and it saves a walk over all workers.
type totals struct {
	workers  int     // that report
	crowded  int     // of these, those that report to many balancers
	others   float64 // calls of others on them
	capacity float64 // what they count with
}

// A share is what one worker adds to the totals of its pool. The zero value adds
// nothing.
type share struct {
	known    bool
	crowded  bool
	declared uint32
	others   float64
	capacity float64
}

// manyBalancers is how many balancers share the workers at most before they compare
// draws. Simulated with 8 balancers and 50 ms between reports: p99 waiting 485 ms for
// the minimum of all, 232 ms for the best of 4 draws.
const manyBalancers = 3

// tally brings the totals up to date with what is known of w.
func (p *Pool) tally(w *Candidate) {
	var is share
	if w.known {
		is = share{known: true, crowded: w.report.Balancers > manyBalancers, declared: w.report.Capacity}
	}
	if was := w.share.declared; is.declared != was {
		p.capacities.add(was, -1)
		p.capacities.add(is.declared, 1)
	}
	if w.known {
		is.capacity, is.others = p.capacity(w), w.others()
		if p.capacities.count > 0 {
			// At most eight times the capacity it counts with, so that a worker that claims a
			// billion calls does not change the estimates of the others. If no worker declares
			// a capacity, there is nothing to compare with.
			is.others = min(is.others, max(64, MaxCapacityRatio*is.capacity))
		}
	}
	t, was := &p.totals, w.share
	t.workers += number(is.known) - number(was.known)
	t.crowded += number(is.crowded) - number(was.crowded)
	t.others += is.others - was.others // whole numbers, so that the sums stay exact
	t.capacity += is.capacity - was.capacity
	w.share = is
}

// number returns 1 for true.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sample reports whether balancers should compare a few draws instead of taking the
// minimum, by which all of them would find the same worker: because most workers
// report to many, or because reports come so seldom that the loads are old.
func (p *Pool) sample() bool {
	return MinReportInterval(len(p.workers)) > MinReportInterval(0) || 2*p.totals.crowded > p.totals.workers
}

// capacity returns the declared capacity of w, limited by [MaxCapacityRatio], or the
// median if it declares none.
func (p *Pool) capacity(w *Candidate) float64 { return p.capacities.of(w.report.Capacity) }

// Estimate returns how many calls w has in flight: see [LoadEstimate.Estimate]. The
// mean that an old report fades to is the utilisation of all workers by others.
func (p *Pool) Estimate(now time.Duration, w *Candidate) float64 {
	u := 0.0
	if p.totals.capacity > 0 {
		u = p.totals.others / p.totals.capacity
	}
	return w.LoadEstimate.Estimate(now, u, p.capacity(w), MinReportInterval(len(p.workers)))
}

// Capacity returns the capacity that w counts with: less than its own while it
// comes back or starts slowly.
func (p *Pool) Capacity(w *Candidate) float64 {
	c := p.capacity(w)
	if w.Weight > 0 {
		c *= w.Weight
	}
	return c
}
