package members

import "time"

const (
	// badHealth is the score of memberlist from which a node finds itself unwell, if
	// it lasts for badHealthFor.
	badHealth    = 3
	badHealthFor = 500 * time.Millisecond
	// unwellFor is how long a node that did not run for a while mistrusts what it
	// hears.
	unwellFor = 5 * time.Second
)

// A condition is what the table knows of this node itself: whether it can trust what it
// hears, or does not hear.
type condition struct {
	// health is memberlist's score as last reported, unwell since when it has been bad, and
	// degraded whether an event has said so.
	health   int
	unwell   time.Time
	degraded bool
	// paused is when this node last found that it had not run.
	paused time.Time
}

// The order matters: failed probes count for the picture of this tick, and what the
// detector finds comes before the questions that are due.
func (in Tick) apply(t *Table, now time.Time) {
	if in.Late {
		t.own.paused = now
	}
	if !in.Paused {
		for _, id := range in.Failed {
			t.probeFailed(id, now)
		}
	}
	if !in.Late { // else what is late is late because of this node
		if t.own.note(in.Health, now) {
			self, _ := t.Get(t.cfg.Self)
			t.emit(Event{Kind: KindSelfDegraded, Health: in.Health, Member: self}, now)
		}
		t.judgeSplit(in.FailedLately, now)
	}
	t.askAgain(now)
	// What costs a walk through the table, or packets, is not done at every tick.
	if now.Sub(t.second) >= time.Second {
		t.second = now
		t.clearSuspicions(now)
	}
	if now.Sub(t.minute) >= time.Minute {
		t.minute = now
		t.forget(now)
	}
}

// note takes memberlist's score, and reports whether this node finds itself unwell, for a
// while by now, or well again.
func (c *condition) note(health int, now time.Time) (changed bool) {
	c.health = health
	switch {
	case health < badHealth:
		c.unwell = time.Time{}
	case c.unwell.IsZero():
		c.unwell = now
	}
	switch {
	case !c.degraded && !c.unwell.IsZero() && now.Sub(c.unwell) >= badHealthFor:
		c.degraded = true
	case c.degraded && health == 0:
		c.degraded = false
	default:
		return false
	}
	return true
}

// unsure reports whether this node has reason to mistrust silence.
func (c *condition) unsure(now time.Time) bool {
	return c.health >= badHealth || now.Sub(c.paused) < unwellFor
}
