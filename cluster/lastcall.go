package cluster

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLastCalls is how many members are called at once; the others wait.
	maxLastCalls = 64
	// A node that was itself stopped within the last unwellFor, or whose health
	// is bad, doubts its own ears: it waits ten times as long for an answer.
	unwellFor = 5 * time.Second
	doubt     = 10
)

// lastCall asks a member that the others have declared dead one last time,
// before this node says so: a process that was stopped for a second has often
// come back when the verdict falls, and needs only the chance to refute it. A
// killed process refuses the connection, which costs no time; a lost host costs
// one ProbeTimeout. The caller holds mu.
func (n *Node) lastCall(m *member) {
	if m.dying {
		return
	}
	m.dying = true
	who := m.Member
	n.workOn(&n.calls, func() {
		n.mu.Lock()
		if m.listed || !m.State.Present() { // while it waited its turn
			m.dying = false
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()
		alive, refused, done := n.answersAtAll(who)
		defer done() // so that no more run than the pool has goroutines
		if alive {
			// Its view of itself is what the others must hear: an exchange shows
			// it the verdict, which it then refutes.
			n.exchange(who.ID(), who.Addr)
			n.awaitListed(who.ID(), n.cfg.Detection.ProbeInterval*5)
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		m.dying = false
		if m.listed || !m.State.Present() || n.closing {
			return
		}
		m.refused = m.refused || refused
		n.fail(m, causeDetected, time.Now())
		n.countStates()
		n.logEvents()
	})
}

// answersAtAll reports whether the member answers a packet or a connection, and
// whether its address refuses connections. It returns at the first certainty, or
// after ProbeTimeout, or ten times that if this node has reason to doubt itself.
// done waits until what it has started has ended, about a ProbeTimeout.
func (n *Node) answersAtAll(m Member) (alive, refused bool, done func()) {
	tries := 1
	n.mu.Lock()
	if n.health >= badHealth || time.Since(n.stalled) < unwellFor {
		tries = doubt
	}
	n.mu.Unlock()
	type answer struct{ alive, refused bool }
	answers := make(chan answer, 2)
	var both sync.WaitGroup
	var certain atomic.Bool
	try := func(f func() answer) {
		if n.begin() {
			both.Go(func() {
				defer n.work.Done()
				answers <- f()
			})
		}
	}
	try(func() answer {
		for range tries {
			if n.pings(m, 1) {
				return answer{alive: true}
			}
			if certain.Load() {
				break
			}
		}
		return answer{}
	})
	try(func() answer {
		if !n.transport.Hearsay().Wait(n.stop) {
			return answer{}
		}
		got, err := n.transport.Identify(m.Addr, time.Duration(tries)*n.cfg.Detection.ProbeTimeout)
		// Another boot at the address refuses for this one.
		return answer{err == nil && got == m.ID(), refusedError(err) || err == nil && got != m.ID()}
	})
	defer certain.Store(true)
	for range 2 {
		select {
		case a := <-answers:
			if a.alive || a.refused {
				return a.alive, a.refused, both.Wait
			}
		case <-n.stop:
			return false, false, both.Wait
		}
	}
	return false, false, both.Wait
}

// awaitListed waits until memberlist holds the member alive, for d at most.
func (n *Node) awaitListed(id string, d time.Duration) {
	deadline := time.After(d)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		n.drain()
		n.mu.Lock()
		m := n.members[id]
		listed := m == nil || m.listed
		n.mu.Unlock()
		if listed {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			return
		case <-n.stop:
			return
		}
	}
}
