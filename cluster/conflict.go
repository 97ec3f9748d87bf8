package cluster

import "time"

// What to make of two members at one address, or with one name. Boots of one
// machine sort by time, so that the newer of two at one address is the one that
// runs, and the older one is gone: nothing else could have freed the port. Only
// when the clock has stepped back does that fail, which [Node.verify] settles by
// asking who answers there.

// supersededBy returns the present member that holds m's address with a newer
// boot, or this node if it is its address; nil if none. The caller holds mu.
func (n *Node) supersededBy(m *member) *member {
	if m.ID() == n.id {
		return nil
	}
	if m.Addr == n.advertise.String() {
		return n.members[n.id]
	}
	for _, o := range n.members {
		if o != m && o.Addr == m.Addr && o.Boot > m.Boot && o.State.Present() && !o.hidden {
			n.verify(m)
			return o
		}
	}
	return nil
}

// supersede fails the older members at m's address. The caller holds mu.
func (n *Node) supersede(m *member, now time.Time) {
	for _, o := range n.members {
		if o != m && o.Addr == m.Addr && o.State.Present() && o.ID() != n.id && !o.hidden {
			if o.leaving {
				o.condemned, o.replaced = true, true
				n.setState(o, StateLeft, now, Event{Kind: NodeLeft})
				continue
			}
			n.condemn(o, CauseReplaced, now)
		}
	}
}

// verify asks who answers at m's address, in the background, and takes m back
// if it is m. The caller holds mu.
func (n *Node) verify(m *member) {
	if m.Addr == n.advertise.String() {
		return
	}
	id, addr := m.ID(), m.Addr
	go n.spawn(func() {
		got, err := n.transport.Identify(addr, n.cfg.StreamTimeout)
		if err != nil || got != id {
			return
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		now := time.Now()
		if !m.listed || m.State.Present() || n.closing {
			return
		}
		n.supersede(m, now)
		if !m.hidden {
			n.revive(m, now)
			return
		}
		m.hidden, m.condemned, m.replaced = false, false, false
		m.State, m.Since, m.presentFrom = n.derive(m), now, now
		n.emit(Event{Kind: NodeJoined, Member: m.Member})
	})
}

// findConflict looks for another present member with m's name at another
// address and asks both addresses who answers, in the background: if both lives
// run, that is a NameConflict; if one refuses, it is gone. The caller holds mu.
func (n *Node) findConflict(m *member) {
	for _, o := range n.members {
		if o == m || o.Name != m.Name || o.Addr == m.Addr || !o.State.Present() || o.hidden {
			continue
		}
		older, newer := o.Member, m.Member
		if older.Boot > newer.Boot {
			older, newer = newer, older
		}
		go n.spawn(func() {
			if n.answersAs(older) && n.answersAs(newer) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.emit(Event{Kind: NameConflict, Member: newer, Was: older})
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
	got, err := n.transport.Identify(m.Addr, n.cfg.StreamTimeout)
	if refusedError(err) {
		n.ReportUnreachable(m.Name, m.Boot, CauseRefused)
	}
	return err == nil && got == m.ID()
}
