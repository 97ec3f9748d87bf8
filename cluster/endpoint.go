package cluster

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// An endpoint stands between the node's rpcnet.Endpoint and gossip's transport: gossip
// dials and sends by it, and what arrives for gossip on the one port passes through it.
type endpoint struct{ n *Node }

// transport returns gossip's transport for the node.
func (e endpoint) transport(ctx context.Context) (*gossip.Transport, error) {
	n := e.n
	return gossip.New(gossip.Config{
		ID: n.id, Cluster: n.cfg.Cluster, Advertise: n.advertise, NamesBound: n.namesBound,
		Endpoint: hook.WrapSockets(ctx, n.advertise.String(), e),
		Started: func(id string) time.Time {
			_, boot, _ := members.SplitID(id)
			return startOf(boot)
		},
		Observer: gossipMetrics{n.cfg.Metrics}, Control: e.control, Dialed: e.dialed, Elsewhere: n.reach.elsewhere,
		Blind: n.prober.blind, Late: n.prober.deaf, Patience: n.prober.late.Patience,
		Contact: func(id string, addr netip.AddrPort, exchanges bool) {
			n.healer.contact(id, addr.String(), exchanges, time.Now())
		},
	})
}

// Dial implements gossip.Endpoint. The certificate must be of a node, and carry the
// address or one of the names that are known for it.
func (e endpoint) Dial(ctx context.Context, addr string) (net.Conn, func(string) error, error) {
	isNode := func(peer rpcnet.Peer) error { return extend.AllowServer(extend.Roles(e.n.ep), peer, role.Node) }
	conn, peer, err := extend.Dial(ctx, e.n.ep, addr, gossip.ALPN,
		&rpcnet.DialConfig{ServerNames: e.n.names.wanted(gossip.DialedNode(ctx), addr), VerifyPeer: isNode})
	return conn, e.verifier(peer), err
}

// WritePacket implements gossip.Endpoint.
func (e endpoint) WritePacket(b []byte, to netip.AddrPort) (int, error) {
	return extend.WritePacket(e.n.ep, b, to)
}

// verifier returns the check of a node's name against its certificate, as the
// configuration makes it. The transport calls it when the hello has told the name.
func (e endpoint) verifier(peer rpcnet.Peer) func(id string) error {
	return func(id string) error {
		name, _, _ := members.SplitID(id)
		return e.n.cfg.VerifyNode(peer, name)
	}
}

// extension is what the node adds to its endpoint: the admin service, gossip's streams
// and packets, its identity for sessions, and Leave when the endpoint is drained.
func (e endpoint) extension() extend.Extension {
	n := e.n
	name, boot, _ := members.SplitID(n.id)
	return extend.Extension{
		Procedures: append(n.adminProcedures(), e.actions()...),
		Protocols: map[string]extend.Protocol{
			gossip.ALPN: {Role: role.Node, Run: func(conn net.Conn, peer rpcnet.Peer) {
				e.logRefusal(conn, peer, n.transport.HandleStream(conn, peer.ID, e.verifier(peer)))
			}},
		},
		Identity: wire.Identity{Cluster: n.cfg.Cluster, Node: name, Boot: boot},
		Packet:   e.packet,
		Drain: func(ctx context.Context) {
			n.Leave(ctx)
		},
	}
}

// logRefusal logs why a gossip connection was refused, if it was. What only a
// change of the configuration mends is a warning. What this node has dialled
// itself is logged where it dialled.
func (e endpoint) logRefusal(conn net.Conn, peer rpcnet.Peer, err error) {
	if err == nil || errors.Is(err, gossip.ErrSelf) {
		return
	}
	level := slog.LevelInfo
	var claim *gossip.ClaimError
	if errors.As(err, &claim) {
		level = slog.LevelWarn
	}
	e.n.lines.Log(level, "gossip connection", "refused a gossip connection", "from", conn.RemoteAddr(), "certificate", peer.ID, "err", err)
}

// Control packets, which only the node itself can seal: their content is one of
// these bytes.
const (
	controlLeaving byte = 'l'
	controlLeft    byte = 'L'
)

// control takes the content of a control packet. Later versions may add bytes: what is
// not known is ignored.
func (e endpoint) control(from string, msg []byte) {
	if len(msg) == 0 {
		return
	}
	switch msg[0] {
	case controlLeaving:
		e.n.inbox.put(members.Announced{ID: from})
	case controlLeft:
		e.n.inbox.put(members.Announced{ID: from, Left: true})
	}
}

// sendControl sends a control packet to every member present.
func (e endpoint) sendControl(msg byte) {
	for _, m := range e.n.view.others() {
		e.n.transport.SendControl(m.ID(), m.Addr, []byte{msg})
	}
}

// dialed takes how a gossip dial ended, as evidence about who is where. Only a refusal
// and another node's answer prove something: a time-out can have its cause in this node.
func (e endpoint) dialed(_, addr string, err error) {
	in := members.Dialed{Addr: addr, Refused: refusedError(err)}
	var other *gossip.OtherNodeError
	if errors.As(err, &other) {
		in.Want, in.Got = other.Want, other.Got
	}
	if in.Refused || in.Got != "" {
		e.n.view.judge(in)
	}
}

// refusedError reports whether nothing listens at the address that was dialled.
func refusedError(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
