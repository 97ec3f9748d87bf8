package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
)

// backgroundCtx is for the log, which takes a context that nothing here has.
var backgroundCtx = context.Background()

// An inbox takes what memberlist's callbacks tell, until the view takes it. They run
// under memberlist's own lock, so that all they do is append here; asking memberlist
// anything from within them would lock up. Failed probes wait for the next tick, which
// judges them: a node that was itself stopped for a while must not blame the others.
type inbox struct {
	wake chan struct{} // capacity 1

	mu     sync.Mutex // guards what follows; a leaf
	queue  []members.Input
	failed []string    // the members whose probes failed since the last tick
	recent []time.Time // of the last failed probes
}

// put queues an input and wakes the run goroutine. It never blocks: memberlist holds its
// lock meanwhile.
func (b *inbox) put(in members.Input) {
	b.mu.Lock()
	b.queue = append(b.queue, in)
	b.mu.Unlock()
	b.poke()
}

// poke wakes the run goroutine.
func (b *inbox) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns what is queued, in order. The caller holds the view's mu until it has
// stepped the table with it, so that no other goroutine overtakes.
func (b *inbox) take() []members.Input {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}

// len returns how many inputs wait, for the metrics.
func (b *inbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// maxRecentFailures is how many failed probes are remembered: more than the detector of
// partitions needs to see that this node is cut off.
const maxRecentFailures = 16

// probeFailed notes that a probe failed.
func (b *inbox) probeFailed(id string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, id)
	if len(b.recent) >= maxRecentFailures {
		b.recent = b.recent[1:]
	}
	b.recent = append(b.recent, now)
}

// takeFailed returns the members whose probes failed since the last call, and how many
// probes failed within d.
func (b *inbox) takeFailed(d time.Duration, now time.Time) (ids []string, lately int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids, b.failed = b.failed, nil
	for _, t := range b.recent {
		if now.Sub(t) <= d {
			lately++
		}
	}
	return ids, lately
}

// A delegate is what memberlist calls back: its delegate interfaces.
type delegate struct{ n *Node }

var (
	_ memberlist.Delegate      = delegate{}
	_ memberlist.EventDelegate = delegate{}
	_ memberlist.AliveDelegate = delegate{}
	_ memberlist.PingDelegate  = delegate{}
)

// NodeMeta implements memberlist.Delegate. Its limit is that of gossip.MaxMeta, which
// the tags were checked against when they were set: memberlist panics above it.
func (d delegate) NodeMeta(int) []byte { return d.n.self.meta() }

// NotifyMsg implements memberlist.Delegate: user messages are not used.
func (delegate) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (delegate) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate. memberlist calls it for a new member
// and for one that it held dead and that has refuted it.
func (d delegate) NotifyJoin(l *memberlist.Node) {
	if in, ok := d.alive(l); ok {
		in.Proved = d.n.proved(l.Name)
		d.n.inbox.put(in)
	}
}

// NotifyUpdate implements memberlist.EventDelegate. memberlist calls it when the meta of
// a living member changes.
func (d delegate) NotifyUpdate(l *memberlist.Node) {
	if in, ok := d.alive(l); ok {
		d.n.inbox.put(members.Updated(in))
	}
}

// NotifyLeave implements memberlist.EventDelegate. It says the same of a node
// that left and of one that failed.
func (d delegate) NotifyLeave(l *memberlist.Node) { d.n.inbox.put(members.Dead{ID: l.Name}) }

// alive returns what memberlist says of a living node; false if its meta is not valid,
// which NotifyAlive has refused.
func (d delegate) alive(l *memberlist.Node) (in members.Alive, ok bool) {
	meta, err := gossip.ParseMeta(l.Meta)
	return members.Alive{
		ID: l.Name, Addr: d.addrPort(l.Addr, l.Port).String(), ServerName: meta.ServerName, Tags: meta.Tags, Leaving: meta.Leaving,
	}, err == nil
}

// addrPort returns the address of a member, with this node's zone if it needs one: zones
// mean something on one host alone, so that gossip carries none.
func (d delegate) addrPort(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return d.n.transport.Local(netip.AddrPortFrom(a.Unmap(), port))
}

// NotifyAlive implements memberlist.AliveDelegate: the gate for everything that
// gossip says of living nodes, and the place where their keys are learned. What it
// refuses memberlist neither keeps nor passes on.
func (d delegate) NotifyAlive(l *memberlist.Node) error {
	refuse := func(reason string, err error) error {
		d.n.cfg.Metrics.Refused(reason)
		return err
	}
	if !gossip.ValidID(l.Name) || !d.addrPort(l.Addr, l.Port).IsValid() || l.Port == 0 {
		return refuse(gossip.AliveMalformed, fmt.Errorf("cluster: bad id or address"))
	}
	// memberlist refutes what is said of this node by itself.
	if l.Name == d.n.id {
		return nil
	}
	m, err := gossip.ParseMeta(l.Meta)
	if err != nil {
		return refuse(gossip.AliveMalformed, err)
	}
	if err := Tags(m.Tags).Validate(); err != nil {
		return refuse(gossip.AliveMalformed, err)
	}
	if err := d.n.transport.Learn(l.Name, m.Key, d.addrPort(l.Addr, l.Port)); err != nil {
		return refuse(gossip.AliveRefused, err)
	}
	return nil
}

// AckPayload implements memberlist.PingDelegate: a digest of this node's view,
// so that those who probe it notice when their views differ.
func (d delegate) AckPayload() []byte {
	return binary.BigEndian.AppendUint64(nil, d.n.view.digest.Load())
}

// NotifyPingComplete implements memberlist.PingDelegate. The payload is the other's
// AckPayload. Views differ for a moment after each change, so that only those that
// differ for longer are exchanged.
func (d delegate) NotifyPingComplete(l *memberlist.Node, rtt time.Duration, payload []byte) {
	d.n.cfg.Metrics.Probe(rtt, true)
	d.n.inbox.put(d.n.prober.answered(l.Name))
	if len(payload) >= 8 {
		agrees := binary.BigEndian.Uint64(payload) == d.n.view.digest.Load()
		d.n.healer.compared(l.Name, d.addrPort(l.Addr, l.Port).String(), agrees, time.Now())
	}
}

// hooks are called for what memberlist writes to its log and has no callback for.
func (d delegate) hooks() gossip.Hooks {
	n := d.n
	return gossip.Hooks{
		ProbeFailed: func(id string) {
			n.cfg.Metrics.Probe(0, false)
			n.inbox.probeFailed(id, time.Now())
		},
		Quiet: func() bool { return n.life.stopping() || n.self.leaving.Load() },
		PacketsLost: func(id string) {
			n.cfg.Metrics.Fallback()
			n.inbox.put(n.prober.answered(id))
			n.reach.answeredByStream(id)
		},
	}
}

// listConfig is memberlist's configuration. Encryption is the transport's, and the label
// keeps clusters of one certificate authority apart.
func (d delegate) listConfig() *memberlist.Config {
	n := d.n
	c := memberlist.DefaultLANConfig()
	c.Name = n.id
	c.Transport = n.transport
	c.Label = gossip.Label(n.cfg.Cluster)
	c.BindPort = int(n.advertise.Port())
	c.ProbeInterval = n.cfg.Detection.ProbeInterval
	c.ProbeTimeout = n.cfg.Detection.ProbeTimeout
	c.IndirectChecks = n.cfg.Detection.IndirectProbes
	c.SuspicionMult = n.cfg.Detection.SuspicionMult
	c.SuspicionMaxTimeoutMult = n.cfg.Detection.SuspicionMaxMult
	c.GossipInterval = n.cfg.Detection.GossipInterval
	c.GossipNodes = n.cfg.Detection.GossipNodes
	c.RetransmitMult = n.cfg.Detection.RetransmitMult
	c.PushPullInterval = 0 // healer.go does it: one goroutine less for every node
	c.TCPTimeout = n.cfg.Detection.StreamTimeout
	// A connection to each member that this node is too late to hear would make it later.
	c.DisableTcpPingsForNode = n.prober.noFallback
	c.GossipToTheDeadTime = n.cfg.Detection.DeadGossipTime
	c.EnableCompression = false // pings of 100 bytes
	c.UDPBufferSize = gossip.MaxPacket
	c.HandoffQueueDepth = 4096
	c.Delegate, c.Events, c.Alive, c.Ping = d, d, d, d
	c.LogOutput = nil
	c.Logger = gossip.NewLogger(n.lines, d.hooks())
	return c
}
