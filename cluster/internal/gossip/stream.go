package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// hello returns this node's hello of a kind. The address has no zone: it means nothing
// on another machine.
func (t *Transport) hello(kind byte) []byte {
	h := hello{kind: kind, cluster: t.me.cluster, key: t.me.pub, id: t.me.id, addr: netip.AddrPortFrom(t.cfg.Advertise.Addr().WithZone(""), t.cfg.Advertise.Port())}
	return h.append(nil)
}

// HandleStream takes an accepted connection whose peer has proved its certificate, and
// owns it. who is the identity of that certificate, by which connections are counted.
// verify returns an error if the certificate may not carry the name of a node.
// HandleStream returns when the hello is done, after helloTimeout at most. It closes
// the connection if it returns an error.
func (t *Transport) HandleStream(raw net.Conn, who string, verify func(id string) error) error {
	c := newConn(t, raw, who)
	if err := t.accept(c, verify); err != nil {
		c.Close() // without a byte
		return err
	}
	return nil
}

// accept runs the hello of an accepted connection and hands it to memberlist. The order
// matters: nothing is read beyond the limit of hellos, nothing is answered to a node
// that is refused, and the key is learned before the view hears of the node.
func (t *Transport) accept(c *conn, verify func(id string) error) error {
	// The limit comes first: waiting for a hello is what a stranger can make last.
	if !t.conns.begin(c.who) {
		t.cfg.Observer.Refused(HelloOverrun)
		return errors.New("gossip: too many connections at once")
	}
	defer t.conns.end(c.who)
	if err := t.conns.add(c); err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(helloTimeout)); err != nil { // more if this node is late
		return err
	}
	h, err := readHello(c.Conn)
	if err != nil {
		t.cfg.Observer.Refused(HelloMalformed)
		return err
	}
	h.addr = t.Local(h.addr)
	if err := t.admit(h, verify); err != nil {
		if errors.Is(err, ErrSelf) && h.key == t.me.pub {
			t.dials.noteSelf(c.RemoteAddr())
		}
		// Two nodes that advertise one address: the other side gets an answer, so that
		// it finds the same and its log says so as well.
		var claim *ClaimError
		if errors.As(err, &claim) {
			c.Write(t.hello(h.kind))
		}
		return err
	}
	t.conns.identify(c, h.id)
	if _, err := c.Write(t.hello(h.kind)); err != nil {
		return err
	}
	// memberlist sets deadlines of its own.
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	t.contact(h, h.kind == kindState)
	t.compareEnds(h, c)
	// Both keys are exchanged: that was all.
	if h.kind == kindKey {
		t.cfg.Observer.Stream("in", "key")
		return c.Close()
	}
	t.cfg.Observer.Stream("in", "state")
	// Waits for memberlist, on the endpoint's goroutine for this stream.
	select {
	case t.streams <- c:
		return nil
	case <-t.conns.done:
		return errClosed
	}
}

// admit checks the hello of either side and learns its key. Its errors are ErrSelf,
// *ClaimError, and others that say why the node is refused. The address is checked
// last: the claim of a node that has not proved itself is worth nothing.
func (t *Transport) admit(h hello, verify func(id string) error) error {
	if h.cluster != t.me.cluster {
		t.cfg.Observer.Refused(HelloCluster)
		return fmt.Errorf("gossip: %s belongs to another cluster", h.id)
	}
	if h.id == t.me.id {
		// Another process with this node's id.
		if h.key != t.me.pub {
			t.cfg.Observer.Refused(HelloNode)
		}
		return ErrSelf
	}
	if err := verify(h.id); err != nil {
		t.cfg.Observer.Refused(HelloNode)
		return fmt.Errorf("gossip: %s is refused: %w", h.id, err)
	}
	if err := t.keys.prove(h); err != nil {
		t.cfg.Observer.Refused(HelloNode)
		return err
	}
	// Its key is known now, but it must not join.
	if h.addr == t.cfg.Advertise {
		t.cfg.Observer.Refused(HelloNode)
		return &ClaimError{ID: h.id, Addr: h.addr}
	}
	return nil
}

// contact reports a node that has said hello and is not in the view: the view dials it
// and exchanges states. exchanges is that of [Config.Contact].
func (t *Transport) contact(h hello, exchanges bool) {
	if p := t.keys.peer(h.id); p != nil && !p.present.Load() {
		t.cfg.Contact(h.id, h.addr, exchanges)
	}
}

// compareEnds reports a node that is not in the view and advertises another address than
// that of the other end of its connection. That can be right, behind address
// translation, or wrong, and then nothing reaches the node there.
func (t *Transport) compareEnds(h hello, c *conn) {
	end, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if p := t.keys.peer(h.id); err == nil && p != nil && !p.present.Load() && end.Addr().Unmap() != h.addr.Addr() {
		t.cfg.Elsewhere(h.id, h.addr, end.String())
	}
}

// ErrSelf says that a node has reached itself, by one of its addresses.
var ErrSelf = errors.New("gossip: reached this node itself")

// A ClaimError says that another node advertises the address that this one advertises.
type ClaimError struct {
	ID   string         // the other node
	Addr netip.AddrPort // the address of both
}

// Error says what to change.
func (e *ClaimError) Error() string {
	return fmt.Sprintf("gossip: %s says that it is at %s, as this node does: set cluster.Config.Advertise of both "+
		"to addresses at which the others reach them", e.ID, e.Addr)
}

// An OtherNodeError says that another node answers at an address than the one that was
// dialled: most likely a newer boot of it.
type OtherNodeError struct {
	Addr, Want, Got string // the address, and the ids of the two nodes
}

// Error says which node answered.
func (e *OtherNodeError) Error() string {
	return fmt.Sprintf("gossip: dialled %s at %s, %s answered", e.Want, e.Addr, e.Got)
}
