package members

import (
	"maps"
	"time"
)

// What gossip says of members, and what they say of themselves.

// A new member is shown, unless there is doubt about it. One that had failed or left
// must answer first. One that is being verified has refuted the verdict.
func (in Alive) apply(t *Table, now time.Time) {
	r := t.records[in.ID]
	if r == nil {
		// Its state is failed until it is shown, so that it counts nowhere.
		if r = t.add(in, now); r == nil {
			return
		}
	}
	if !r.listed {
		r.listed = true
		t.digest += hash(in.ID)
		t.changed = now
		t.do(Listed{in.ID, true})
	}
	if r.State.Present() { // it has refuted the verdict before it was verified
		t.update(r, Updated(in), now)
		return
	}
	t.take(r, Updated(in))
	switch {
	// It has left, or gossip still says so: a newer word has to take that back first.
	case r.hasLeft, r.State == StateLeft && (r.leftConfirmed || r.leaving):
	case r.unannounced:
		t.consider(r, in.Proved, now)
	default:
		// Old gossip, or a packet held back and played later, says so too: it must
		// answer first, here or to a probe.
		t.ask(r.Addr)
	}
}

// add makes the record of a member that was not known, or returns nil for what is no
// id.
func (t *Table) add(in Alive, now time.Time) *record {
	name, boot, ok := SplitID(in.ID)
	if !ok {
		return nil
	}
	if len(t.records) >= MaxMembers {
		t.forgetOldest()
	}
	r := &record{Member: Member{Name: name, Boot: boot, Since: now, Joined: now, State: StateFailed}, unannounced: true, goneSince: now}
	t.records[in.ID] = r
	return r
}

// take notes what a member says of itself. An address that is another present
// member's it gets only when it answers there.
func (t *Table) take(r *record, in Updated) {
	r.Tags, r.leaving = in.Tags, in.Leaving
	if r.State.Present() && in.Addr != r.Addr && !t.isSelf(r) && t.held(r, in.Addr) {
		r.claim = claim{in.Addr, in.ServerName}
		t.ask(in.Addr)
		return
	}
	t.place(r, in.Addr, in.ServerName)
}

// place puts a member at an address.
func (t *Table) place(r *record, addr, serverName string) {
	if r.Addr != addr || r.ServerName != serverName {
		t.do(Moved{r.ID(), r.Addr, addr, serverName})
	}
	r.Addr, r.ServerName, r.claim = addr, serverName, claim{}
}

// An update of a member that is not present is kept without an event.
func (in Updated) apply(t *Table, now time.Time) {
	if r := t.records[in.ID]; r != nil {
		t.update(r, in, now)
	}
}

// update takes something newer of a listed member, and makes an event if it shows.
func (t *Table) update(r *record, in Updated, now time.Time) {
	was, leaving := r.Member, r.leaving || r.leftConfirmed
	t.take(r, in)
	switch {
	case was.Addr == r.Addr && was.ServerName == r.ServerName && maps.Equal(was.Tags, r.Tags) && leaving == (r.leaving || r.leftConfirmed): // nothing new
	case r.State.Present():
		t.changeFrom(was, r, r.derive(), now, Event{Kind: KindNodeUpdated})
	case r.State == StateLeft && !r.leftConfirmed && !r.leaving: // it refutes that it left
		t.ask(r.Addr)
	}
}

// A member that wished to leave has left. Any other is verified first. This node is
// never verified: memberlist buries it only when it leaves.
func (in Dead) apply(t *Table, now time.Time) {
	r := t.records[in.ID]
	if r == nil || !r.listed {
		return
	}
	r.listed = false
	t.digest -= hash(in.ID)
	t.changed = now
	t.do(Listed{in.ID, false})
	switch {
	case !r.State.Present(): // known already
	case r.leaving || r.leftConfirmed || t.isSelf(r):
		t.change(r, StateLeft, now, Event{Kind: KindNodeLeft})
	case !r.verifying:
		r.verifying = true
		t.do(Verify{r.Member})
	}
}

// What a member says itself is final. An unannounced one that has left is never shown.
func (in Announced) apply(t *Table, now time.Time) {
	r := t.records[in.ID]
	if r == nil {
		return
	}
	r.leftConfirmed = true
	r.hasLeft = r.hasLeft || in.Left
	switch {
	case !r.State.Present():
	case in.Left:
		t.change(r, StateLeft, now, Event{Kind: KindNodeLeft})
	case r.State != StateLeaving:
		t.change(r, StateLeaving, now, Event{Kind: KindNodeUpdated})
	}
}

// consider shows a member that is listed and not present. If there is doubt about it, it
// asks who answers at its address, and the answer settles that.
func (t *Table) consider(r *record, proved bool, now time.Time) {
	switch {
	case t.doubtful(r, proved):
		t.ask(r.Addr)
	case r.unannounced:
		t.announce(r, now)
	default:
		t.revive(r, now)
	}
}

// announce shows a member for the first time.
func (t *Table) announce(r *record, now time.Time) {
	r.unannounced, r.replaced, r.refused = false, false, false
	r.State, r.Since = r.derive(), now
	t.emit(Event{Kind: KindNodeJoined, Member: r.Member}, now)
	t.countJoined()
	t.compare(r)
}

// revive takes a member back that had failed, or had left by hearsay. What was held
// against it before is void.
func (t *Table) revive(r *record, now time.Time) {
	r.failed, r.replaced, r.refused = false, false, false
	t.change(r, r.derive(), now, Event{Kind: KindNodeRecovered, Duration: now.Sub(r.goneSince)})
	t.countJoined()
}

// change changes the state of a member and tells it.
func (t *Table) change(r *record, s State, now time.Time, e Event) {
	t.changeFrom(r.Member, r, s, now, e)
}

// changeFrom is change for a member of which more than its state has changed since was.
// Every change of a shown member passes here: it is the one place that makes its event.
// The evidence against a member that is gone is void.
func (t *Table) changeFrom(was Member, r *record, s State, now time.Time, e Event) {
	gone := r.State.Present() && !s.Present()
	if r.State != s {
		r.State, r.Since = s, now
	}
	if gone {
		r.goneSince = now
		r.suspectedBy, r.answers = 0, 0
		t.lastLoss = now
	}
	if e.Was, e.Member = was, r.Member; !r.unannounced {
		t.emit(e, now)
	}
	if gone {
		t.vacate(r)
	}
}

// countJoined adds Joined to the effects when enough members are in the view at once.
func (t *Table) countJoined() {
	if t.joined {
		return
	}
	want := max(t.cfg.ExpectNodes, 1)
	if t.cfg.ExpectNodes == 0 {
		want = 2 // this node and another
	}
	here := 0
	for _, r := range t.records {
		if r.State.Present() {
			here++
		}
	}
	if here >= want {
		t.joined = true
		t.do(Joined{})
	}
}

// hash hashes an id with FNV-1a, whose constants these are. The digest is a sum of it, so
// that it does not depend on the order and takes one addition for each change.
func hash(id string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * prime
	}
	return h
}
