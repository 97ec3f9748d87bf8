package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
)

const (
	// headerTimeout is how long a caller may take to send the
	// header of a request.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection may have no request.
	idleTimeout = 60 * time.Second
	// maxHeader is the size of a header, in bytes.
	maxHeader = 16 << 10
	// maxStreams is how many requests run on one connection of
	// HTTP/2.
	maxStreams = 100
	// maxConns is how many connections there are, and a quarter
	// of it from one address. It is less where the process has
	// few descriptors.
	maxConns = 4096
)

// A served is a bridge on an endpoint: the listener from which
// net/http takes connections, and their number. It hands over TLS
// connections as they are, since net/http finds HTTP/2 by their
// type.
type served struct {
	ep      *rpcnet.Endpoint
	callers *callers
	lines   *loglimit.Limiter
	conns   chan net.Conn
	done    chan struct{}
	close   func() // closes done, once
	max     int

	mu        sync.Mutex // guards what follows
	open      map[net.Conn]netip.Prefix
	sources   map[netip.Prefix]int
	certified map[net.Conn]*certified // nil: by a token alone
}

// Serve answers requests of HTTP on the port of ep, beside its
// sessions, until stop is called or ep closes. A client of HTTP
// is one that offers none of the endpoint's own protocols in its
// TLS handshake; it may show a certificate, which is verified as
// that of a session is and replaces a token. Certificates may
// call; those of administrators (by rpcnet.Roles) may do
// everything.
//
// When ep shuts down, /readyz answers 503, streams of events that
// can resume are closed so that their callers come again
// elsewhere, and other requests may finish. A bridge is on one
// endpoint at most, and an endpoint has one bridge.
func (b *Bridge) Serve(ep *rpcnet.Endpoint) (stop func(), err error) {
	s := &served{
		ep: ep, callers: b.callers, lines: b.lines, conns: make(chan net.Conn), done: make(chan struct{}), max: min(maxConns, max(8, tlsconn.MaxDescriptors()/4)),
		open: map[net.Conn]netip.Prefix{}, sources: map[netip.Prefix]int{}, certified: map[net.Conn]*certified{},
	}
	s.close = sync.OnceFunc(func() { close(s.done) })
	// The guard and the rules of callers look at the endpoint
	// from here on.
	if !b.served.CompareAndSwap(nil, s) {
		return nil, errors.New("bridge: the bridge is on an endpoint already")
	}
	server := &http.Server{
		Handler: b, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReadFrameSize: 16 << 10, WriteByteTimeout: b.cfg.WriteTimeout, SendPingTimeout: idleTimeout},
		ConnContext: s.context, ConnState: s.state, ErrorLog: log.New(logWriter{b.lines}, "", 0),
	}
	// Closed when all requests have ended, after the endpoint has
	// begun to drain.
	idle := make(chan struct{})
	remove, err := extend.Endpoint(ep, extend.Extension{
		HTTP: s.take,
		Drain: func(ctx context.Context) {
			b.drain()
			// net/http waits for requests that run; sessions
			// drain meanwhile.
			go func() {
				defer close(idle)
				server.Shutdown(ctx)
			}()
		},
		// Sessions and requests end side by side, within the time
		// of Shutdown.
		Idle: func(ctx context.Context) {
			select {
			case <-idle:
			case <-ctx.Done():
			}
		},
		Close: func() { server.Close() },
	})
	if err != nil {
		b.served.Store(nil)
		return nil, err
	}
	go server.Serve(s)
	return func() {
		remove()
		server.Close()
	}, nil
}

// take hands a connection to net/http, or closes it if there are
// too many. It runs on the goroutine of the handshake, whose
// place is free again.
func (s *served) take(conn *tls.Conn, peer rpcnet.Peer) {
	// The rules are functions of the program: this goroutine can wait for
	// them, and holds no lock.
	who := s.callers.certify(s.ep, peer)
	if why := s.admit(conn, peer, who); why != "" {
		s.lines.Log(slog.LevelWarn, "connections", "bridge: refused a connection", "addr", peer.Addr, "because", why)
		conn.NetConn().Close() // without the alert of TLS, which would wait for room
		return
	}
	// Accept takes it at once, since net/http does nothing
	// between two calls of Accept.
	select {
	case s.conns <- conn:
	case <-s.done:
		s.release(conn)
		conn.NetConn().Close()
	}
}

// admit takes a place for a connection. The limit for one source
// keeps strangers from taking all places. Behind a proxy all
// callers are one source: a quarter of 4096 is more than a proxy
// keeps open. It returns why there is none, "" if there is.
func (s *served) admit(conn net.Conn, peer rpcnet.Peer, who *certified) (why string) {
	source := tlsconn.SourceOf(peer.Addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.open) >= s.max:
		return "too many connections of HTTP"
	case s.sources[source] >= max(1, s.max/4):
		return "too many connections of HTTP from its address"
	}
	// net/http gives the place back, by state.
	s.open[conn], s.certified[conn] = source, who
	s.sources[source]++
	return ""
}

// release gives a place back.
func (s *served) release(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	source, ok := s.open[conn]
	if !ok {
		return
	}
	delete(s.open, conn)
	delete(s.certified, conn)
	// A source without connections takes no memory.
	if s.sources[source]--; s.sources[source] == 0 {
		delete(s.sources, source)
	}
}

// context is called by net/http once for each connection, before
// its first request. It adds who is at the other end of a
// connection to the contexts of its requests.
func (s *served) context(ctx context.Context, conn net.Conn) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if who := s.certified[conn]; who != nil {
		ctx = context.WithValue(ctx, certifiedKey{}, who)
	}
	return ctx
}

// state gives the place of a connection back when it has closed.
func (s *served) state(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		s.release(conn)
	}
}

// Accept, Close and Addr make it a net.Listener, for net/http.
// What comes has finished its handshake, within the endpoint's
// limits: net/http finds that done.
func (s *served) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *served) Close() error {
	s.close()
	return nil
}

func (s *served) Addr() net.Addr { return s.ep.Addr() }

// A logWriter takes the lines of net/http, which peers cause.
// They say that a client spoke no HTTP, or went away: nothing
// that an operator can change.
type logWriter struct{ lines *loglimit.Limiter }

// Write logs a line.
func (l logWriter) Write(p []byte) (int, error) {
	l.lines.Log(slog.LevelDebug, "http", "bridge: net/http", "line", strings.TrimSpace(string(p)))
	return len(p), nil
}
