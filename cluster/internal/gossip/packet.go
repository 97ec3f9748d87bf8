package gossip

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// WriteTo implements memberlist.Transport. Without the name of a node there is
// no key, so that it finds the node by its address.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	a := memberlist.Address{Addr: addr}
	if to, err := netip.ParseAddrPort(addr); err == nil {
		a.Name = t.keys.idAt(t.Local(to))
	}
	return t.WriteToAddress(b, a)
}

// WriteToAddress implements memberlist.NodeAwareTransport. It never waits. Its
// only error is a *net.OpError: memberlist takes any other for a reason not to
// count the probe, and a node that cannot be reached would never be found dead
// (state.go: failedRemote).
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return time.Now(), t.send(kindGossip, b, a)
}

// SendControl sends a control packet to a node, if its key is known.
func (t *Transport) SendControl(id, addr string, msg []byte) error {
	return t.send(kindControl, msg, memberlist.Address{Name: id, Addr: addr})
}

func (t *Transport) send(kind byte, b []byte, a memberlist.Address) error {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		t.cfg.Observer.Refused(SendFailed)
		return &net.OpError{Op: "write", Net: "udp", Err: err}
	}
	to = t.Local(to)
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

func kindName(kind byte) string {
	if kind == kindControl {
		return "control"
	}
	return "gossip"
}

// HandlePacket takes a datagram from the endpoint's reading goroutine. It does
// not block and does not keep b.
func (t *Transport) HandlePacket(b []byte, from netip.AddrPort) {
	now := time.Now()
	p, msg, refused := t.unseal(b)
	if refused != "" {
		t.cfg.Observer.Refused(refused)
		return
	}
	kind := b[0]
	t.keys.noteHeard(p)
	t.cfg.Observer.Packet("in", kindName(kind), len(b))
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
		t.cfg.Contact(p.id, from)
	}
	if kind == kindControl {
		// What counts as said by the node itself is not for a key by hearsay.
		if p.proved.Load() || !t.cfg.NamesBound {
			t.cfg.Control(p.id, msg)
		}
		return
	}
	if msg == nil {
		return
	}
	select {
	case <-t.conns.done:
	case t.packets <- &memberlist.Packet{Buf: msg, From: net.UDPAddrFromAddrPort(from), Timestamp: now}:
	default:
		t.cfg.Observer.Refused(PacketOverrun)
	}
}

// unseal returns who has sealed a packet and its content, or a reason for
// [Observer.Refused].
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
