package cluster

import "time"

// A node that runs late takes the others for silent. What it does about them,
// suspicions that all must hear, connections that verify them, exchanges of state, makes
// the machine later still. A hundred nodes that start on one busy machine do not get out
// of that circle by themselves. So a node that is late ([phi.Lateness])
//
//   - probes the less often, the later it is (prober.blind);
//   - does not listen to suspicions whose refutations it would hear too late (prober.deaf);
//   - asks by packets before it asks by connections (prober.noFallback, prober.verify);
//   - gives connections more time (phi.Lateness.Patience);
//   - puts off exchanges of state that can wait (healer.putsOff).
const (
	// probeTurns times its lateness is how long a node that is late waits between probes,
	// and maxProbePause the longest.
	probeTurns    = 20
	maxProbePause = 4 * time.Second
	// deafAfter is the lateness from which a node does not listen to suspicions.
	deafAfter = 250 * time.Millisecond
	// putOffAfter is the lateness from which exchanges are put off, and putOffFor for how
	// long at most.
	putOffAfter = 50 * time.Millisecond
	putOffFor   = 15 * time.Second
)

// deaf reports whether this node would hear too late that a suspicion was refuted.
func (p *prober) deaf() bool { return p.late.By(time.Now()) > deafAfter }

// noFallback reports whether memberlist is not to ask a member over a stream that does not
// answer a packet in time: this node is late, and the answer is likely on its way. A
// member that packets do not reach answers over streams alone.
func (p *prober) noFallback(id string) bool {
	return p.late.By(time.Now()) > p.n.cfg.Detection.ProbeTimeout/2 && !p.n.reach.onlyByStream(id)
}

// blind reports whether memberlist is not to probe now, because this node is late, by more
// than half a ProbeTimeout. It then probes once in probeTurns times as long as it is
// late, at least once in maxProbePause, so that it neither blames the others nor stops to
// look. What the prober asks itself is no such probe.
func (p *prober) blind(id string) bool {
	now := time.Now()
	late := p.late.By(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked[id] > 0 {
		return false
	}
	if late > p.n.cfg.Detection.ProbeTimeout/2 && now.Sub(p.sent) < min(probeTurns*late, maxProbePause) {
		return true
	}
	p.sent = now
	return false
}

// putsOff reports whether this node is late and puts off exchanges that can wait.
func (h *healer) putsOff(now time.Time) bool {
	switch {
	case h.n.prober.late.By(now) <= putOffAfter:
		h.putOff = time.Time{}
		return false
	case h.putOff.IsZero():
		h.putOff = now
	}
	return now.Sub(h.putOff) < putOffFor
}
