package rpcnet

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// errEndpointClosed is the error of Dial and of extensions after Close.
var errEndpointClosed = errors.New("rpcnet: the endpoint is closed")

// An Endpoint is one listening address, TCP and UDP on the same port, with the
// credentials of a node. It serves calls and dials other endpoints. All methods
// are safe for concurrent use.
//
// Its goroutines: one accepts connections, one reads datagrams, one for each
// handshake under way, and those of each session; all end with Close.
//
// Its states are fields of their own types, each with its own lock. No method of one
// calls another one while it holds its lock, so their locks have no order.
type Endpoint struct {
	cfg      EndpointConfig
	source   *credentials.Source
	listener net.Listener
	udp      *net.UDPConn
	packets  chan struct{} // closed when datagrams are read no more
	pool     session.Pool
	budget   *budget.Budget
	lines    *loglimit.Limiter // of what peers cause
	server   atomic.Pointer[Server]

	arrivals   *admission // connections that are no session yet
	callers    callers    // sessions of callers
	dialled    dialled    // connections made from here
	extensions extensions // what packages of this module have added
	life       life       // how the endpoint ends
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
		cfg: cfg, source: source, listener: l, udp: udp, packets: make(chan struct{}),
		budget: budget.New(cfg.MemoryBudget, cfg.PeerMemory), lines: loglimit.New(cfg.Logger),
	}
	ep.life.init()
	ep.callers.init(cfg.PeerSessions)
	ep.dialled.conns = map[*Conn]bool{}
	ep.arrivals = newAdmission(tlsconn.MaxDescriptors(), ep.budget, &ep.life.work)
	ep.extensions.init(cfg.ControlInterceptors)
	ep.life.work.Add(1)
	// Callers may come before Serve: they are refused as not seen by a handler.
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
// returns what that returns. An endpoint serves one Server, once. A call that comes
// before Serve waits a second for it.
func (ep *Endpoint) Serve(ctx context.Context, srv *Server) error {
	if !ep.server.CompareAndSwap(nil, srv) {
		return errors.New("rpcnet: the endpoint serves already")
	}
	close(ep.life.serving)
	select {
	case <-ep.life.gone:
		return nil
	case <-ep.life.draining:
		<-ep.life.gone
		return nil
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), ep.cfg.DrainTimeout)
		defer cancel()
		return ep.Shutdown(grace)
	}
}

// find returns what serves a procedure, or nil. Procedures of extensions come first:
// a program cannot take their names.
func (ep *Endpoint) find(procedure string) *entry {
	if e := ep.extensions.system.lookup(procedure); e != nil {
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
		return ep.extensions.control
	}
	if e.server != ep.server.Load() {
		return nil
	}
	return ep.extensions.wired.Load().interceptor
}

// notServing serves the calls of an endpoint before Serve. The shape of their procedures
// is not known yet, so it is ShapeBidi, whose streams serve no second call
// ([session.ProcedureInfo].Private).
var notServing = NewServer(nil).entry(&Spec{Procedure: "not serving", Shape: codegen.ShapeBidi}, func(context.Context, *Spec, ServerStream) error {
	return NewError(CodeUnavailable, "the endpoint does not serve calls yet").WithUnprocessed()
})

// serveWait is how long a call waits for Serve. A program that serves on one goroutine
// and calls on another needs no order between them; one that never serves says so soon.
const serveWait = time.Second

// awaitServe waits until Serve has begun, for serveWait at most and not beyond the deadline
// of a call, and no longer than the endpoint takes calls.
func (ep *Endpoint) awaitServe(deadline time.Time) {
	wait := serveWait
	if !deadline.IsZero() {
		wait = min(wait, time.Until(deadline))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ep.life.serving:
	case <-ep.life.draining:
	case <-ep.life.gone:
	case <-t.C:
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

// Dial connects to the endpoint at addr, a host and a port, with this
// endpoint's credentials. It returns when the server has accepted the
// connection. The Conn is closed with the endpoint, at the latest. A nil config
// means every default; it is copied.
func (ep *Endpoint) Dial(ctx context.Context, addr string, config *DialConfig) (*Conn, error) {
	var c *Conn
	c, err := newConn(ctx, addr, config.withDefaults(ep.cfg), ep.source, ep.sessionConfig(), ep.budget, func() { ep.dialled.remove(c) })
	if err != nil {
		return nil, err
	}
	if !ep.dialled.add(c) {
		c.Close()
		return nil, errEndpointClosed
	}
	return c, nil
}

// Self returns the endpoint's own identity, as peers see it, by the certificate
// that is in use now. Its address is the one that was bound.
func (ep *Endpoint) Self() Peer {
	return newPeer(ep.Addr(), ep.source.Chain())
}

// Stats are numbers of an endpoint at one moment, from [Endpoint.Stats].
type Stats struct {
	// Sessions is how many callers are connected.
	Sessions int
	// Streams is how many calls of theirs run here.
	Streams int
	// Handshakes is how many connections have come and are no session yet.
	Handshakes int
	// Refused is how many connections became no session since the start, by
	// reason: "accept" (the system gave none), "handshakes" (given up for
	// another, too many had not finished their handshake), "handshake" (it
	// failed), "authorization" (by a rule of the program or of roles), "settings"
	// (it said nothing useful after its handshake), "limit" (of memory, of
	// sessions, of descriptors).
	Refused map[string]uint64
	// CertificateNotAfter is when the endpoint's own certificate expires, the
	// one in use now.
	CertificateNotAfter time.Time
	// CertificateRefused is why what its files hold now is not in use, "" if it is.
	// What waits there takes effect when the reason is gone; if it is still there
	// when the certificate expires, peers refuse the endpoint.
	CertificateRefused string
	// Memory is what the endpoint keeps for its peers, in bytes. What goes on at the
	// moment may make the parts differ from the whole.
	Memory struct {
		// Limit is [EndpointConfig].MemoryBudget, PeerLimit is PeerMemory.
		Limit, PeerLimit int64
		// Used is what is kept of all peers together.
		Used int64
		// ByKind divides Used: "messages" that have come and wait to be taken,
		// "unsent" bytes that wait for a peer to read, "streams", "procedure names",
		// "sessions", "handshakes", and what packages of this module have reserved by
		// their own names.
		ByKind map[string]int64
		// Peers is how many identities something is kept for, Largest the one with
		// the most of it, and LargestUsed how much that is.
		Peers       int
		Largest     string
		LargestUsed int64
	}
}

// Stats returns the endpoint's numbers of this moment. It looks at every
// session: call it for people and for metrics, not for each call.
func (ep *Endpoint) Stats() Stats {
	sessions := ep.callers.all()
	s := Stats{
		Sessions: len(sessions), Handshakes: ep.arrivals.count(), Refused: ep.arrivals.refused(),
		CertificateNotAfter: ep.source.Chain()[0].NotAfter, CertificateRefused: ep.source.Refused(), Memory: ep.budget.Stats(),
	}
	for _, c := range sessions {
		s.Streams += c.InFlight()
	}
	return s
}
