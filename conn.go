package rpcnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// The states of a Conn:
//
//	dialling --connected--> ready --lost or server drains--> dialling, after a pause
//	    \___________________  Close  __________________/ --> closed
//
// current says which: a session that takes calls, or nil. Calls read it without a
// lock; maintain alone moves it, and every change closes the channel that waiting
// calls look at. A session of a server that drains is no longer current, but stays
// open for its calls until the last has ended (leave).

// A Conn is a [Transport] to one address. It connects again by itself when the
// connection is lost or the server drains, after 50 ms at first, up to 2 s
// apart; meanwhile calls fail at once with CodeUnavailable, unless they wait
// ([CallOptions].WaitForReady). All methods are safe for concurrent use.
//
// Its goroutines: one watches the session and dials, and one for each session
// that the server drains waits for the calls still on it. All end with Close.
type Conn struct {
	addr    string
	cfg     DialConfig
	source  *credentials.Source
	session session.Config
	budget  *budget.Budget // of the endpoint; nil: none
	onClose func()         // runs once

	current atomic.Pointer[connected] // nil: not connected

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of current
	lastErr error         // of the last attempt to connect
	peer    Peer          // of the last connection

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	done chan struct{} // the goroutines have ended

	leaving sync.WaitGroup // sessions that the server drains
}

// connected is a session that takes calls.
type connected struct {
	*session.Session
	peer Peer
}

// Back-off between attempts to connect: doubling, half of it random. A
// connection that lasted for less than lastBackoff counts as a failed attempt.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
	// attemptTimeout bounds one attempt in the background.
	attemptTimeout = 5 * time.Second
)

// Dial connects to the endpoint at addr, a host and a port, with credentials
// of its own: for programs without an endpoint. It returns when the server has
// accepted the connection. The Conn must be closed. A nil config means every
// default; it is copied.
func Dial(ctx context.Context, addr string, creds Credentials, config *DialConfig) (*Conn, error) {
	cfg := config.withDefaults((*EndpointConfig)(nil).withDefaults())
	source, err := creds.open(cfg.Logger, false)
	if err != nil {
		return nil, fmt.Errorf("rpcnet: %w", err)
	}
	c, err := newConn(ctx, addr, cfg, source, session.Config{}, nil, func() { source.Close() })
	if err != nil {
		source.Close()
	}
	return c, err
}

// dialled are the connections that an endpoint has made. Closing the endpoint closes
// them; a connection that the program closes earlier removes itself.
type dialled struct {
	mu     sync.Mutex // guards what follows
	closed bool
	conns  map[*Conn]bool
}

// add keeps c. It returns false if the endpoint is closed.
func (d *dialled) add(c *Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.conns[c] = true
	}
	return !d.closed
}

// remove drops a connection that has ended.
func (d *dialled) remove(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// close keeps no more connections, and returns those there are.
func (d *dialled) close() []*Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return slices.Collect(maps.Keys(d.conns))
}

// newConn makes a Conn, which owns neither source nor memory, and runs onClose when
// it has ended. It connects first unless the config says Lazy.
func newConn(ctx context.Context, addr string, cfg DialConfig, source *credentials.Source, base session.Config, memory *budget.Budget, onClose func()) (*Conn, error) {
	base.KeepaliveIdle, base.KeepaliveTimeout, base.WriteTimeout = cfg.KeepaliveIdle, cfg.KeepaliveTimeout, cfg.WriteTimeout
	// An endpoint's sessions check who calls; a connection that it makes checks who
	// answers instead.
	base.Identity, base.CheckPeer = cfg.Target.wire(), nil
	if want := cfg.Target; want != (Target{}) {
		base.CheckPeer = func(got wire.Identity) error { return want.check(Target(got)) }
	}
	c := &Conn{
		addr: addr, cfg: cfg, source: source, session: base, budget: memory, onClose: onClose,
		changed: make(chan struct{}), done: make(chan struct{}), lastErr: errors.New("not connected yet"),
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("rpcnet: address %q: want host:port", addr)
	}
	if err := cfg.Target.validate(); err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	if !cfg.Lazy {
		if err := c.connect(ctx); err != nil {
			c.stop()
			return nil, err
		}
	}
	go c.maintain()
	return c, nil
}

// connect makes one attempt. Success and failure are both noted with set: calls that
// wait go on, or take the error as the reason why there is no server.
func (c *Conn) connect(ctx context.Context) error {
	conn, peer, err := dialTLS(ctx, c.source, c.addr, &c.cfg, protocol)
	if err == nil {
		var s *session.Session
		s, err = c.begin(conn, peer)
		if err == nil {
			c.set(&connected{s, peer}, nil)
			return nil
		}
	}
	e := Errorf(CodeUnavailable, "cannot connect to %s: %v", c.addr, err).WithCause(err).WithUnprocessed()
	c.set(nil, e)
	return e
}

// begin makes the session on a TLS connection, which it owns.
func (c *Conn) begin(conn *tlsconn.Conn, peer Peer) (*session.Session, error) {
	cfg := c.session
	// What the server sends counts in the endpoint's budget, as what callers send does.
	if c.budget != nil {
		var err error
		if cfg.Account, err = session.Charge(c.budget, peer.key()); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return session.New(conn, cfg, settingsTimeout, nil)
}

// dialTLS opens a TLS connection to addr, to a server that cfg agrees with.
func dialTLS(ctx context.Context, source *credentials.Source, addr string, cfg *DialConfig, alpn string) (*tlsconn.Conn, Peer, error) {
	want := credentials.Want{Names: cfg.ServerNames, Rule: cfg.VerifyPeer != nil}
	// A name is always asked for: without one, every certificate of the authorities would
	// do for every address.
	if len(want.Names) == 0 {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, Peer{}, fmt.Errorf("address %q: want host:port", addr)
		}
		want.Names = []string{host}
	}
	conn, err := tlsconn.Dial(ctx, addr, source, want, []string{alpn})
	if err != nil {
		return nil, Peer{}, err
	}
	peer := peerOf(conn)
	// The program's check comes last, about a peer whose certificate is good.
	if cfg.VerifyPeer != nil {
		if err := cfg.VerifyPeer(peer); err != nil {
			conn.Close()
			return nil, Peer{}, err
		}
	}
	return conn, peer, nil
}

// set notes a change: a session that takes calls, or none and why. Calls that wait
// for a session look again.
func (c *Conn) set(s *connected, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.lastErr = err
	}
	// Nothing has changed for those who wait: a failed attempt after another one.
	if s == nil && c.current.Load() == nil {
		return
	}
	if s != nil {
		c.peer = s.peer
	}
	c.current.Store(s)
	close(c.changed)
	c.changed = make(chan struct{})
}

// maintain keeps the connection until Close, on a goroutine of its own. After Dial has
// returned it alone connects, so that there is one session that takes calls at most.
func (c *Conn) maintain() {
	defer close(c.done)
	backoff := firstBackoff
	for c.ctx.Err() == nil {
		if s := c.current.Load(); s != nil {
			since := time.Now()
			c.watch(s)
			// A connection that lasted is dialled again at once. One that is lost again and
			// again counts as failed attempts, or the two sides would do nothing but
			// handshakes.
			if time.Since(since) > lastBackoff {
				backoff = firstBackoff
				continue
			}
		} else if c.reconnect() {
			continue
		}
		// Half of the pause is random, so that the callers of a server that restarts do not
		// come back in the same moment.
		pause := time.NewTimer(backoff/2 + rand.N(backoff/2+1))
		backoff = min(2*backoff, lastBackoff)
		select {
		case <-pause.C:
		case <-c.ctx.Done():
		}
		pause.Stop()
	}
	if s := c.current.Load(); s != nil {
		s.Close()
	}
	// onClose comes last, when no session of this Conn is left.
	c.set(nil, errConnClosed)
	c.leaving.Wait()
	c.onClose()
}

// reconnect makes one attempt in the background. It reports whether it succeeded. A
// failure is no warning in the log: calls that fail meanwhile carry the reason.
func (c *Conn) reconnect() bool {
	ctx, cancel := context.WithTimeout(c.ctx, attemptTimeout)
	defer cancel()
	err := c.connect(ctx)
	if err != nil {
		c.cfg.Logger.Debug("cannot connect", "addr", c.addr, "err", err)
	}
	return err == nil
}

// watch waits until a session takes no more calls.
func (c *Conn) watch(s *connected) {
	select {
	case <-s.Closed():
		c.cfg.Logger.Debug("connection lost", "addr", c.addr, "err", s.Err())
		c.set(nil, fmt.Errorf("connection lost: %w", s.Err()))
	// The server drains: its calls go on there, new ones need another session.
	case <-s.GoingAway():
		c.cfg.Logger.Debug("server is going away", "addr", c.addr)
		c.set(nil, errors.New("the server is draining"))
		c.leaving.Go(func() { c.leave(s) })
	case <-c.ctx.Done():
	}
}

// errConnClosed is the error of calls after Close.
var errConnClosed = NewError(CodeUnavailable, "the connection is closed").WithUnprocessed()

// leave closes a session that the server wants to end when its last call has
// ended, or with the Conn.
func (c *Conn) leave(s *connected) {
	stop := context.AfterFunc(c.ctx, s.Close)
	<-s.Drain() // closed by Close as well
	stop()
	s.Close()
}

// ready returns the session that takes calls, or waits for one if wait is set.
func (c *Conn) ready(ctx context.Context, wait bool) (*connected, error) {
	for {
		// This is the only step of a call on a connection that is up.
		if s := c.current.Load(); s != nil {
			return s, nil
		}
		// The channel is taken before the second look, so that no change is missed.
		c.mu.Lock()
		changed, last := c.changed, c.lastErr
		c.mu.Unlock()
		if c.current.Load() != nil {
			continue
		}
		// Closed comes before the last error: it is final.
		if c.ctx.Err() != nil {
			return nil, errConnClosed
		}
		if !wait {
			var e *Error
			if errors.As(last, &e) {
				return nil, e
			}
			return nil, Errorf(CodeUnavailable, "not connected to %s: %v", c.addr, last).WithUnprocessed()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, contextError(ctx)
		case <-c.ctx.Done():
		}
	}
}

// Close ends the connection at once; calls in flight fail. It waits for the
// connection's goroutines. It is idempotent and always returns nil.
func (c *Conn) Close() error {
	c.stop()
	<-c.done
	return nil
}

// Addr returns the address that was dialled.
func (c *Conn) Addr() string { return c.addr }

// Peer returns the server, as of the last connection; zero before the first.
func (c *Conn) Peer() Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

// Ready reports whether there is a connection, and returns a channel that is
// closed when that changes.
func (c *Conn) Ready() (ready bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.Load() != nil, c.changed
}

// ConnStats are numbers of a connection at one moment, from [Conn.Stats]. They are all
// 0 while there is no session; those of an endpoint are [Stats].
type ConnStats struct {
	InFlight int   // calls that have not ended
	Queued   int   // calls that wait because the server's limit of streams is reached
	Buffered int64 // bytes received and not taken
	Unread   int64 // of them, those of whole messages that wait for a Recv
	Blocked  int   // senders that wait: the server has given no credit, or the network is slow
}

// Stats returns the connection's numbers of this moment.
func (c *Conn) Stats() ConnStats {
	if s := c.current.Load(); s != nil {
		return ConnStats{s.InFlight(), s.Queued(), s.Buffered(), s.Unread(), s.Blocked()}
	}
	return ConnStats{}
}

// InProcess connects to a server in the same process, without a network: for
// tests, and for programs that are a client and a server in one. Calls behave as
// they do between machines, because it is the same protocol over a pipe: messages
// are encoded and copied, limits, deadlines, cancellation and flow control hold.
//
// There are no certificates: [ServerCall.Peer] is empty, and roles are not asked
// for. There is no drain and no connection to lose, either: [ServerCall.Draining]
// is never closed, and what was closed stays so, also for calls with
// [CallOptions].WaitForReady. The connection must be closed, which fails the calls in
// flight. It works inside a testing/synctest bubble.
func InProcess(srv *Server) *Conn {
	// Both ends run the protocol of a real connection, with each its own reader and
	// writer.
	near, far := tlsconn.Pipe()
	pool, lines := new(session.Pool), loglimit.New(slog.Default())
	d := &dispatcher{host: new(host), lines: lines, find: srv.lookup, outer: func(*entry) ServerFunc { return nil }}
	// The two sides exchange SETTINGS, so neither can be made before the other begins.
	served := make(chan *session.Session)
	go func() {
		cfg := session.Config{Handler: d, Pool: pool, KeepaliveIdle: -1, Encodings: 1<<codegen.EncodingCBOR | 1<<codegen.EncodingJSON | 1<<codegen.EncodingProto}
		// A pipe inside the process does not fail.
		s, _ := session.New(far, cfg, settingsTimeout, func(s *session.Session) { d.host.draining = s.Drained() })
		served <- s
	}()
	client, _ := session.New(near, session.Config{KeepaliveIdle: -1}, settingsTimeout, nil)
	server := <-served
	c := &Conn{addr: "in process", cfg: DialConfig{Logger: slog.Default()}, changed: make(chan struct{}), done: make(chan struct{})}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.current.Store(&connected{Session: client})
	go func() {
		defer close(c.done)
		<-c.ctx.Done()
		c.set(nil, errConnClosed)
		client.Close()
		server.Close()
		pool.Close()
		lines.Close()
	}()
	return c
}
