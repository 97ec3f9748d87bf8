package cluster

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// tickInterval is the rhythm of everything that is not driven by a message.
const tickInterval = 100 * time.Millisecond

// Members that are gone for good are remembered this long, so that late gossip
// about them makes no events.
const rememberGone = 5 * time.Minute

// maxMembers bounds the table of members: above it those that are gone longest
// are forgotten before their time, since any member can invent others.
const maxMembers = 20_000

// run is the node's one goroutine of its own.
func (n *Node) run() {
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	start := time.Now()
	stall := phi.NewStall(tickInterval)
	var second, minute time.Time
	for {
		select {
		case <-n.stop:
			return
		case <-n.inbox.wake:
			n.drain()
			continue
		case <-tick.C:
		}
		now := time.Now()
		late := stall.Tick(now.Sub(start))
		stalled := late > 0 && stall.Holding(now.Sub(start))
		if stalled {
			n.mu.Lock()
			n.stalled = now
			n.mu.Unlock()
		}
		n.judgeProbes(stall.Holding(now.Sub(start)), now)
		n.drain()
		n.detect(stalled, now)
		n.heals(now)
		n.askAgain(now)
		if now.Sub(second) >= time.Second {
			second = now
			n.measure()
			n.followCertificate()
			n.acquit(now)
			n.checkFamilies()
			n.saveMembers(now)
		}
		if now.Sub(minute) >= time.Minute {
			minute = now
			n.forget(now)
		}
	}
}

// judgeProbes makes suspicions of failed probes, unless this node itself did
// not run: then the answers may have come and found nobody.
func (n *Node) judgeProbes(stalled bool, now time.Time) {
	ids := n.fails.take()
	if stalled {
		return
	}
	for _, id := range ids {
		n.inbox.put(callback{kind: probeFailed, id: id})
	}
}

// maxAcquit is how many suspects are asked at a time.
const maxAcquit = 8

// acquit asks those again, once a second, whom this node's own probes have found
// silent: in the order of the probes their turn comes once in as many intervals
// as there are members. memberlist tells neither of probes that were answered
// through others nor of suspects that have refuted it; who has not failed another
// probe for twice as long as a round takes is acquitted without an answer.
func (n *Node) acquit(now time.Time) {
	n.mu.Lock()
	round := time.Duration(len(n.members)+1) * n.cfg.Detection.ProbeInterval * time.Duration(1+n.health)
	var suspects []Member
	for _, m := range n.members {
		switch {
		case m.suspectedBy&sourceProbe == 0 || !m.listed:
		case now.Sub(m.probeFailed) > max(2*round, time.Second):
			n.clear(m, sourceProbe, now)
		case len(suspects) < maxAcquit:
			suspects = append(suspects, m.Member)
		}
	}
	n.logEvents()
	n.mu.Unlock()
	for _, m := range suspects {
		n.spawn(func() {
			if n.pings(m, 1) {
				n.inbox.put(callback{kind: probeAnswered, id: m.ID()})
			}
		})
	}
}

// measure tells the metrics what is polled.
func (n *Node) measure() {
	n.cfg.Metrics.QueueDepth("packets_out", n.transport.Queued())
	n.cfg.Metrics.QueueDepth("callbacks", n.inbox.len())
	n.transport.Kept(n.cfg.Metrics.Kept)
	n.mu.Lock()
	members, asks := len(n.members), len(n.questions)
	n.mu.Unlock()
	n.cfg.Metrics.Kept("members", members, maxMembers)
	n.cfg.Metrics.Kept("addresses", asks, maxAsks)
	n.cfg.Metrics.Kept("event_streams", n.streams.open(), maxEventStreams)
}

// forget drops members that are gone for good.
func (n *Node) forget(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	newest := n.newest()
	for id, m := range n.members {
		if m.State.Present() || m.listed {
			continue
		}
		keep := n.cfg.Discovery.ReconnectFor
		if m.replaced || m.hidden || m.State == StateLeft || newest[m.Name] > m.Boot {
			keep = rememberGone
		}
		if now.Sub(m.goneSince) > keep {
			n.drop(id)
		}
	}
	n.transport.Sweep(rememberGone, func(id string) bool { return n.members[id] != nil })
	n.countStates()
}

// forgetOldest drops a part of the members that are gone, those that have been
// for the longest time. The caller holds mu.
func (n *Node) forgetOldest() {
	var gone []*member
	for _, m := range n.members {
		if !m.State.Present() && !m.listed {
			gone = append(gone, m)
		}
	}
	slices.SortFunc(gone, func(a, b *member) int { return a.goneSince.Compare(b.goneSince) })
	for _, m := range gone[:min(len(gone), maxMembers/16)] {
		n.drop(m.ID())
	}
}

func refusedError(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
