package link

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// Bind opens TCP and UDP on the same port of addr. With port 0 it looks for
// one that both have free. The zone of an IPv6 address is kept, also where the
// system does not tell it with the address that was bound.
func Bind(addr string) (net.Listener, *net.UDPConn, error) {
	const tries = 32
	for i := 1; ; i++ {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		a := *l.Addr().(*net.TCPAddr)
		host, port, _ := net.SplitHostPort(addr)
		if ip, err := netip.ParseAddr(host); err == nil && a.IP.IsLinkLocalUnicast() {
			a.Zone = cmp.Or(a.Zone, ip.Zone())
		}
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: a.IP, Port: a.Port, Zone: a.Zone})
		if err == nil {
			return listener{l, &a}, u, nil
		}
		l.Close()
		if port != "0" || i == tries {
			return nil, nil, err
		}
	}
}

// A listener is one whose address is known better than the system tells it.
type listener struct {
	net.Listener
	addr net.Addr
}

func (l listener) Addr() net.Addr { return l.addr }

// HandshakeTimeout bounds a TLS handshake.
const HandshakeTimeout = 10 * time.Second

// ErrProtocol says that a client wants none of the protocols that are served.
var ErrProtocol = errors.New("no common protocol")

// Accept runs the server's side of a handshake on c, which it owns, for one of
// the protocols alpn. hello, if not nil, is called when the client has said what
// it wants.
func (s *Source) Accept(ctx context.Context, c net.Conn, alpn []string, hello func()) (*Lane, error) {
	if !awaitBytes(c, HandshakeTimeout) { // nothing is made for who says nothing
		c.Close()
		return nil, errSilent
	}
	tune(c)
	raw := newGathered(c)
	lane := &Lane{raw: raw}
	var wanted []string
	lane.Conn = tls.Server(raw, s.serverConfig(alpn, func(h *tls.ClientHelloInfo) {
		wanted = h.SupportedProtos
		if hello != nil {
			hello()
		}
	}, lane.proved))
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	if err := lane.HandshakeContext(ctx); err != nil {
		c.Close()
		served := func(p string) bool { return slices.Contains(alpn, p) }
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, served) {
			wanted = wanted[:min(len(wanted), maxWanted)]
			err = fmt.Errorf("%w: the client wants %q, %q are served", ErrProtocol, wanted, alpn)
		}
		return nil, cutError{err}
	}
	raw.handshakeDone()
	return lane, nil
}

// A cutError is an error whose text may be a peer's: a certificate that is for
// other names is told with all of them.
type cutError struct{ error }

func (e cutError) Error() string { return loglimit.Cut(e.error.Error()) }
func (e cutError) Unwrap() error { return e.error }

// errSilent is how a handshake ends that does not begin. It is io.EOF as well:
// so do port scans and health checks.
var errSilent = fmt.Errorf("the peer says nothing: %w", io.EOF)

// maxWanted is how many of the protocols that a client wants an error tells.
const maxWanted = 8

// Dial opens a lane to addr, a host and a port, for one of the protocols alpn.
// The server's certificate must be for whom want says.
func (s *Source) Dial(ctx context.Context, addr string, want Want, alpn []string) (*Lane, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tune(c)
	raw := newGathered(c)
	lane := &Lane{raw: raw}
	lane.Conn = tls.Client(raw, s.clientConfig(want, alpn, lane.proved))
	hctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	if err := lane.HandshakeContext(hctx); err != nil {
		c.Close()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("no TLS handshake within %v", HandshakeTimeout)
		}
		return nil, cutError{err}
	}
	raw.handshakeDone()
	return lane, nil
}

// tune leaves liveness to the session's own PING.
func tune(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAlive(false)
	}
}

// Unmap returns an address with an IPv4 address in its short form.
func Unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
