package tlsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// HandshakeTimeout bounds a TLS handshake.
const HandshakeTimeout = 10 * time.Second

// ErrProtocol says that a client wants none of the protocols that are served.
var ErrProtocol = errors.New("no common protocol")

// Accept runs the server's side of a handshake on c for one of the protocols
// alpn, with the credentials of source. It owns c, and closes it on an error.
// hello, if not nil, is called when the client has said what it wants. The
// handshake takes at most [HandshakeTimeout].
func Accept(ctx context.Context, c net.Conn, source *credentials.Source, alpn []string, hello func()) (*Conn, error) {
	if !awaitBytes(c, HandshakeTimeout) { // nothing is made for who says nothing
		c.Close()
		return nil, errSilent
	}
	tune(c)
	conn := newConn(c)
	var wanted []string
	conn.Conn = tls.Server(conn.raw, source.ServerConfigFor(alpn, func(h *tls.ClientHelloInfo) {
		wanted = h.SupportedProtos
		if hello != nil {
			hello()
		}
	}, conn.proved))
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		c.Close()
		served := func(p string) bool { return slices.Contains(alpn, p) }
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, served) {
			wanted = wanted[:min(len(wanted), maxWanted)]
			err = fmt.Errorf("%w: the client wants %q, %q are served", ErrProtocol, wanted, alpn)
		}
		return nil, cutError{err}
	}
	conn.raw.handshakeDone()
	return conn, nil
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

// Dial connects to addr, a host and a port, for one of the protocols alpn, with
// the credentials of source. The server's certificate must carry what want says.
// ctx limits the whole, [HandshakeTimeout] the handshake.
func Dial(ctx context.Context, addr string, source *credentials.Source, want credentials.Want, alpn []string) (*Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tune(c)
	conn := newConn(c)
	conn.Conn = tls.Client(conn.raw, source.ClientConfigFor(want, alpn, conn.proved))
	hctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(hctx); err != nil {
		c.Close()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("no TLS handshake within %v", HandshakeTimeout)
		}
		return nil, cutError{err}
	}
	conn.raw.handshakeDone()
	return conn, nil
}

// tune leaves liveness to the session's own PING.
func tune(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAlive(false)
	}
}
