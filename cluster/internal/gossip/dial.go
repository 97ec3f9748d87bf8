package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

// fetchTimeout limits an attempt to learn the key of a node in the background.
const fetchTimeout = 2 * time.Second

// DialTimeout implements memberlist.Transport. Any node may answer.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport. With a name it
// fails if another node answers. A late node has longer than timeout.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	c, _, err := t.dial(a, t.cfg.Patience(timeout), kindState)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Identify dials an address, exchanges keys and returns the id of the node that
// answers there. It takes at most timeout. The errors are those of the dial, ErrSelf
// and *ClaimError.
func (t *Transport) Identify(addr string, timeout time.Duration) (id string, err error) {
	c, h, err := t.dial(memberlist.Address{Addr: addr}, timeout, kindKey)
	if err != nil {
		return "", err
	}
	return h.id, c.Close()
}

// dial opens a connection, says hello, learns the key of the node that answers, and
// notes how that ended. kind is that of the hello.
func (t *Transport) dial(a memberlist.Address, timeout time.Duration, kind byte) (*conn, hello, error) {
	if timeout <= 0 {
		return nil, hello{}, context.DeadlineExceeded
	}
	// The form in which dials are noted.
	a.Addr = t.local(a.Addr)
	c, h, err := t.connect(a, timeout, kind)
	t.dials.note(a.Addr, h.id, err)
	t.cfg.Dialed(a.Name, a.Addr, err)
	return c, h, err
}

// nodeKey is the key of a context's value for DialedNode.
type nodeKey struct{}

// DialedNode returns the id of the node that a dial with ctx is for, "" if any node at
// the address will do. The Endpoint uses it to choose the name that the certificate
// must carry.
func DialedNode(ctx context.Context) string {
	id, _ := ctx.Value(nodeKey{}).(string)
	return id
}

// connect is dial without the note. It fails if a names another node than the one that
// answers; the key of that other node is learned nevertheless. It ends early when the
// transport is shut down.
func (t *Transport) connect(a memberlist.Address, timeout time.Duration, kind byte) (_ *conn, _ hello, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// Shutdown ends the dial, and closes what it has opened once that is in the set.
	stop := context.AfterFunc(contexts.Until(t.conns.done), cancel)
	defer stop()
	raw, verify, err := t.cfg.Endpoint.Dial(context.WithValue(ctx, nodeKey{}, a.Name), a.Addr)
	if err != nil {
		return nil, hello{}, err
	}
	c := newConn(t, raw, "")
	defer func() {
		// All returns below set it.
		if err != nil {
			c.Close()
		}
	}()
	if err := t.conns.add(c); err != nil {
		return nil, hello{}, err
	}
	// For the hello in both directions.
	deadline, _ := ctx.Deadline()
	if err := raw.SetDeadline(deadline); err != nil {
		return nil, hello{}, err
	}
	if _, err := c.Write(t.hello(kind)); err != nil {
		return nil, hello{}, err
	}
	h, err := readHello(c.Conn)
	if err != nil {
		// The accepting side of a connection to oneself closes without an answer,
		// and has noted it.
		if t.dials.isSelf(c.LocalAddr()) {
			return nil, h, ErrSelf
		}
		t.cfg.Observer.Refused(HelloMalformed)
		// The other side says nothing to strangers: name what the operator can check.
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
	// A newer boot answers at the address of an older one. The caller learns it from
	// the error, and the view from Contact.
	if a.Name != "" && a.Name != h.id {
		t.cfg.Observer.Refused(HelloOther)
		t.contact(h, false)
		return nil, h, &OtherNodeError{Addr: a.Addr, Want: a.Name, Got: h.id}
	}
	t.conns.identify(c, h.id)
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, h, err
	}
	if kind == kindKey {
		t.cfg.Observer.Stream("out", "key")
	} else {
		t.cfg.Observer.Stream("out", "state")
	}
	return c, h, nil
}

// fetchKey learns the key of a node in the background, so that the next packet to it
// can be sealed: at most once in fetchInterval for one address. Packets are lost until
// then, as UDP may lose any.
func (t *Transport) fetchKey(a memberlist.Address) {
	a.Addr = t.local(a.Addr)
	// There is no key for packets to oneself, which memberlist does not send.
	if a.Name == t.me.id || a.Addr == t.cfg.Advertise.String() {
		return
	}
	if !t.dials.mayFetch(a.Addr, time.Now()) {
		return
	}
	t.conns.run(func() {
		if c, _, err := t.dial(a, fetchTimeout, kindKey); err == nil {
			c.Close()
		}
	})
}
