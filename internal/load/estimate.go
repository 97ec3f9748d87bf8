package load

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A LoadEstimate is what one balancer knows of one worker's load: the last report, its
// own calls, and the assignments that have not arrived. The zero value knows nothing.
//
// Invariant: queue has the assignments in the order of their numbers, which is that of
// issue. Those that are pending have an account, and count there; pending is how many
// they are. The others were claimed, and are removed when they are more than half of it.
type LoadEstimate struct {
	report  Report
	at      time.Duration // when the report arrived
	known   bool          // there is a report of the present connection
	silence time.Duration // how long silence means "unchanged"

	own     int // calls this balancer runs there itself
	pending int // tickets not yet claimed
	queue   []issued
}

// An issued is an assignment.
type issued struct {
	number uint64
	at     time.Duration
	of     *account // whose it is; nil if it was claimed
}

// An account counts the tickets of one caller that no worker has claimed.
type account struct {
	pending int
	all     *int // those of all callers of the pool
}

// add counts n more tickets.
func (a *account) add(n int) {
	a.pending += n
	*a.all += n
}

// Apply applies a report, unless it is older than what is known, and reports whether
// it did. A report of another epoch is of a restarted worker, which voids all that
// was pending. The tickets that an old report names have been claimed all the same.
func (v *LoadEstimate) Apply(now time.Duration, r Report) bool {
	if v.report.Epoch != r.Epoch {
		v.void()
	}
	for _, n := range r.Claimed {
		v.Drop(n)
	}
	if v.report.Epoch == r.Epoch && r.Seq <= v.report.Seq {
		return false
	}
	r.Claimed = nil
	v.report, v.at, v.known = r, now, true
	v.silence = 2*r.Interval + 10*time.Millisecond // one heartbeat may be late or lost
	return true
}

// ApplyPiggybacked applies the numbers that came with the end of a call, if reports of
// the same epoch arrive too and these are newer. It reports whether it did. Without
// reports a number from the end of a call would be trusted for too long.
func (v *LoadEstimate) ApplyPiggybacked(now time.Duration, r Report) bool {
	if !v.known || r.Epoch != v.report.Epoch || r.Seq <= v.report.Seq {
		return false
	}
	r.Claimed, r.Interval = nil, v.report.Interval
	v.report, v.at = r, now
	return true
}

// Lost records that no reports arrive any more. The tickets stay pending: their
// callers can still reach the worker.
func (v *LoadEstimate) Lost() { v.known = false }

// Known reports whether reports arrive, and Report is the last one.
func (v *LoadEstimate) Known() bool { return v.known }

// Report returns the last report, without Claimed.
func (v *LoadEstimate) Report() Report { return v.report }

// Age returns the time since the last report.
func (v *LoadEstimate) Age(now time.Duration) time.Duration { return now - v.at }

// Begin counts a call that this balancer makes itself, until End.
func (v *LoadEstimate) Begin() { v.own++ }

// End is the reverse of Begin.
func (v *LoadEstimate) End() { v.own-- }

// Own returns the calls this balancer runs itself.
func (v *LoadEstimate) Own() int { return v.own }

// issue records an assignment on the account of its caller.
func (v *LoadEstimate) issue(now time.Duration, number uint64, of *account) {
	if len(v.queue) > 2*v.pending+16 { // most were claimed: O(1) per assignment
		v.queue = slices.DeleteFunc(v.queue, func(i issued) bool { return i.of == nil })
	}
	of.add(1)
	v.pending++
	v.queue = append(v.queue, issued{number, now, of})
}

// find returns the pending assignment with that number, nil if there is none.
func (v *LoadEstimate) find(number uint64) *issued {
	i, found := slices.BinarySearchFunc(v.queue, number, func(i issued, number uint64) int { return cmp.Compare(i.number, number) })
	if !found || v.queue[i].of == nil {
		return nil
	}
	return &v.queue[i]
}

// Drop takes an assignment back, as when its caller says that it failed.
func (v *LoadEstimate) Drop(number uint64) {
	if i := v.find(number); i != nil {
		v.drop(i)
	}
}

// drop takes an assignment back, unless it was claimed.
func (v *LoadEstimate) drop(i *issued) {
	if i.of != nil {
		i.of.add(-1)
		i.of = nil
		v.pending--
	}
}

// void takes all assignments back.
func (v *LoadEstimate) void() {
	for i := range v.queue {
		v.drop(&v.queue[i])
	}
	v.queue = nil
}

// Pending returns the assignments that were neither claimed nor have expired.
func (v *LoadEstimate) Pending(now time.Duration) int {
	n := 0 // tickets expire in the order of issue
	for n < len(v.queue) && now-v.queue[n].at > ClaimWithin {
		v.drop(&v.queue[n])
		n++
	}
	if n > 0 {
		v.queue = v.queue[n:]
	}
	if v.pending == 0 && len(v.queue) > 0 {
		v.queue = v.queue[:0]
	}
	return v.pending
}

// others returns the calls of other balancers by the last report.
func (v *LoadEstimate) others() float64 { return float64(v.report.InFlight - v.report.Yours) }

// Estimate returns the calls in flight on the worker: those of others, from
// the report, those of this balancer, and the assignments under way.
//
// The part of others fades with the report's age to the mean utilisation u of all
// workers by others, times capacity, as exp(-age/mean service): a call that runs for
// the mean service time has ended by then with probability 1-1/e. While heartbeats
// arrive, silence means that nothing has changed for longer than gap.
func (v *LoadEstimate) Estimate(now time.Duration, u, capacity float64, gap time.Duration) float64 {
	others := v.others()
	age := now - v.at
	if age <= v.silence {
		age = min(age, gap)
	}
	if s := v.report.MeanService; s > 0 && age > s/20 {
		mean := u * capacity
		others = mean + (others-mean)*math.Exp(-float64(age)/float64(s))
	}
	return others + float64(v.own) + float64(v.Pending(now))
}
