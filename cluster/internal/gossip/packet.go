package gossip

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// WriteTo implements memberlist.Transport. There is no key without the id of a node, so
// that the node is looked up by its address.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	a := memberlist.Address{Addr: addr}
	if to, err := netip.ParseAddrPort(addr); err == nil {
		a.Name = t.keys.idAt(t.Local(to))
	}
	return t.WriteToAddress(b, a)
}

// WriteToAddress implements memberlist.NodeAwareTransport. It never waits: one blocked
// call stops all failure detection. Its only error but errBlind is a *net.OpError.
// Memberlist does not count a probe that fails with any other (state.go: failedRemote),
// and a node that cannot be reached would never be found dead.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return time.Now(), t.send(kindGossip, b, a)
}

// SendControl sends a control packet to a node, if its key is known. It never waits. nil
// does not mean that the packet arrives.
func (t *Transport) SendControl(id, addr string, msg []byte) error {
	return t.send(kindControl, msg, memberlist.Address{Name: id, Addr: addr})
}

// send seals b for a node and queues it. Without a key the packet is lost, and the key
// is fetched for the next one. An address that is none is the only error: everything
// else is as if the network had lost the packet.
func (t *Transport) send(kind byte, b []byte, a memberlist.Address) error {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		t.cfg.Observer.Refused(SendFailed)
		return &net.OpError{Op: "write", Net: "udp", Err: err}
	}
	// Memberlist knows the address without the zone.
	to = t.Local(to)
	if kind == kindGossip && t.cfg.Blind(a.Name) && isProbe(b, t.screener.label) {
		return errBlind
	}
	p := t.keys.peer(a.Name)
	if p == nil {
		t.cfg.Observer.Refused(SendNoKey)
		t.fetchKey(a)
		return nil
	}
	sealed := t.me.seal(p, kind, b)
	if sealed == nil {
		t.cfg.Observer.Refused(SendNoKey)
		return nil
	}
	t.sender.send(outPacket{sealed, to, kind})
	return nil
}

// errBlind is why a probe is not sent. It is no *net.OpError, so that memberlist gives the
// probe up and suspects no node.
var errBlind = errors.New("gossip: this node runs late, and would take the node for silent")

// isProbe reports whether a packet of memberlist begins with a ping.
func isProbe(b []byte, label string) bool {
	b = b[min(len(label), len(b)):]
	if len(b) >= 5 && b[0] == typeChecksum {
		b = b[5:]
	}
	parts, ok := split(b)
	return ok && len(parts) > 0 && parts[0][0] == typePing
}

// kindName returns the name of a kind of packets for the Observer.
func kindName(kind byte) string {
	if kind == kindControl {
		return "control"
	}
	return "gossip"
}

// HandlePacket takes a datagram from the endpoint's reading goroutine. It does not block
// and does not keep b. What it refuses is counted and never answered: a forger learns
// nothing.
//
// The way of a packet: unseal (which node sent it?), screen (may memberlist see it?),
// contact (is the node in the view?), and then memberlist or Config.Control.
func (t *Transport) HandlePacket(b []byte, from netip.AddrPort) {
	// Memberlist measures round trips with it.
	now := time.Now()
	p, msg, refused := t.unseal(b)
	if refused != "" {
		t.cfg.Observer.Refused(refused)
		return
	}
	kind := b[0]
	t.keys.noteHeard(p, now)
	t.cfg.Observer.Packet("in", kindName(kind), len(b))
	// From here on the sender is known: what is wrong is its own doing, and each has
	// a limit of its own.
	switch {
	case kind == kindGossip:
		msg, refused = t.screener.screen(p, msg, now)
	case len(msg) == 0 || len(msg) > maxControl:
		refused = PacketMalformed
	case !p.work.Take(1, now):
		refused = PacketFlood
	}
	if refused != "" {
		t.cfg.Observer.Refused(refused)
		return
	}
	if !p.present.Load() {
		t.cfg.Contact(p.id, from, false)
	}
	if kind == kindControl {
		// A control packet counts as said by the node itself. If names are bound to
		// certificates, a key by hearsay does not prove that.
		if p.proved.Load() || !t.cfg.NamesBound {
			t.cfg.Control(p.id, msg)
		}
		return
	}
	// Every message of it was taken out.
	if msg == nil {
		return
	}
	// A full channel drops: the reading goroutine must not wait.
	select {
	case <-t.conns.done:
	case t.packets <- &memberlist.Packet{Buf: msg, From: net.UDPAddrFromAddrPort(from), Timestamp: now}:
	default:
		t.cfg.Observer.Refused(PacketOverrun)
	}
}

// unseal returns the node that has sealed a packet and its content, or a reason for
// [Observer.Refused]. The cheap checks come first: a packet of an unknown sender costs
// one look into a map, and only a packet of a known one a decryption.
func (t *Transport) unseal(b []byte) (p *peer, msg []byte, refused string) {
	switch {
	case len(b) < Overhead:
		return nil, nil, PacketShort
	case len(b) > Overhead+maxOpened:
		return nil, nil, PacketLarge
	case b[0] != kindGossip && b[0] != kindControl:
		return nil, nil, PacketKind
	}
	if p = t.keys.bySender(binary.BigEndian.Uint64(b[1:])); p == nil {
		return nil, nil, PacketUnknownSender
	}
	msg, replayed, err := t.me.open(p, b)
	switch {
	case errors.Is(err, errCounter):
		return nil, nil, PacketCounter
	case err != nil:
		return nil, nil, PacketForged
	case replayed:
		return nil, nil, PacketReplayed
	}
	return p, msg, ""
}
