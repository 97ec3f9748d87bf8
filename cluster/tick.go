package cluster

import (
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

const (
	// forgetKeysAfter is how long the keys of a node that is not in the table are kept.
	forgetKeysAfter = 5 * time.Minute
	// failedLately is the time within which failed probes count together for the
	// detector of partitions.
	failedLately = 3 * time.Second
)

// run is the node's one goroutine of its own. It drives the table of members, and all
// that is not driven by a message.
func (n *Node) run() {
	tick := time.NewTicker(members.TickInterval)
	defer tick.Stop()
	start := time.Now()
	stall := phi.NewStall(members.TickInterval)
	var second, minute time.Time
	for {
		select {
		case <-n.life.stop:
			return
		case <-n.inbox.wake:
			n.view.drain()
			continue
		case <-tick.C:
		}
		now := time.Now()
		// A node that did not run for a while, because its machine is busy or its
		// process was stopped, finds its probes failed and its ticks late. It must not
		// blame the others for either.
		n.prober.late.Tick(now)
		late := stall.Tick(now.Sub(start))
		paused := stall.Holding(now.Sub(start))
		n.view.drain() // answers that have come before the failures are judged
		failed, lately := n.inbox.takeFailed(failedLately, now)
		n.view.step(members.Tick{Health: n.list.GetHealthScore(), Failed: failed, FailedLately: lately, Paused: paused, Late: late > 0 && paused})
		n.seeder.tryAgain(now)
		n.healer.heal(now)
		if now.Sub(second) >= time.Second {
			second = now
			n.measure()
			n.self.followCertificate()
			n.reach.checkFamilies()
			n.seeder.saveMembers(now)
		}
		if now.Sub(minute) >= time.Minute {
			minute = now
			// The transport learns keys before the table hears of a node, and from those
			// that the table refuses.
			n.view.with(func(t *members.Table) {
				n.transport.Sweep(forgetKeysAfter, func(id string) bool {
					_, known := t.Get(id)
					return known
				})
			})
		}
	}
}

// measure gives the metrics what no event brings: the lengths of queues, and how much
// the node keeps because of others beside the most that it would.
func (n *Node) measure() {
	m := n.cfg.Metrics
	m.QueueDepth("packets_out", n.transport.Queued())
	m.QueueDepth("callbacks", n.inbox.len())
	n.transport.Kept(m.Kept)
	var size, asked, limit int
	n.view.with(func(t *members.Table) {
		size = t.Size()
		asked, limit = t.Addresses()
	})
	m.Kept("members", size, maxMembers)
	m.Kept("addresses", asked, limit)
	m.Kept("event_streams", n.admin.streams.open(), maxEventStreams)
}
