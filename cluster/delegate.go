package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
)

var backgroundCtx = context.Background()

// An inbox takes what memberlist's callbacks tell. They run under memberlist's
// own lock, so that all they do is append here; asking memberlist anything from
// within them would lock up.
type inbox struct {
	mu    sync.Mutex
	queue []callback
	wake  chan struct{} // capacity 1
}

func (b *inbox) put(c callback) {
	b.mu.Lock()
	b.queue = append(b.queue, c)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []callback {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}

func (b *inbox) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// probeFails collects the probes that failed since the last tick, which judges
// them: a node that was itself stopped for a while must not blame the others.
type probeFails struct {
	mu     sync.Mutex
	ids    []string
	recent []time.Time // of the last few seconds, for the partition detector
}

func (p *probeFails) add(id string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids = append(p.ids, id)
	if len(p.recent) >= 16 {
		p.recent = p.recent[1:]
	}
	p.recent = append(p.recent, now)
}

func (p *probeFails) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := p.ids
	p.ids = nil
	return ids
}

// within returns how many probes failed in the last d.
func (p *probeFails) within(d time.Duration, now time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := 0
	for _, t := range p.recent {
		if now.Sub(t) <= d {
			c++
		}
	}
	return c
}

// events is what memberlist calls back: memberlist's delegate interfaces.
type events struct{ n *Node }

var (
	_ memberlist.Delegate      = events{}
	_ memberlist.EventDelegate = events{}
	_ memberlist.AliveDelegate = events{}
	_ memberlist.PingDelegate  = events{}
)

// NodeMeta implements memberlist.Delegate.
func (e events) NodeMeta(int) []byte {
	return e.n.meta()
}

// NotifyMsg implements memberlist.Delegate: user messages are not used.
func (events) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (events) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (events) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (events) MergeRemoteState([]byte, bool) {}

// NotifyJoin implements memberlist.EventDelegate.
func (e events) NotifyJoin(n *memberlist.Node) { e.n.inbox.put(e.n.toCallback(listJoin, n)) }

// NotifyUpdate implements memberlist.EventDelegate.
func (e events) NotifyUpdate(n *memberlist.Node) { e.n.inbox.put(e.n.toCallback(listUpdate, n)) }

// NotifyLeave implements memberlist.EventDelegate. It says the same of a node
// that left and of one that failed.
func (e events) NotifyLeave(n *memberlist.Node) { e.n.inbox.put(e.n.toCallback(listLeave, n)) }

func (n *Node) toCallback(kind callbackKind, l *memberlist.Node) callback {
	// memberlist replaces Meta and never writes into it.
	return callback{kind: kind, id: l.Name, addr: n.addrPort(l.Addr, l.Port).String(), meta: l.Meta}
}

// addrPort returns the address of a member, with this node's zone if it needs one.
func (n *Node) addrPort(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return n.transport.Local(netip.AddrPortFrom(a.Unmap(), port))
}

// NotifyAlive implements memberlist.AliveDelegate: the gate for everything that
// gossip says of living nodes, and the place where their keys are learned.
func (e events) NotifyAlive(n *memberlist.Node) error {
	refuse := func(reason string, err error) error {
		e.n.cfg.Metrics.Refused(reason)
		return err
	}
	if !gossip.ValidID(n.Name) || !e.n.addrPort(n.Addr, n.Port).IsValid() || n.Port == 0 {
		return refuse(gossip.AliveMalformed, fmt.Errorf("cluster: bad id or address"))
	}
	if n.Name == e.n.id {
		return nil
	}
	m, err := gossip.ParseMeta(n.Meta)
	if err != nil {
		return refuse(gossip.AliveMalformed, err)
	}
	if err := Tags(m.Tags).Validate(); err != nil {
		return refuse(gossip.AliveMalformed, err)
	}
	if err := e.n.transport.Learn(n.Name, m.Key, e.n.addrPort(n.Addr, n.Port)); err != nil {
		return refuse(gossip.AliveRefused, err)
	}
	return nil
}

// AckPayload implements memberlist.PingDelegate: a digest of this node's view,
// so that those who probe it notice when their views differ.
func (e events) AckPayload() []byte {
	return binary.BigEndian.AppendUint64(nil, e.n.hash.Load())
}

// NotifyPingComplete implements memberlist.PingDelegate.
func (e events) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, payload []byte) {
	e.n.cfg.Metrics.Probe(rtt, true)
	e.n.inbox.put(callback{kind: probeAnswered, id: n.Name})
	if len(payload) >= 8 {
		agrees := binary.BigEndian.Uint64(payload) == e.n.hash.Load()
		e.n.heal.compared(n.Name, e.n.addrPort(n.Addr, n.Port).String(), agrees, time.Now())
	}
}

// hooks are told what memberlist only logs.
func (n *Node) hooks() gossip.Hooks {
	return gossip.Hooks{
		ProbeFailed: func(id string) {
			n.cfg.Metrics.Probe(0, false)
			n.fails.add(id, time.Now())
		},
		Quiet: func() bool {
			select {
			case <-n.stop:
				return true
			default:
				return n.leaving.Load()
			}
		},
		PacketsLost: func(id string) {
			n.cfg.Metrics.Fallback()
			n.inbox.put(callback{kind: probeAnswered, id: id})
			n.byStream.add(id, time.Now())
			n.heal.packetsLost.Do(func() {
				n.log.Warn("a member answers over streams but not by packets: the families of the addresses differ, or something drops UDP on the way; "+
					"changes will spread slowly", "member", id)
			})
		},
	}
}

// listConfig is memberlist's configuration.
func (n *Node) listConfig() *memberlist.Config {
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
	c.PushPullInterval = 0 // heal.go does it: one goroutine less for every node
	c.TCPTimeout = n.cfg.Detection.StreamTimeout
	c.GossipToTheDeadTime = n.cfg.Detection.DeadGossipTime
	c.EnableCompression = false // pings of 100 bytes
	c.UDPBufferSize = gossip.MaxPacket
	c.HandoffQueueDepth = 4096
	e := events{n}
	c.Delegate, c.Events, c.Alive, c.Ping = e, e, e, e
	c.LogOutput = nil
	c.Logger = gossip.NewLogger(n.lines, n.hooks())
	return c
}

// endpoint adapts the node's rpcnet.Endpoint to gossip.
type endpoint struct{ n *Node }

func (e endpoint) Dial(ctx context.Context, addr string) (net.Conn, func(string) error, error) {
	isNode := func(peer rpcnet.Peer) error { return e.n.ep.AllowServer(peer, rpcnet.RoleNode) }
	conn, peer, err := e.n.ep.DialProtocol(ctx, addr, gossip.ALPN,
		&rpcnet.DialConfig{ServerNames: e.n.told.wanted(gossip.DialedNode(ctx), addr), VerifyPeer: isNode})
	return conn, e.n.verifier(peer), err
}

func (e endpoint) WritePacket(b []byte, to netip.AddrPort) (int, error) {
	return e.n.ep.WritePacket(b, to)
}

// verifier returns the check of a name against a certificate.
func (n *Node) verifier(peer rpcnet.Peer) func(id string) error {
	return func(id string) error {
		name, _, _ := splitID(id)
		return n.cfg.VerifyNode(peer, name)
	}
}

// extension is what the node adds to its endpoint.
func (n *Node) extension() rpcnet.Extension {
	return rpcnet.Extension{
		Methods: n.adminMethods(),
		Protocols: map[string]func(net.Conn, rpcnet.Peer){
			gossip.ALPN: func(conn net.Conn, peer rpcnet.Peer) {
				n.logRefusal(conn, peer, n.transport.HandleStream(conn, peer.ID, n.verifier(peer)))
			},
		},
		ProtocolRoles: map[string]rpcnet.Role{gossip.ALPN: rpcnet.RoleNode},
		Identity:      n.target(),
		Packet:        n.transport.HandlePacket,
		Drain: func(ctx context.Context) {
			n.Leave(ctx)
		},
	}
}

// logRefusal logs why a gossip connection was refused, if it was. What only a
// change of the configuration mends is a warning; what this node has dialled
// itself is told where it dialled.
func (n *Node) logRefusal(conn net.Conn, peer rpcnet.Peer, err error) {
	if err == nil || errors.Is(err, gossip.ErrSelf) {
		return
	}
	level := slog.LevelInfo
	var claim *gossip.ClaimError
	if errors.As(err, &claim) {
		level = slog.LevelWarn
	}
	n.lines.Log(level, "gossip connection", "refused a gossip connection", "from", conn.RemoteAddr(), "certificate", peer.ID, "err", err)
}

// target is this node as sessions know it.
func (n *Node) target() rpcnet.Target {
	name, boot, _ := splitID(n.id)
	return rpcnet.Target{Cluster: n.cfg.Cluster, Node: name, Boot: boot}
}

// contact is called when a node that is not in the view has proved itself.
func (n *Node) contact(id string, addr netip.AddrPort) { n.heal.contact(id, addr.String()) }

// Control packets, which only the node itself can seal: their content is one of
// these bytes.
const (
	controlLeaving byte = 'l'
	controlLeft    byte = 'L'
)

// control is called with the content of a control packet.
func (n *Node) control(from string, msg []byte) {
	if len(msg) == 0 {
		return
	}
	switch msg[0] {
	case controlLeaving:
		n.inbox.put(callback{kind: saysLeaving, id: from})
	case controlLeft:
		n.inbox.put(callback{kind: saysLeft, id: from})
	}
}

// tellAll sends a control packet to every member present.
func (n *Node) tellAll(msg byte) {
	for _, m := range n.Members() {
		if m.ID() != n.id {
			n.transport.SendControl(m.ID(), m.Addr, []byte{msg})
		}
	}
}
