package members

import (
	"slices"
	"time"
)

// This node's own evidence: answers and silence of its probes, and what those who
// route report.

// maxPings is how many suspects are asked again at a time, those first that were not for
// the longest time.
const maxPings = 8

// The evidence of those who route suspects a member until they take it back.
func (in Evidence) apply(t *Table, now time.Time) {
	if r := t.records[in.ID]; r != nil && r.State.Present() {
		t.suspect(r, sourceRouting, in.Cause, in.Phi, now)
	}
}

// A failed member that gossip holds alive is taken back at once, unless another holds
// its address by now.
func (in Cleared) apply(t *Table, now time.Time) {
	switch r := t.records[in.ID]; {
	case r == nil || r.unannounced || r.final():
	case r.State == StateFailed && r.listed && !r.replaced:
		if t.held(r, r.Addr) { // the answer there decides
			t.ask(r.Addr)
		} else {
			t.revive(r, now)
		}
	default:
		t.clear(r, sourceRouting, now)
	}
}

// An unreachable member fails without the others' word, and without being verified.
func (in Unreachable) apply(t *Table, now time.Time) {
	if r := t.records[in.ID]; r != nil && r.State.Present() && !t.isSelf(r) {
		t.markFailed(r, in.Cause, now)
	}
}

// The id is kept even if no member has it: gossip of it can be on its way already.
func (in Evicted) apply(t *Table, now time.Time) {
	if in.ID == t.cfg.Self {
		return
	}
	t.evicted[in.ID] = true
	r := t.records[in.ID]
	if r == nil {
		return
	}
	if r.State.Present() {
		t.markFailed(r, CauseEvicted, now)
	}
	r.replaced = true // never taken back
}

// An answer is the strongest evidence there is: it clears what this node's own probes said.
// What those who route said it does not clear, since they ask by other means.
func (in Answered) apply(t *Table, now time.Time) {
	if r := t.records[in.ID]; r != nil {
		t.answered(r, in.Proved, now)
	}
}

// answered clears the suspicion of a present member that answered a probe. It
// considers one that is not present: one that only this node failed, which gossip
// still holds alive, has to answer twice.
func (t *Table) answered(r *record, proved bool, now time.Time) {
	t.clear(r, sourceProbe, now)
	if !r.listed || r.State.Present() || r.final() {
		return
	}
	if r.failed && !r.replaced {
		if r.answers++; r.answers < 2 {
			return
		}
	}
	t.consider(r, proved, now)
}

// A member that gossip has listed again while it was verified has refuted the verdict.
func (in Verified) apply(t *Table, now time.Time) {
	r := t.records[in.ID]
	if r == nil || !r.verifying {
		return
	}
	r.verifying = false
	if r.listed || !r.State.Present() {
		return
	}
	r.refused = r.refused || in.Refused
	t.fail(r, CauseDetected, now)
}

// fail makes a present member failed.
func (t *Table) fail(r *record, cause string, now time.Time) {
	t.change(r, StateFailed, now, Event{Kind: KindNodeFailed, Cause: cause})
}

// markFailed fails a member by this node's own evidence, even if gossip holds it alive.
// What gossip finds later makes no second event.
func (t *Table) markFailed(r *record, cause string, now time.Time) {
	r.failed = true
	r.refused = r.refused || cause == CauseRefused
	r.replaced = r.replaced || cause == CauseReplaced
	t.fail(r, cause, now)
}

// suspect adds evidence against a present member. The first makes an alive one suspect. A
// leaving one stays leaving, since it gets no new work either, and the evidence is kept in
// case that gossip takes its leaving back.
func (t *Table) suspect(r *record, by source, cause string, phi float64, now time.Time) {
	if t.isSelf(r) {
		return
	}
	first := r.suspectedBy == 0
	r.suspectedBy |= by
	if first && r.State == StateAlive {
		r.suspectedAt = now
		t.change(r, StateSuspect, now, Event{Kind: KindNodeSuspected, Cause: cause, Phi: phi})
	}
}

// clear takes evidence back; without any left the member has recovered.
func (t *Table) clear(r *record, by source, now time.Time) {
	if r.suspectedBy&by == 0 {
		return
	}
	if r.suspectedBy &^= by; r.suspectedBy == 0 && r.State == StateSuspect {
		t.change(r, r.derive(), now, Event{Kind: KindNodeRecovered, Duration: now.Sub(r.suspectedAt)})
	}
}

// probeFailed takes the failure of one of this node's own probes as evidence.
func (t *Table) probeFailed(id string, now time.Time) {
	if r := t.records[id]; r != nil && r.State.Present() {
		r.probeFailed = now
		t.suspect(r, sourceProbe, CauseProbe, 0, now)
	}
}

// clearSuspicions asks those again that this node's own probes have found silent:
// in the order of the probes their turn comes once in as many intervals as there are
// members. memberlist tells neither of probes that were answered through others nor
// of suspects that have refuted it. A member that has not failed another probe for
// twice as long as a round takes is cleared without an answer.
func (t *Table) clearSuspicions(now time.Time) {
	round := time.Duration(len(t.records)+1) * t.cfg.ProbeInterval * time.Duration(1+t.own.health)
	var ask []*record
	for _, r := range t.find(func(r *record) bool { return r.suspectedBy&sourceProbe != 0 && r.listed }) {
		if now.Sub(r.probeFailed) > max(2*round, time.Second) {
			t.clear(r, sourceProbe, now)
		} else {
			ask = append(ask, r)
		}
	}
	slices.SortStableFunc(ask, func(a, b *record) int { return a.pinged.Compare(b.pinged) })
	for _, r := range ask[:min(len(ask), maxPings)] {
		r.pinged = now
		t.do(Ping{r.Member})
	}
}

// forget drops members that are gone for good: those of which a newer boot is present or
// that will not come back after rememberGone, the others after ReconnectFor.
func (t *Table) forget(now time.Time) {
	newest := t.newest()
	for _, r := range t.find(func(r *record) bool {
		if r.State.Present() || r.listed {
			return false
		}
		keep := t.cfg.ReconnectFor
		if r.replaced || r.unannounced || r.State == StateLeft || r.hasLeft || newest[r.Name] > r.Boot {
			keep = rememberGone
		}
		return now.Sub(r.goneSince) > keep
	}) {
		t.drop(r)
	}
}

// forgetOldest drops a sixteenth of the table, the members that are gone longest. Those
// that gossip lists stay: it bounds them itself.
func (t *Table) forgetOldest() {
	gone := t.find(func(r *record) bool { return !r.State.Present() && !r.listed })
	slices.SortStableFunc(gone, func(a, b *record) int { return a.goneSince.Compare(b.goneSince) })
	for _, r := range gone[:min(len(gone), MaxMembers/16)] {
		t.drop(r)
	}
}

// drop forgets a member that is not present. Gossip of it makes a new record.
func (t *Table) drop(r *record) {
	delete(t.records, r.ID())
	t.do(Forgotten{r.ID(), r.Addr})
}
