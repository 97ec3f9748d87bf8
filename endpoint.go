package rpcnet

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/rpcnet-go/rpcnet/internal/version"
)

// protocol is the ALPN name of sessions.
const protocol = version.ALPN

// settingsTimeout bounds the exchange of SETTINGS after the TLS handshake.
const settingsTimeout = 10 * time.Second

var errEndpointClosed = errors.New("rpcnet: the endpoint is closed")

// An Endpoint is one listening address, TCP and UDP on the same port, with the
// credentials of a node. It serves calls and dials other endpoints. All methods
// are safe for concurrent use.
//
// Its goroutines: one accepts connections, one reads datagrams, one for each
// handshake under way, and those of each session; all end with Close.
type Endpoint struct {
	cfg      EndpointConfig
	source   *credentials.Source
	listener net.Listener
	udp      *net.UDPConn
	pool     session.Pool
	budget   *budget.Budget
	system   *Server    // the methods of extensions
	control  ServerFunc // around their calls; nil: nothing
	server   atomic.Pointer[Server]
	wired    atomic.Pointer[wired]
	arrivals *admission
	lines    *loglimit.Limiter // of what peers cause
	wg       sync.WaitGroup    // accept, handshakes
	packets  chan struct{}     // closed when datagrams are read no more
	starting sync.WaitGroup    // sessions that are not in sessions yet
	base     context.Context
	stop     context.CancelFunc // ends base: handshakes

	mu          sync.Mutex
	extensions  map[*extension]bool
	sessions    map[*session.Session]*time.Timer // of callers, with what ends them at the expiry of the certificate
	perPeer     map[string]int                   // sessions of callers, also those that begin, by Peer.key
	refusals    map[string]uint64                // connections that became no session, by reason
	conns       map[*Conn]bool                   // dialled from here
	draining    bool
	closed      bool
	gone        chan struct{} // closed when all has ended
	shutdownErr error         // what Shutdown returns; immutable once gone is closed
	drained     chan struct{} // closed with draining
}

// Listen binds addr, a host and a port, for TCP and UDP, and accepts
// connections at once; calls are refused until [Endpoint.Serve]. With port 0 it
// takes a free one. creds are what the endpoint proves its identity with, for
// example [CertFiles]. A nil config means every default; it is copied.
func Listen(addr string, creds Credentials, config *EndpointConfig) (*Endpoint, error) {
	cfg := config.withDefaults()
	source, err := creds.open(cfg.Logger, true)
	if err != nil {
		return nil, fmt.Errorf("rpcnet: %w", err)
	}
	l, udp, err := tlsconn.Bind(addr)
	if err != nil {
		source.Close()
		return nil, fmt.Errorf("rpcnet: %w", err)
	}
	ep := &Endpoint{
		cfg: cfg, source: source, listener: l, udp: udp, system: NewServer(nil), control: cfg.around(),
		budget:     budget.New(cfg.MemoryBudget, cfg.PeerMemory),
		extensions: map[*extension]bool{}, sessions: map[*session.Session]*time.Timer{}, perPeer: map[string]int{}, refusals: map[string]uint64{}, conns: map[*Conn]bool{},
		lines: loglimit.New(cfg.Logger), packets: make(chan struct{}), gone: make(chan struct{}), drained: make(chan struct{}),
	}
	ep.arrivals = newAdmission(tlsconn.MaxDescriptors(), ep.budget, &ep.wg)
	ep.base, ep.stop = context.WithCancel(context.Background())
	ep.wireExtensions()
	ep.wg.Add(1)
	go ep.acceptLoop()
	go ep.packetLoop()
	return ep, nil
}

// Addr returns the address that was bound; its String is what others dial
// unless it is unspecified (0.0.0.0).
func (ep *Endpoint) Addr() net.Addr { return ep.listener.Addr() }

// Serve lets srv serve the calls that come, and waits until the endpoint is
// shut down or closed, which is no error, or until ctx ends: then it shuts the
// endpoint down itself, with [EndpointConfig].DrainTimeout, and
// returns what that returns. An endpoint serves one Server, once.
func (ep *Endpoint) Serve(ctx context.Context, srv *Server) error {
	if !ep.server.CompareAndSwap(nil, srv) {
		return errors.New("rpcnet: the endpoint serves already")
	}
	select {
	case <-ep.gone:
		return nil
	case <-ep.drained:
		<-ep.gone
		return nil
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), ep.cfg.DrainTimeout)
		defer cancel()
		return ep.Shutdown(grace)
	}
}

// find returns what serves a procedure, or nil.
func (ep *Endpoint) find(procedure string) *entry {
	if e := ep.system.lookup(procedure); e != nil {
		return e
	}
	if srv := ep.server.Load(); srv != nil {
		return srv.lookup(procedure)
	}
	return notServing
}

// outer returns what is around the calls of the user's server, and around those
// of extensions.
func (ep *Endpoint) outer(e *entry) ServerFunc {
	if e.system {
		return ep.control
	}
	if e.server != ep.server.Load() {
		return nil
	}
	return ep.wired.Load().interceptor
}

// around returns what surrounds the calls of extensions, nil if nothing does.
func (c *EndpointConfig) around() ServerFunc {
	if len(c.ControlInterceptors) == 0 {
		return nil
	}
	f := func(ctx context.Context, spec *Spec, s ServerStream) error {
		return ServerCallFrom(ctx).entry.handler(ctx, spec, s)
	}
	for _, i := range slices.Backward(c.ControlInterceptors) {
		f = i(f)
	}
	return f
}

// notServing refuses the calls of an endpoint before Serve.
var notServing = NewServer(nil).entry(&Spec{Procedure: "not serving"}, func(context.Context, *Spec, ServerStream) error {
	return NewError(CodeUnavailable, "the endpoint does not serve calls yet").WithUnprocessed()
})

// Shutdown drains the endpoint: extensions first (a cluster node leaves), then
// callers are told to go elsewhere, new calls are refused as not seen by a
// handler, handlers hear it through [ServerCall.Draining], and those that run
// may finish. When ctx ends first, what is left is cut: the handlers' contexts
// end with cause [ErrDraining], their callers have half a second to hear of it,
// and ctx's error is returned. Then it closes the endpoint. Handlers that ignore
// their context are not waited for.
//
// While one Shutdown is under way, another waits for it and returns what it
// does, or ctx's error if ctx ends first; it cuts nothing. After Close, Shutdown
// does nothing.
func (ep *Endpoint) Shutdown(ctx context.Context) error {
	ep.mu.Lock()
	if ep.draining || ep.closed {
		ep.mu.Unlock()
		select {
		case <-ep.gone:
		case <-ctx.Done():
			select {
			case <-ep.gone:
			default:
				return ctx.Err()
			}
		}
		return ep.shutdownErr
	}
	ep.draining = true
	close(ep.drained)
	var drains []func(context.Context)
	for x := range ep.extensions {
		if x.Drain != nil {
			drains = append(drains, x.Drain)
		}
	}
	ep.mu.Unlock()
	for _, f := range drains {
		ep.drain(ctx, f)
	}
	ep.listener.Close()
	ep.awaitStarting(ctx)
	var wg sync.WaitGroup
	var cut atomic.Bool
	for _, s := range ep.callers() {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if !drainSession(ctx, s) {
				cut.Store(true)
			}
		}()
	}
	wg.Wait()
	var err error
	if cut.Load() {
		err = ctx.Err()
	}
	ep.close(err)
	return err
}

// drain runs an extension's Drain function, and waits for it no longer than ctx
// and a moment to notice that ctx has ended.
func (ep *Endpoint) drain(ctx context.Context, f func(context.Context)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		ep.await(done, "an extension's Drain function ignores its context")
	}
}

// awaitStarting waits for the sessions that are about to start, so that they
// drain as the others do. A peer that is slow about it is not waited for.
func (ep *Endpoint) awaitStarting(ctx context.Context) {
	started := make(chan struct{})
	go func() {
		ep.starting.Wait()
		close(started)
	}()
	limit := time.NewTimer(lingerTimeout)
	defer limit.Stop()
	select {
	case <-started:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// How long a session waits for its peer to close, so that the last answers are
// not lost to a reset: one that has drained, while the context of Shutdown
// lasts, and one that was refused or cut.
const (
	drainedLinger = 2 * time.Second
	lingerTimeout = 500 * time.Millisecond
)

// drainSession reports whether all calls of a session have finished.
func drainSession(ctx context.Context, s *session.Session) (clean bool) {
	defer s.Close()
	idle := s.Drain()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	select {
	case <-idle:
		linger(s, drainedLinger, ctx.Done())
		return true
	default:
		s.CutAll(byte(CodeUnavailable), "the server has shut down", ErrDraining)
		linger(s, lingerTimeout, nil)
		return false
	}
}

// linger waits for the peer to close, for d at most and until done is closed.
func linger(s *session.Session, d time.Duration, done <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.Closed():
	case <-t.C:
	case <-done:
	}
}

func (ep *Endpoint) callers() []*session.Session {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	all := make([]*session.Session, 0, len(ep.sessions))
	for s := range ep.sessions {
		all = append(all, s)
	}
	return all
}

// Close cuts everything at once: sessions, connections dialled from here,
// extensions' packets. It waits for its goroutines, not for handlers; for
// functions of the program and of extensions that do not return it waits 3 s
// each, and says so in the log. It is idempotent and always returns nil.
func (ep *Endpoint) Close() error {
	ep.close(nil)
	return nil
}

// close is Close after a Shutdown that ended with err.
func (ep *Endpoint) close(err error) {
	ep.mu.Lock()
	if ep.closed {
		ep.mu.Unlock()
		<-ep.gone
		return
	}
	ep.closed = true
	ep.shutdownErr = err
	conns := make([]*Conn, 0, len(ep.conns))
	for c := range ep.conns {
		conns = append(conns, c)
	}
	ep.mu.Unlock()
	ep.stop()
	ep.listener.Close()
	ep.udp.Close()
	ep.arrivals.close()
	for _, c := range conns {
		c.Close()
	}
	for _, s := range ep.callers() {
		s.Close()
	}
	ep.await(ep.packets, "an extension's Packet function has not returned")
	handshakes := make(chan struct{})
	go func() {
		ep.wg.Wait()
		close(handshakes)
	}()
	ep.await(handshakes, "a check of callers (rpcnet.EndpointConfig.Authorize, .Roles) has not returned")
	ep.pool.Close()
	ep.source.Close()
	ep.lines.Close()
	close(ep.gone)
}

// closeWait is how long Close waits for functions of the program and of
// extensions that it cannot interrupt.
const closeWait = 3 * time.Second

// await waits for done, but not for ever: what it waits for may hang.
func (ep *Endpoint) await(done <-chan struct{}, hangs string) {
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		ep.cfg.Logger.Error("the endpoint closes without waiting any longer", "because", hangs, "waited", closeWait)
	}
}

// sessionConfig returns what all sessions of the endpoint have in common.
func (ep *Endpoint) sessionConfig() session.Config {
	return session.Config{
		MaxStreams: ep.cfg.MaxConcurrentStreams, KeepaliveIdle: ep.cfg.KeepaliveIdle, KeepaliveTimeout: ep.cfg.KeepaliveTimeout,
		WriteTimeout: ep.cfg.WriteTimeout, SessionBuffer: ep.cfg.sessionBuffer(),
		Encodings: 1<<codegen.EncodingCBOR | 1<<codegen.EncodingJSON | 1<<codegen.EncodingProto,
	}
}
