package cluster

import (
	"maps"
	"net"
	"net/netip"
	"strings"
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
		case KindPartitionDetected:
			n.decide(*e.Partition)
		case KindPartitionHealed:
			n.partitions++
			n.assigns = true
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
		n.emit(Event{Kind: KindSelfDegraded, Health: health, Member: n.members[n.id].Member})
	case n.degraded && health == 0:
		n.degraded = false
		n.emit(Event{Kind: KindSelfDegraded, Member: n.members[n.id].Member})
	}
}

// decide says whether this node assigns work while the partition is as p tells:
// on the smaller side that is what OnMinority answers, unless another picture was
// told meanwhile. OnMinority runs on a goroutine that Close does not wait for: it
// may close the node. The caller holds mu.
func (n *Node) decide(p Partition) {
	n.partitions++
	if p.Side == sideMajority {
		n.assigns = true
		return
	}
	which := n.partitions
	go func() {
		goOn := n.cfg.Partition.OnMinority(p)
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.partitions == which && !n.closing {
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
// whose address refuses the connection, or is another node's now or nobody's, is
// a crash. When a partition lasts, those that are not in the view are asked less
// often.
func (n *Node) callRoll() {
	type call struct {
		Member
		present bool
	}
	var calls []call
	n.mu.Lock()
	everybody := n.rolls < fullRolls || n.rolls%rareRolls == 0
	for _, m := range n.members {
		if m.ID() == n.id || m.hidden || m.replaced || m.State == StateLeft || n.detector.voters[m.Name] == nil {
			continue
		}
		if present := m.State.Present(); present || everybody {
			calls = append(calls, call{m.Member, present})
		}
	}
	n.mu.Unlock()
	limit := make(chan struct{}, 64)
	var wg sync.WaitGroup
	for _, c := range calls {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			ok, gone := c.present && n.pings(c.Member, 1), false
			if !ok {
				ok, gone = n.reaches(c.Member)
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.silent[c.ID()] = !ok
			m := n.members[c.ID()]
			switch {
			case m == nil: // forgotten meanwhile
			case ok:
				n.answered(m, time.Now())
			case gone && !m.State.Present():
				m.refused = true
			}
		})
	}
	wg.Wait()
	n.mu.Lock()
	maps.DeleteFunc(n.silent, func(id string, _ bool) bool { return n.members[id] == nil })
	n.rolls++
	n.rolling = false
	n.mu.Unlock()
}

// reaches reports whether the member answers a packet or a connection, or else
// whether its address says that it is gone.
func (n *Node) reaches(m Member) (ok, gone bool) {
	answered := make(chan bool, 1)
	go func() { answered <- n.pings(m, 3) }()
	got, err := n.transport.Identify(m.Addr, min(rollTimeout, n.cfg.Detection.StreamTimeout))
	switch {
	case err == nil:
		ok, gone = got == m.ID(), got != m.ID()
	default:
		gone = refusedError(err) || strings.Contains(err.Error(), noGossip)
	}
	return <-answered || ok, gone
}

const (
	// rollTimeout is how long a member has to answer a connection in a roll call.
	rollTimeout = 1500 * time.Millisecond
	// After fullRolls roll calls, at most one a second, those that are not in the
	// view are asked in every rareRolls-th only.
	fullRolls = 60
	rareRolls = 30
	// noGossip is in the error of a connection to an endpoint that carries no
	// node: an alert, for which crypto/tls has no type.
	noGossip = "tls: no application protocol"
)

// pings reports whether the member answers one of so many packets.
func (n *Node) pings(m Member, tries int) bool {
	addr, err := netip.ParseAddrPort(m.Addr)
	if err != nil {
		return false
	}
	for range tries {
		select {
		case <-n.stop: // Close waits for this
			return false
		default:
		}
		if _, err := n.list.Ping(m.ID(), net.UDPAddrFromAddrPort(addr)); err == nil {
			return true
		}
	}
	return false
}
