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

// A Health is what one balancer knows of one worker's answers. Failures are those of
// transport and availability. Errors of the application, and refusals that send the
// caller elsewhere, are not failures. The zero value is healthy.
//
//	      5 failures in a row,           its time is over,
//	      or 2 callers complain          and the worker is picked
//	fine ----------------------> ejected ----------------------> trial: one call
//	 ^                              ^                              |   |
//	 |                              +---- a failure or complaint --+   |
//	 |                                    (twice as long)              |
//	 +------ a success, or no news of the trial for 5 s ---------------+
//
// Only a trial that was given can fail. Failures that arrive before it are of calls
// that began earlier: they are ignored during the ejection, and count as those of a
// healthy worker after it.
type Health struct {
	failures  int           // in a row
	times     int           // ejections that have not expired
	until     time.Duration // end of the last ejection
	ejected   bool          // until Success, even if the time is over
	tried     time.Duration // when the trial call was given
	trying    bool
	healthy   time.Duration // since when
	complaint struct {
		by string
		at time.Duration
	}
	given string // the caller of the trial call
	alone string // the caller that has failed a trial without another's agreement
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

// Complaint records that the worker failed a call of the caller by, and reports
// whether that ejected the worker. by is the identity that the caller's certificate
// proves, so that one caller does not count as two.
//
// One caller can have a bad network, or lie. So two must agree within 10 s. During a
// trial the caller of the trial call ([Health.Picked]) is enough, but only once until
// the worker is fine again.
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

// eject takes the worker out, twice as long as the last time.
func (h *Health) eject(now time.Duration) {
	h.expire(now)
	h.times++
	h.until = now + min(ejectFor<<min(h.times-1, 10), ejectMost)
	h.ejected, h.trying, h.failures = true, false, 0
	h.complaint.at = 0
}

// expire forgets one ejection for each healthy minute.
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

// Available reports whether the worker can be picked. After an ejection it can, for
// one call: see [Health.Picked].
func (h *Health) Available(now time.Duration) bool {
	if !h.ejected {
		return true
	}
	return now >= h.until && (!h.trying || now-h.tried >= trialWithin)
}

// changes returns when time alone changes whether the worker is available, 0 if it
// does not.
func (h *Health) changes(now time.Duration) time.Duration {
	switch {
	case !h.ejected:
		return 0
	case now < h.until:
		return h.until
	case h.trying && now-h.tried < trialWithin:
		return h.tried + trialWithin
	}
	return 0
}

// Picked records that a call of the caller was assigned to the worker. It begins a
// trial if the worker's ejection is over.
func (h *Health) Picked(now time.Duration, caller string) {
	switch {
	case !h.ejected || now < h.until:
	case h.trying:
		h.Success(now) // the trial has not failed within trialWithin
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
