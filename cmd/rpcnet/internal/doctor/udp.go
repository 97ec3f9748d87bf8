package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/udpecho"
)

const (
	// gossipSize is the size of the largest datagram of gossip.
	gossipSize = 1388
	// ethernetSize is the largest content of a datagram on Ethernet, over IPv4.
	ethernetSize = 1472
	// tries is how often each datagram is sent: single ones can be lost.
	tries = 5
	// pause is between two of them.
	pause = 200 * time.Millisecond
)

// echoes is what became of datagrams.
type echoes struct {
	conn  *net.UDPConn
	token []byte
	nonce uint64
	seen  netip.AddrPort // how the node sees this side
}

// udp sends small datagrams to the node, which sends them back.
func (d *doctor) udp(ctx context.Context) {
	if d.view == nil {
		d.skip(noView)
		return
	}
	token, before, err := d.offer(ctx)
	if rpcnet.CodeOf(err) == rpcnet.CodeUnimplemented {
		d.warn("update the node", "the node does not answer datagrams of this command: it is older")
		return
	}
	if err != nil {
		d.fail("see the log of the node", "asking for a token: %v", err)
		return
	}
	// The same address as the connection's: a name can have several.
	conn, err := net.Dial("udp", d.addr)
	if err != nil {
		d.fail("see the routes of this machine: ip route get "+d.host(), "%v", err)
		return
	}
	e := &echoes{conn: conn.(*net.UDPConn), token: token}
	took, err := e.send(ctx, udpecho.MinSize)
	if err == nil {
		d.reached = e
		d.ok("datagrams to %s come back, after %v; the node sees this side as %v", d.addr, people(took), e.seen)
		return
	}
	conn.Close()
	open := "open UDP port " + d.port() + " in the firewalls between, both ways: gossip needs it beside TCP"
	_, after, otherErr := d.offer(ctx)
	switch {
	case otherErr != nil:
		d.fail(open, "no datagram comes back from %s: %v", d.addr, err)
	case after > before:
		d.fail(open, "datagrams reach %s, and its answers do not come back: UDP is dropped on the way from the node to here", d.addr)
	default:
		d.fail(open, "TCP works, and no datagram reaches %s: UDP is dropped on the way from here to the node (%v)", d.addr, err)
	}
}

// offer asks the node for a token.
func (d *doctor) offer(ctx context.Context) (token []byte, answered uint64, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Timeout)
	defer cancel()
	b, err := rpcnet.CallRaw(ctx, d.conn, "/cluster.v1.Admin/Probe", nil)
	if err != nil {
		return nil, 0, err
	}
	token, answered, ok := udpecho.ParseOffer(b)
	if !ok {
		return nil, 0, errors.New("the node's answer is too short")
	}
	return token, answered, nil
}

// errSilence is what a datagram ends with that does not come back.
var errSilence = errors.New("nothing came back")

// send sends a datagram of a size until it comes back, at most tries times.
func (e *echoes) send(ctx context.Context, size int) (took time.Duration, err error) {
	b := make([]byte, 64<<10)
	for range tries {
		if ctx.Err() != nil {
			break
		}
		e.nonce++
		start := time.Now()
		if _, err := e.conn.Write(udpecho.Question(e.token, e.nonce, size)); err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) {
				continue // an answer by ICMP to the one before
			}
			if op, ok := errors.AsType[*net.OpError](err); ok {
				err = op.Err // the addresses are known
			}
			return 0, err
		}
		e.conn.SetReadDeadline(start.Add(pause))
		for {
			n, err := e.conn.Read(b)
			if err != nil {
				break
			}
			if nonce, from, ok := udpecho.ParseAnswer(b[:n]); ok && nonce == e.nonce && n == size {
				e.seen = from
				return time.Since(start), nil
			}
		}
	}
	return 0, errSilence
}

// mtu sends larger datagrams.
func (d *doctor) mtu(ctx context.Context) {
	if d.reached == nil {
		d.skip("no datagram comes back")
		return
	}
	defer d.reached.conn.Close()
	whole := dontFragment(d.reached.conn)
	const fix = "raise the MTU of the path to 1500, or of the tunnel in it (ip link; a VPN or an overlay often takes 50 to 100 bytes)"
	if _, err := d.reached.send(ctx, gossipSize); err != nil {
		d.fail(fix, "datagrams of %d bytes do not pass, and gossip sends such: %v", gossipSize, err)
		return
	}
	if !whole {
		d.ok("datagrams of %d bytes pass, the largest of gossip; in parts perhaps, since this system does not let them be kept whole", gossipSize)
		return
	}
	size := gossipSize
	if _, err := d.reached.send(ctx, ethernetSize); err == nil {
		size = ethernetSize
	}
	d.ok("datagrams of %d bytes pass whole; gossip needs %d", size, gossipSize)
}
