package load

import "time"

// Ejection of a worker that fails calls. The pattern is Envoy's outlier
// detection, with times for small clusters.
const (
	// failureLimit is how many failures in a row eject.
	failureLimit = 5
	// ejectFor is the first ejection's length; it doubles with each further one
	// up to ejectMost, and a healthy minute takes one doubling back.
	ejectFor     = 5 * time.Second
	ejectMost    = 300 * time.Second
	healthyAfter = 60 * time.Second
	// trialWithin is how long the trial call is waited for: one that has not
	// failed by then is a success.
	trialWithin = 5 * time.Second
	// agreeWithin is how close in time the complaints of two callers must be.
	agreeWithin = 10 * time.Second
)

// A Health is what one balancer holds of one worker's answers. Failures are
// those of transport and availability; errors of the application and refusals
// that send the caller elsewhere are none. The zero value is healthy.
//
//	fine -(5 failures in a row, or 2 callers complain)-> ejected
//	ejected -(time over)-> trial: one call
//	trial -(success, or no news of it for 5 s)-> fine; -(failure, or a complaint)-> ejected, twice as long
//
// Only a trial that was given can fail: bad news that comes before it is of calls
// that began earlier. It says nothing new while the worker is ejected, and counts
// as with a healthy worker after that.
type Health struct {
	failures  int
	times     int // ejections that are not yet forgotten
	until     time.Duration
	ejected   bool          // until Success, even when the time is over
	tried     time.Duration // when the trial call was given
	trying    bool
	healthy   time.Duration // since when
	complaint struct {
		by string
		at time.Duration
	}
	given string // who was given the trial call
	alone string // who has failed a trial without another's agreement
}

// Failure records a failed call and reports whether it ejected the worker.
func (h *Health) Failure(now time.Duration) bool {
	if h.ejected && now < h.until {
		return false
	}
	if h.failures++; h.failures < failureLimit && !(h.ejected && h.trying) {
		return false
	}
	h.eject(now)
	return true
}

// Complaint records that a caller says that the worker failed it; by is the
// identity that its certificate proves, so that nobody passes for two. One caller
// may have a bad network, or lie: the worker is ejected, and Complaint returns
// true, when two agree, or when the trial call was given to this one
// ([Health.Picked]) and it has not failed one by its word alone since the worker
// was last fine.
func (h *Health) Complaint(now time.Duration, by string) bool {
	if h.ejected && now < h.until {
		return false
	}
	last := h.complaint
	h.complaint.by, h.complaint.at = by, now
	agreed := last.at != 0 && last.by != by && now-last.at <= agreeWithin
	if !agreed {
		onTrial := h.ejected && h.trying && now-h.tried < trialWithin
		if !onTrial || h.given != by || h.alone == by {
			return false
		}
		h.alone = by
	}
	h.eject(now)
	return true
}

func (h *Health) eject(now time.Duration) {
	h.expire(now)
	h.times++
	h.until = now + min(ejectFor<<min(h.times-1, 10), ejectMost)
	h.ejected, h.trying, h.failures = true, false, 0
	h.complaint.at = 0
}

// forgive takes back one ejection for each healthy minute.
func (h *Health) expire(now time.Duration) {
	if !h.ejected && h.times > 0 {
		h.times = max(0, h.times-int((now-h.healthy)/healthyAfter))
	}
}

// Success records a call that the worker answered.
func (h *Health) Success(now time.Duration) {
	h.failures = 0
	if h.ejected && now >= h.until {
		h.ejected, h.trying, h.healthy, h.alone = false, false, now, ""
	}
}

// Available reports whether the worker may be picked. When an ejection's time
// is over, it may for one call: see Picked.
func (h *Health) Available(now time.Duration) bool {
	if !h.ejected {
		return true
	}
	return now >= h.until && (!h.trying || now-h.tried >= trialWithin)
}

// Picked says that the worker was given a call, and to whom.
func (h *Health) Picked(now time.Duration, caller string) {
	switch {
	case !h.ejected || now < h.until:
	case h.trying:
		h.Success(now) // no bad news of the trial in all that time
	default:
		h.trying, h.tried, h.given = true, now, caller
	}
}

// Ejected returns until when the worker is ejected; ok is false if it is not.
func (h *Health) Ejected(now time.Duration) (until time.Duration, ok bool) {
	return h.until, h.ejected && now < h.until
}

// Reset forgets everything, as for a worker that restarted.
func (h *Health) Reset() { *h = Health{} }
