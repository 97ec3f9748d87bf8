package cluster

import (
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
)

// A member is one life of a node in the table of members. All fields are
// guarded by the node's mu.
//
// Its State follows from what memberlist says (listed), from the evidence this
// node has of its own (suspectedBy, condemned) and from what the member said of
// itself (said) or gossip says that it said (leaving):
//
//	listed, hidden                failed: nobody is told of it yet
//	listed                        alive
//	listed, suspectedBy != 0      suspect
//	listed, leaving or said       leaving
//	condemned                     failed, whatever memberlist still thinks
//	not listed, leaving or said   left
//	not listed                    failed
type member struct {
	Member
	listed      bool   // memberlist holds it alive
	leaving     bool   // its meta says that it will leave: hearsay, taken back by a newer one
	said        bool   // it said so itself, in a packet that it alone can seal: final
	condemned   bool   // this node knows better than memberlist
	replaced    bool   // another boot answers at its address
	dying       bool   // memberlist has buried it, its last call is under way
	hidden      bool   // doubtful since this node heard of it: no events
	suspectedBy source // who suspects it
	answers     int    // probes answered since it was condemned
	goneSince   time.Time
	presentFrom time.Time // since when it is present without a break
	refused     bool      // its address refused a connection since it failed
	suspectedAt time.Time
	// familyChecked: by checkFamilies.
	familyChecked bool
	probeFailed   time.Time // the last probe of this node's own that failed
}

// A source is one kind of evidence against a member.
type source uint8

const (
	sourceRouting source = 1 << iota // who routes: heartbeats, control streams
	sourceProbe                      // this node's own probes
)

// hashID hashes an id (FNV-1a). Nodes compare sums of it with each other.
func hashID(id string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * prime
	}
	return h
}

// A callback is what memberlist has told about one node.
type callback struct {
	kind callbackKind
	id   string
	addr string
	meta []byte
}

type callbackKind uint8

const (
	listJoin callbackKind = iota
	listUpdate
	listLeave
	probeAnswered
	probeFailed
	saysLeaving
	saysLeft
)

// drain applies what memberlist and others have told since the last call, in
// order. Any goroutine may call it.
func (n *Node) drain() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.inbox.take() {
		n.apply(c, time.Now())
	}
	n.countStates()
	n.logEvents()
}

func (n *Node) apply(c callback, now time.Time) {
	m := n.members[c.id]
	switch c.kind {
	case listJoin:
		n.hash.Add(hashID(c.id))
		n.changed = now
		n.memberListed(c, m, now)
	case listUpdate:
		if m != nil {
			n.memberUpdated(c, m, now)
		}
	case listLeave:
		n.hash.Add(-hashID(c.id))
		n.changed = now
		if m != nil {
			m.listed = false
			n.transport.SetPresent(m.ID(), false)
			n.memberGone(m, now)
		}
	case probeAnswered:
		if m != nil {
			n.answered(m, now)
		}
	case probeFailed:
		if m != nil && m.State.Present() {
			m.probeFailed = now
			n.suspect(m, sourceProbe, causeProbe, 0, now)
		}
	case saysLeaving, saysLeft:
		if m == nil {
			return
		}
		m.said = true
		switch {
		case !m.State.Present():
		case c.kind == saysLeft:
			n.setState(m, StateLeft, now, Event{Kind: KindNodeLeft})
		case m.State != StateLeaving:
			n.setState(m, StateLeaving, now, Event{Kind: KindNodeUpdated})
		}
	}
}

// derive returns the state of a listed member.
func (n *Node) derive(m *member) State {
	switch {
	case m.leaving || m.said:
		return StateLeaving
	case m.suspectedBy != 0:
		return StateSuspect
	}
	return StateAlive
}

// memberListed handles memberlist's NotifyJoin.
func (n *Node) memberListed(c callback, m *member, now time.Time) {
	meta, err := gossip.ParseMeta(c.meta)
	if err != nil {
		return // NotifyAlive has refused it
	}
	if m == nil {
		if len(n.members) >= maxMembers {
			n.forgetOldest()
		}
		name, boot, _ := splitID(c.id)
		m = &member{Member: Member{
			Name: name, Boot: boot, Tags: meta.Tags, Since: now, Joined: now, State: StateFailed,
		}, listed: true, leaving: meta.Leaving, hidden: true, goneSince: now}
		n.settleAt(m, c.addr, meta.ServerName)
		n.members[c.id] = m
		n.transport.SetPresent(c.id, true)
		n.consider(m, now)
		return
	}
	m.listed = true
	n.transport.SetPresent(c.id, true)
	if m.State.Present() { // its last call was answered
		n.memberUpdated(c, m, now)
		return
	}
	n.settleAt(m, c.addr, meta.ServerName)
	m.Tags, m.leaving = meta.Tags, meta.Leaving
	if m.State == StateLeft && (m.said || m.leaving) {
		return
	}
	if m.hidden {
		n.consider(m, now)
		return
	}
	// Old gossip, or a packet held back and played later, says so too: it must
	// answer first, here or to a probe.
	n.ask(m.Addr)
}

// consider shows a member that is listed and not shown, unless there is doubt
// about it, which whoever answers at its address will settle.
func (n *Node) consider(m *member, now time.Time) {
	switch {
	case n.doubtful(m):
		n.ask(m.Addr)
	case m.hidden:
		n.reveal(m, now)
	default:
		n.revive(m, now)
	}
}

// reveal shows a member for the first time.
func (n *Node) reveal(m *member, now time.Time) {
	m.hidden, m.replaced, m.refused = false, false, false
	m.State, m.Since, m.presentFrom = n.derive(m), now, now
	n.emit(Event{Kind: KindNodeJoined, Member: m.Member})
	n.countJoined()
	n.findConflict(m)
}

// revive takes a member back that had failed, or had left by hearsay.
func (n *Node) revive(m *member, now time.Time) {
	m.condemned, m.replaced, m.refused, m.suspectedBy, m.answers = false, false, false, 0, 0
	m.presentFrom = now
	n.setState(m, n.derive(m), now, Event{Kind: KindNodeRecovered, Duration: now.Sub(m.goneSince)})
	n.countJoined()
}

// memberUpdated handles memberlist's NotifyUpdate.
func (n *Node) memberUpdated(c callback, m *member, now time.Time) {
	meta, err := gossip.ParseMeta(c.meta)
	if err != nil {
		return
	}
	was, leaving := m.Member, m.leaving || m.said
	n.settleAt(m, c.addr, meta.ServerName)
	m.Tags, m.leaving = meta.Tags, meta.Leaving
	switch {
	case was.Addr == m.Addr && was.ServerName == m.ServerName && was.Tags.Equal(m.Tags) && leaving == (m.leaving || m.said): // nothing to tell
	case m.State.Present():
		n.setStateWas(m, n.derive(m), now, Event{Kind: KindNodeUpdated, Was: was})
	case m.State == StateLeft && !m.said && !m.leaving:
		n.ask(m.Addr)
	}
}

// memberGone handles memberlist's NotifyLeave.
func (n *Node) memberGone(m *member, now time.Time) {
	switch {
	case !m.State.Present(): // known already
	case m.leaving || m.said:
		n.setState(m, StateLeft, now, Event{Kind: KindNodeLeft})
	default:
		n.lastCall(m)
	}
}

// fail makes a present member failed.
func (n *Node) fail(m *member, cause string, now time.Time) {
	m.suspectedBy, m.answers = 0, 0
	n.setState(m, StateFailed, now, Event{Kind: KindNodeFailed, Cause: cause})
}

// condemn fails a member that memberlist still holds alive.
func (n *Node) condemn(m *member, cause string, now time.Time) {
	m.condemned = true
	m.refused = m.refused || cause == causeRefused
	m.replaced = m.replaced || cause == causeReplaced
	n.fail(m, cause, now)
}

// suspect adds evidence against a present member; the first makes it suspect.
func (n *Node) suspect(m *member, by source, cause string, phi float64, now time.Time) bool {
	if m.Name == n.cfg.Name && m.ID() == n.id {
		return false
	}
	first := m.suspectedBy == 0
	m.suspectedBy |= by
	if !first || m.State != StateAlive {
		return false
	}
	m.suspectedAt = now
	n.setState(m, StateSuspect, now, Event{Kind: KindNodeSuspected, Cause: cause, Phi: phi})
	return true
}

// clear takes evidence back; without any left the member has recovered.
func (n *Node) clear(m *member, by source, now time.Time) bool {
	if m.suspectedBy&by == 0 {
		return false
	}
	m.suspectedBy &^= by
	if m.suspectedBy != 0 || m.State != StateSuspect {
		return false
	}
	n.setState(m, n.derive(m), now, Event{Kind: KindNodeRecovered, Duration: now.Sub(m.suspectedAt)})
	return true
}

// answered handles a probe that the member answered.
func (n *Node) answered(m *member, now time.Time) {
	n.clear(m, sourceProbe, now)
	if !m.listed || m.State.Present() || m.final() {
		return
	}
	if m.condemned && !m.replaced {
		// It was taken for dead and yet answers: twice is proof.
		if m.answers++; m.answers < 2 {
			return
		}
	}
	n.consider(m, now)
}

// setState changes the state of a member and tells it.
func (n *Node) setState(m *member, s State, now time.Time, e Event) {
	e.Was = m.Member
	n.setStateWas(m, s, now, e)
}

func (n *Node) setStateWas(m *member, s State, now time.Time, e Event) {
	if m.State != s {
		if m.State.Present() && !s.Present() {
			m.goneSince = now
			n.lastLoss = now
			defer n.vacant(m)
		}
		m.State, m.Since = s, now
	}
	e.Member = m.Member
	if !m.hidden {
		n.emit(e)
	}
}

// emit numbers an event and gives it to everybody. The caller holds mu.
func (n *Node) emit(e Event) {
	e.Time = time.Now()
	n.feed.add(&e)
	n.cfg.Metrics.Event(e.Kind, e.Cause)
	n.toLog.queue = append(n.toLog.queue, &e)
}

// countStates tells the metrics how many members are in which state. The
// caller holds mu.
func (n *Node) countStates() {
	var counts [StateFailed + 1]int
	for _, m := range n.members {
		if !m.hidden {
			counts[m.State]++
		}
	}
	for s, c := range counts {
		if c != n.counts[s] {
			n.cfg.Metrics.Members(State(s), c)
		}
	}
	n.counts = counts
}
