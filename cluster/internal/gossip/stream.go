package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

// A conn is an open stream. Closing it takes it out of the transport's set.
type conn struct {
	net.Conn
	t      *Transport
	who    string // the certificate at the other end; "" if it was dialled from here
	id     string // the node at the other end; immutable once the hello is done
	states int    // taken of the transport's states; guarded by its connMu
	guard  guard  // of what memberlist reads
}

func (t *Transport) newConn(raw net.Conn, who string) *conn {
	c := &conn{Conn: raw, t: t, who: who}
	c.guard = guard{r: raw, admit: c.admitStates, screen: c.screenState}
	return c
}

// admitStates asks whether an exchange of so many nodes has room beside the
// others, and whether its sender may say so much.
func (c *conn) admitStates(nodes int) error {
	if p := c.t.peer(c.id); p == nil || !p.work.Take(1+nodes/4, time.Now()) { // quicker to read than packets
		c.t.cfg.Observer.Refused(StreamOverrun)
		return errStreamOverrun
	}
	c.t.connMu.Lock()
	defer c.t.connMu.Unlock()
	if _, open := c.t.conns[c]; !open {
		return net.ErrClosed
	}
	if !c.t.states.Take(c.who, nodes) {
		c.t.cfg.Observer.Refused(StreamOverrun)
		return errStreamOverrun
	}
	c.states = nodes
	return nil
}

var errStreamOverrun = errors.New("gossip: too many nodes in exchanges at once: the other end tries again")

// screenState looks at one node of an exchange.
func (c *conn) screenState(m message) (keep bool, err error) {
	p, state := c.t.peer(c.id), m["State"]
	if p == nil { // dropped meanwhile
		return false, net.ErrClosed
	}
	if state.kind != valueNumber || state.number > maxNodeState {
		return false, errState
	}
	switch refused := c.t.screenNews(p, m, "Name", state.number == 0, time.Now()); refused {
	case "":
		return true, nil
	case GossipAhead, GossipFlood:
		c.t.cfg.Observer.Refused(refused)
		return false, nil
	}
	return false, errState
}

// maxNodeState is the last of memberlist's states of a node: alive, suspect, dead
// and left.
const maxNodeState = 3

// Read reads what follows the hello.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.guard.Read(p)
	var bad *streamError
	if errors.As(err, &bad) {
		c.t.cfg.Observer.Refused(StreamMalformed)
	}
	return n, err
}

func (c *conn) Close() error {
	c.t.connMu.Lock()
	delete(c.t.conns, c)
	c.t.states.Give(c.who, c.states)
	c.states = 0
	c.t.connMu.Unlock()
	return c.Conn.Close()
}

// track adds a connection to the set, or reports that the transport is closed.
func (t *Transport) track(c *conn) error {
	t.connMu.Lock()
	defer t.connMu.Unlock()
	select {
	case <-t.done:
		return errClosed
	default:
		t.conns[c] = struct{}{}
		return nil
	}
}

func (t *Transport) hello(kind byte) []byte {
	h := hello{kind: kind, cluster: t.me.cluster, key: t.me.pub, id: t.me.id, addr: netip.AddrPortFrom(t.cfg.Advertise.Addr().WithZone(""), t.cfg.Advertise.Port())}
	return h.append(nil)
}

// HandleStream takes an accepted connection whose peer has proved its
// certificate, and owns it. who is that certificate's identity, by which
// connections are counted; verify says whether it may carry the name of a node. It
// returns when the hello is done.
func (t *Transport) HandleStream(raw net.Conn, who string, verify func(id string) error) error {
	c := t.newConn(raw, who)
	if err := t.accept(c, verify); err != nil {
		c.Close() // without a byte
		return err
	}
	return nil
}

func (t *Transport) accept(c *conn, verify func(id string) error) error {
	if !t.enter(c.who) {
		t.cfg.Observer.Refused(HelloOverrun)
		return errors.New("gossip: too many connections at once")
	}
	defer t.leave(c.who)
	if err := t.track(c); err != nil {
		return err
	}
	if err := c.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
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
			t.noteSelf(c.RemoteAddr())
		}
		var claim *ClaimError
		if errors.As(err, &claim) { // the other side shall know it as well
			c.Write(t.hello(h.kind))
		}
		return err
	}
	t.connMu.Lock()
	c.id = h.id
	t.connMu.Unlock()
	if _, err := c.Write(t.hello(h.kind)); err != nil {
		return err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	t.contact(h)
	t.compareEnds(h, c)
	if h.kind == kindKey {
		t.cfg.Observer.Stream("in", "key")
		return c.Close()
	}
	t.cfg.Observer.Stream("in", "state")
	select {
	case t.streams <- c:
		return nil
	case <-t.done:
		return errClosed
	}
}

func (t *Transport) enter(who string) bool {
	t.connMu.Lock()
	defer t.connMu.Unlock()
	return t.pending.Take(who, 1)
}

func (t *Transport) leave(who string) {
	t.connMu.Lock()
	defer t.connMu.Unlock()
	t.pending.Give(who, 1)
}

// admit checks the hello of either side and learns its key.
func (t *Transport) admit(h hello, verify func(id string) error) error {
	if h.cluster != t.me.cluster {
		t.cfg.Observer.Refused(HelloCluster)
		return fmt.Errorf("gossip: %s belongs to another cluster", h.id)
	}
	if h.id == t.me.id {
		if h.key != t.me.pub {
			t.cfg.Observer.Refused(HelloNode)
		}
		return ErrSelf
	}
	if err := verify(h.id); err != nil {
		t.cfg.Observer.Refused(HelloNode)
		return fmt.Errorf("gossip: %s is refused: %w", h.id, err)
	}
	if err := t.prove(h); err != nil {
		t.cfg.Observer.Refused(HelloNode)
		return err
	}
	if h.addr == t.cfg.Advertise {
		t.cfg.Observer.Refused(HelloNode)
		return &ClaimError{ID: h.id, Addr: h.addr}
	}
	return nil
}

func (t *Transport) contact(h hello) {
	if p := t.peer(h.id); p != nil && !p.present.Load() {
		t.cfg.Contact(h.id, h.addr)
	}
}

// compareEnds tells of a node that is not in the view and says that it is at
// another address than the other end of its connection.
func (t *Transport) compareEnds(h hello, c *conn) {
	end, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if p := t.peer(h.id); err == nil && p != nil && !p.present.Load() && end.Addr().Unmap() != h.addr.Addr() {
		t.cfg.Elsewhere(h.id, h.addr, end.String())
	}
}

// Local returns an address of another node as this one uses it: a link-local one
// of IPv6 means nothing without the zone, the interface, that leads to it. That
// is the zone of the address which this node advertises.
func (t *Transport) Local(a netip.AddrPort) netip.AddrPort {
	if ip := a.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() {
		return netip.AddrPortFrom(ip.WithZone(t.cfg.Advertise.Addr().Zone()), a.Port())
	}
	return a
}

// local is Local for text.
func (t *Transport) local(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() {
		return t.Local(a).String()
	}
	return addr
}

// ErrSelf says that a node has reached itself.
var ErrSelf = errors.New("gossip: reached this node itself")

// noteSelf remembers that the connection at whose other end addr is comes from
// this transport: the side that dialled gets no answer and asks for it.
func (t *Transport) noteSelf(addr net.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.selves) >= maxHellos {
		clear(t.selves)
	}
	t.selves[addr.String()] = true
}

// isSelf reports whether the connection at whose near end addr is has been
// accepted by this transport, once.
func (t *Transport) isSelf(addr net.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer delete(t.selves, addr.String())
	return t.selves[addr.String()]
}

// A ClaimError says that another node gives the address of this one for its own.
type ClaimError struct {
	ID   string
	Addr netip.AddrPort
}

// Error implements error.
func (e *ClaimError) Error() string {
	return fmt.Sprintf("gossip: %s says that it is at %s, as this node does: set cluster.Config.Advertise of both "+
		"to addresses at which the others reach them", e.ID, e.Addr)
}

// An OtherNodeError says that another node answers at an address than the one
// that was dialled: a newer boot, most likely.
type OtherNodeError struct {
	Addr, Want, Got string
}

// Error implements error.
func (e *OtherNodeError) Error() string {
	return fmt.Sprintf("gossip: dialled %s at %s, %s answered", e.Want, e.Addr, e.Got)
}

// DialTimeout implements memberlist.Transport.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport. With a name it
// fails if another node answers.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	c, _, err := t.dial(a, timeout, kindState)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Identify dials an address, exchanges keys and returns who answers there.
func (t *Transport) Identify(addr string, timeout time.Duration) (id string, err error) {
	c, h, err := t.dial(memberlist.Address{Addr: addr}, timeout, kindKey)
	if err != nil {
		return "", err
	}
	return h.id, c.Close()
}

// LastDialError returns why the last dial of an address failed; nil if it did
// not.
func (t *Transport) LastDialError(addr string) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.dialErr[addr]
}

// AnsweredAt returns which node answered at an address when it was last dialled
// with success; "" if it was not.
func (t *Transport) AnsweredAt(addr string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.answered[addr]
}

func (t *Transport) dial(a memberlist.Address, timeout time.Duration, kind byte) (*conn, hello, error) {
	if timeout <= 0 {
		return nil, hello{}, context.DeadlineExceeded
	}
	a.Addr = t.local(a.Addr)
	c, h, err := t.connect(a, timeout, kind)
	t.mu.Lock()
	if err == nil {
		delete(t.dialErr, a.Addr)
		if len(t.answered) >= maxDials {
			clear(t.answered)
		}
		t.answered[a.Addr] = h.id
	} else {
		if len(t.dialErr) >= maxDials {
			clear(t.dialErr)
		}
		t.dialErr[a.Addr] = err
	}
	t.mu.Unlock()
	t.cfg.Dialed(a.Name, a.Addr, err)
	return c, h, err
}

type nodeKey struct{}

// DialedNode returns the id of the node that a dial with ctx is for, "" if whoever
// is at the address is right.
func DialedNode(ctx context.Context) string {
	id, _ := ctx.Value(nodeKey{}).(string)
	return id
}

func (t *Transport) connect(a memberlist.Address, timeout time.Duration, kind byte) (_ *conn, _ hello, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	stop := context.AfterFunc(t.doneContext(), cancel)
	defer stop()
	raw, verify, err := t.cfg.Endpoint.Dial(context.WithValue(ctx, nodeKey{}, a.Name), a.Addr)
	if err != nil {
		return nil, hello{}, err
	}
	c := t.newConn(raw, "")
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err := t.track(c); err != nil {
		return nil, hello{}, err
	}
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return nil, hello{}, err
	}
	if _, err := c.Write(t.hello(kind)); err != nil {
		return nil, hello{}, err
	}
	h, err := readHello(c.Conn)
	if err != nil {
		if t.isSelf(c.LocalAddr()) {
			return nil, h, ErrSelf
		}
		t.cfg.Observer.Refused(HelloMalformed)
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s closed the connection after the hello: it belongs to another cluster or refuses this node; its log says which", a.Addr)
		}
		return nil, h, err
	}
	h.addr = t.Local(h.addr)
	if err := t.admit(h, verify); err != nil {
		return nil, h, err
	}
	t.compareEnds(h, c)
	if a.Name != "" && a.Name != h.id {
		t.cfg.Observer.Refused(HelloOther)
		t.contact(h)
		return nil, h, &OtherNodeError{Addr: a.Addr, Want: a.Name, Got: h.id}
	}
	t.connMu.Lock()
	c.id = h.id
	t.connMu.Unlock()
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, h, err
	}
	if kind == kindKey {
		t.cfg.Observer.Stream("out", "key")
	} else {
		t.cfg.Observer.Stream("out", "state")
	}
	return c, h, nil
}

// fetchKey learns the key of a node in the background, at most once a second
// for one address.
func (t *Transport) fetchKey(a memberlist.Address) {
	a.Addr = t.local(a.Addr)
	if a.Name == t.me.id || a.Addr == t.cfg.Advertise.String() {
		return
	}
	now := time.Now()
	t.mu.Lock()
	recent := now.Sub(t.fetched[a.Addr]) < fetchInterval
	if !recent {
		if len(t.fetched) >= maxDials {
			clear(t.fetched)
		}
		t.fetched[a.Addr] = now
	}
	t.mu.Unlock()
	if recent || !t.hearsay.Take(1, now) {
		return
	}
	t.connMu.Lock()
	defer t.connMu.Unlock()
	select {
	case <-t.done:
	default:
		t.writers.Go(func() {
			if c, _, err := t.dial(a, fetchTimeout, kindKey); err == nil {
				c.Close()
			}
		})
	}
}

// doneContext is done when the transport is.
func (t *Transport) doneContext() context.Context { return contexts.Until(t.done) }

// Address returns the address a node gave in its hello, if it has.
func (t *Transport) Address(id string) (netip.AddrPort, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if p := t.peers[id]; p != nil && p.addr.IsValid() {
		return p.addr, true
	}
	return netip.AddrPort{}, false
}
