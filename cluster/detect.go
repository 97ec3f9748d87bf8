package cluster

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// detect looks at this node's own health and drives the partition detector.
func (n *Node) detect(stalled bool, now time.Time) {
	if stalled {
		return // whatever is late is late because of this node
	}
	health := n.list.GetHealthScore()
	probes := n.fails.within(3*time.Second, now)
	n.mu.Lock()
	if health != n.health {
		n.health = health
		n.cfg.Metrics.HealthScore(health)
	}
	n.noteDegraded(health, now)
	events := n.detector.observe(now, look{n.cfg.Name, n.sights(), health, probes, n.rolls})
	for _, e := range events {
		n.emit(e)
		switch e.Kind {
		case PartitionDetected:
			n.decide(*e.Partition)
		case PartitionHealed:
			n.assigns, n.partitions = true, n.partitions+1
		}
	}
	asking := false
	if n.detector.state == calm {
		clear(n.silent)
		n.rolls = 0
	} else if !n.rolling && now.Sub(n.asked) >= time.Second {
		n.asked, n.rolling, asking = now, true, true
	}
	n.logEvents()
	n.mu.Unlock()
	if asking {
		n.spawn(n.callRoll)
	}
}

// noteDegraded tells when this node finds itself unwell for a while, and when it
// is well again.
func (n *Node) noteDegraded(health int, now time.Time) {
	switch {
	case health < badHealth:
		n.unwell = time.Time{}
	case n.unwell.IsZero():
		n.unwell = now
	}
	switch {
	case !n.degraded && !n.unwell.IsZero() && now.Sub(n.unwell) >= badHealthFor:
		n.degraded = true
		n.emit(Event{Kind: SelfDegraded, Health: health, Member: n.members[n.id].Member})
	case n.degraded && health == 0:
		n.degraded = false
		n.emit(Event{Kind: SelfDegraded, Member: n.members[n.id].Member})
	}
}

// decide asks OnMinority, on a goroutine of its own, whether to go on.
func (n *Node) decide(p Partition) {
	if p.Side == SideMajority {
		n.assigns = true
		return
	}
	which := n.partitions
	go func() {
		goOn := n.cfg.OnMinority(p)
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.partitions == which { // not healed meanwhile
			n.assigns = goOn
		}
	}()
}

// sights returns what this node sees of each name. The caller holds mu.
func (n *Node) sights() []sight {
	best := make(map[string]*member, len(n.members))
	for _, m := range n.members {
		if m.hidden {
			continue
		}
		o := best[m.Name]
		if o == nil || m.State.Present() && !o.State.Present() || m.State.Present() == o.State.Present() && m.Boot > o.Boot {
			best[m.Name] = m
		}
	}
	seen := make([]sight, 0, len(best))
	for name, m := range best {
		seen = append(seen, sight{
			name:    name,
			up:      m.State.Present() && n.heard(m),
			present: m.State.Present(),
			crashed: !m.State.Present() && (m.refused || m.replaced || m.condemned),
			left:    m.State == StateLeft || m.State == StateLeaving,
			tags:    m.Tags,
		})
	}
	return seen
}

// heard reports whether a present member answers: as the last roll call found
// it, or else if nothing is held against it.
func (n *Node) heard(m *member) bool {
	if silent, called := n.silent[m.ID()]; called {
		return !silent
	}
	return m.State != StateSuspect
}

// callRoll asks every member of the baseline directly whether it is there: while
// a partition is suspected, gossip's own verdicts come too slowly on the smaller
// side, which has many dead to bury and few to confirm them. A member that answers
// neither a packet nor a connection counts as lost; one that is held dead and
// refuses the connection is a crash.
func (n *Node) callRoll() {
	type call struct {
		Member
		present bool
	}
	var calls []call
	n.mu.Lock()
	for _, m := range n.members {
		if m.ID() != n.id && !m.hidden && !m.replaced && m.State != StateLeft && n.detector.voters[m.Name] != nil {
			calls = append(calls, call{m.Member, m.State.Present()})
		}
	}
	n.mu.Unlock()
	limit := make(chan struct{}, 64)
	var wg sync.WaitGroup
	for _, c := range calls {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			ok := c.present && n.pings(c.Member, 1) || n.reaches(c.Member)
			n.mu.Lock()
			defer n.mu.Unlock()
			n.silent[c.ID()] = !ok
			if m := n.members[c.ID()]; ok && m != nil {
				n.answered(m, time.Now())
			}
		})
	}
	wg.Wait()
	n.mu.Lock()
	n.rolls++
	n.rolling = false
	n.mu.Unlock()
}

// reaches reports whether the member answers a packet or a connection.
func (n *Node) reaches(m Member) bool {
	answered := make(chan bool, 1)
	go func() { answered <- n.pings(m, 3) }()
	got, err := n.transport.Identify(m.Addr, min(rollTimeout, n.cfg.StreamTimeout))
	return <-answered || err == nil && got == m.ID()
}

// rollTimeout is how long a member has to answer a connection in a roll call.
const rollTimeout = 1500 * time.Millisecond

// pings reports whether the member answers one of so many packets.
func (n *Node) pings(m Member, tries int) bool {
	addr, err := netip.ParseAddrPort(m.Addr)
	if err != nil {
		return false
	}
	for range tries {
		if _, err := n.list.Ping(m.ID(), net.UDPAddrFromAddrPort(addr)); err == nil {
			return true
		}
	}
	return false
}
