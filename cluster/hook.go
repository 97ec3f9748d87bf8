package cluster

import (
	"context"

	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// forWorkers is what package workers may do with a node and users may not: see
// hook.Node.
type forWorkers struct{}

func init() { hook.Node = forWorkers{} }

// Cluster returns the name of the node's cluster.
func (forWorkers) Cluster(n *Node) string { return n.cfg.Cluster }

// Metrics returns what the node was given to count with.
func (forWorkers) Metrics(n *Node) *Metrics { return n.cfg.Metrics }

// OnLeave registers what runs in Leave after the node has announced that it
// leaves and before it tells that it has left.
func (forWorkers) OnLeave(n *Node, f func(context.Context)) { n.life.onLeave(f) }

// Ping reports whether the member answers a packet of gossip within ProbeTimeout. It
// reports false once the node stops.
func (forWorkers) Ping(n *Node, m Member) bool {
	if !n.life.begin() {
		return false
	}
	defer n.life.work.Done()
	return n.prober.ping(m, 1)
}

// AddWorkers has f list workers in [Node.Snapshot] until remove is called.
func (forWorkers) AddWorkers(n *Node, f func() []WorkerSnapshot) (remove func()) {
	return n.workers.add(f)
}
