package cluster

import "time"

// What to make of two members at one address, or with one name. Gossip is
// hearsay: that a newer boot is said to be at an address does not make the older
// one dead. Who answers there does, and is asked (ask.go).

// maxConflicts is with how many others of its name a newcomer is compared.
const maxConflicts = 4

// doubtful reports whether a listed member may be shown only when it has
// answered at its address itself: another holds the address, or answered there
// last; or names are bound to certificates and nobody has seen its. The caller
// holds mu.
func (n *Node) doubtful(m *member) bool {
	if m.ID() == n.id {
		return false
	}
	return m.replaced || n.namesBound && !n.transport.Proved(m.ID()) ||
		n.transport.Evicted(m.ID()) || n.held(m)
}

// held reports whether m's address is that of another present member. The
// caller holds mu.
func (n *Node) held(m *member) bool {
	if m.Addr == n.advertise.String() {
		return true
	}
	for _, o := range n.members {
		if o != m && o.Addr == m.Addr && o.State.Present() {
			return true
		}
	}
	return false
}

// supersede fails the other members at m's address, where m has answered. The
// caller holds mu.
func (n *Node) supersede(m *member, now time.Time) {
	for _, o := range n.members {
		if o == m || o.Addr != m.Addr || !o.State.Present() || o.ID() == n.id {
			continue
		}
		if o.leaving || o.said {
			o.condemned, o.replaced = true, true
			n.setState(o, StateLeft, now, Event{Kind: KindNodeLeft})
			continue
		}
		n.condemn(o, causeReplaced, now)
	}
}

// vacant asks who answers at the address of a member that is gone, if others
// claim it. The caller holds mu.
func (n *Node) vacant(m *member) {
	for _, o := range n.members {
		if o != m && o.Addr == m.Addr && o.listed && !o.State.Present() && !o.final() {
			n.ask(m.Addr)
			return
		}
	}
}

// final reports whether the member has said itself that it leaves, and has left.
func (m *member) final() bool { return m.State == StateLeft && m.said }

// settle draws the conclusion from the member id having answered at an address:
// whoever else was thought to be there is not, and it is shown. It reports
// whether it was not shown before. The caller holds mu.
func (n *Node) settle(addr, id string, now time.Time) bool {
	m := n.members[id]
	if m == nil || m.Addr != addr || !m.listed || m.final() || n.transport.Evicted(id) {
		return false
	}
	n.supersede(m, now)
	switch {
	case m.State.Present():
		return false
	case m.hidden:
		n.reveal(m, now)
	default:
		n.revive(m, now)
	}
	return true
}

// findConflict looks for other present members with m's name at other addresses
// and asks both addresses who answers, in the background: if both lives run, that
// is a KindNameConflict; if one refuses, it is gone. The caller holds mu.
func (n *Node) findConflict(m *member) {
	compared := 0
	for _, o := range n.members {
		if o == m || o.Name != m.Name || o.Addr == m.Addr || !o.State.Present() {
			continue
		}
		if compared++; compared > maxConflicts || len(n.conflicts.queue) >= maxAsks {
			return
		}
		older, newer := o.Member, m.Member
		if older.Boot > newer.Boot {
			older, newer = newer, older
		}
		n.workOn(&n.conflicts, func() {
			if n.answersAs(older) && n.answersAs(newer) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.emit(Event{Kind: KindNameConflict, Member: newer, Was: older})
				n.logEvents()
			}
		})
	}
}

// answersAs reports whether the member itself answers at its address. If the
// address refuses, the member is failed.
func (n *Node) answersAs(m Member) bool {
	if m.ID() == n.id {
		return true
	}
	if !n.transport.Hearsay().Wait(n.stop) {
		return false
	}
	got, err := n.transport.Identify(m.Addr, n.cfg.Detection.StreamTimeout)
	if refusedError(err) {
		n.ReportUnreachable(m.Name, m.Boot)
	}
	return err == nil && got == m.ID()
}
