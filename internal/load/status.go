package load

import "time"

// A Status is why a worker is a candidate of a pick or is not.
type Status uint8

// The statuses, from best to worst. Of a worker to which several apply, the first in
// the order of [StatusOf] is its status. Those up to StatusStale can be chosen if
// there is no better worker: see Group.worst.
const (
	StatusCandidate   Status = iota
	StatusLate               // late: while no other is there
	StatusEjected            // failed calls: only in a panic
	StatusSuspected          // silent: only if more than half are
	StatusStale              // its report is older than [UnusableAfter]: only in a panic
	StatusExcluded           // the caller does not want it
	StatusDraining           // says that it takes no calls
	StatusNoReport           // has not reported yet, or reports no more
	StatusUnreachable        // gone
)

// String returns the status in words.
func (s Status) String() string {
	return [...]string{"candidate", "late", "ejected", "suspected", "report too old", "excluded by the caller",
		"draining", "no reports", "unreachable"}[min(s, StatusUnreachable)]
}

// Ready reports whether a worker of this status can be chosen as it is, and not only
// for want of better ones.
func (s Status) Ready() bool { return s <= StatusLate }

// StatusOf returns the status of w at the instant now. excluded says that the caller
// does not want it. What the worker or its caller says comes first, since no shortage
// of workers changes it; then come the judgements of the balancer.
func StatusOf(now time.Duration, w *Candidate, excluded bool) Status {
	switch {
	case w.phase == PhaseGone:
		return StatusUnreachable
	case !w.known:
		return StatusNoReport
	case w.report.State == StateDraining:
		return StatusDraining
	case excluded:
		return StatusExcluded
	case now-w.at > UnusableAfter:
		return StatusStale
	case w.phase == PhaseSuspected:
		return StatusSuspected
	case !w.health.Available(now):
		return StatusEjected
	case w.phase == PhaseLate:
		return StatusLate
	}
	return StatusCandidate
}

// changeOf returns when time alone can change the status of w next, 0 if it cannot.
func changeOf(now time.Duration, w *Candidate) (due time.Duration) {
	if w.phase == PhaseGone || !w.known || w.report.State == StateDraining {
		return 0
	}
	if stale := w.at + UnusableAfter + 1; stale > now {
		due = stale
	}
	if end := w.health.changes(now); end > 0 && (due == 0 || end < due) {
		due = end
	}
	return due
}
