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

// HandshakeTimeout limits a TLS handshake, on either side.
const HandshakeTimeout = 10 * time.Second

// ErrProtocol is wrapped by the error of [Accept] if the client offers none of the
// protocols (ALPN) that are served.
var ErrProtocol = errors.New("no common protocol")

// Accept runs the server's side of a handshake on c for one of the protocols that
// accept says, with the credentials of source. It sets accept.Proved itself. It owns c,
// and closes it on an error. The handshake takes at most [HandshakeTimeout].
func Accept(ctx context.Context, c net.Conn, source *credentials.Source, accept credentials.Accept) (*Conn, error) {
	if !awaitBytes(c, HandshakeTimeout) { // a silent connection gets no TLS state
		c.Close()
		return nil, errSilent
	}
	tune(c)
	conn := newConn(c)
	// The client's list is noted: crypto/tls does not keep it.
	var wanted []string
	hello := accept.Hello
	accept.Hello = func(h *tls.ClientHelloInfo) {
		wanted = h.SupportedProtos
		conn.plain = accept.Plain(wanted)
		if hello != nil {
			hello(h)
		}
	}
	accept.Proved = conn.proved
	conn.Conn = tls.Server(conn.raw, source.ServerConfigFor(accept))
	ctx, cancel := context.WithTimeout(ctx, HandshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		c.Close()
		// crypto/tls reports a wrong protocol with a text of its own: say both lists.
		alpn := accept.ALPN
		if conn.plain {
			alpn = slices.Concat(alpn, credentials.HTTPProtocols)
		}
		served := func(p string) bool { return slices.Contains(alpn, p) }
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, served) {
			wanted = wanted[:min(len(wanted), maxWanted)]
			err = fmt.Errorf("%w: the client wants %q, %q are served", ErrProtocol, wanted, alpn)
		}
		return nil, cutError{err}
	}
	conn.raw.handshakeDone() // from here on the session limits what the peer sends
	return conn, nil
}

// A cutError is an error whose text can come from a peer: the error about a
// certificate for other names lists all of them. Error cuts the text to a length for
// logs; the error inside is whole.
type cutError struct{ error }

// Error returns the text, cut.
func (e cutError) Error() string { return loglimit.Cut(e.error.Error()) }

// Unwrap returns the whole error, for [errors.Is] and [errors.As].
func (e cutError) Unwrap() error { return e.error }

// errSilent is the error of a handshake in which the peer sends nothing. It wraps
// io.EOF, as the errors of port scans and health checks do.
var errSilent = fmt.Errorf("the peer says nothing: %w", io.EOF)

// maxWanted is how many of the protocols that a client offers an error lists.
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
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // hctx ended, not the caller's
			err = fmt.Errorf("no TLS handshake within %v", HandshakeTimeout)
		}
		return nil, cutError{err}
	}
	conn.raw.handshakeDone()
	return conn, nil
}

// tune turns TCP keepalive off: the session's own PING finds a dead peer sooner, and
// measures the peer's process and not only its system.
func tune(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetKeepAlive(false)
	}
}
