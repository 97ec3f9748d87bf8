package rpcnet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// An extension is what a package of this module adds to an endpoint: see package
// extend.
type extension = hook.Extension[ServerFunc, Peer]

// A bridge is what packages of this module may do with an endpoint and users may
// not. Package extend calls its methods. They are here, and not methods of Endpoint,
// so that the page of this package has what its users need.
type bridge struct{}

// Package extend asserts the bridge to the interface that it calls.
func init() { hook.Endpoint = bridge{} }

// Extend adds x until remove is called or the endpoint closes.
func (bridge) Extend(ep *Endpoint, x extension) (remove func(), err error) {
	return ep.extensions.add(ep, x)
}

// Dial opens a TLS connection for another protocol.
func (bridge) Dial(ctx context.Context, ep *Endpoint, addr, alpn string, config *DialConfig) (net.Conn, Peer, error) {
	cfg := config.withDefaults(ep.cfg)
	return dialTLS(ctx, ep.source, addr, &cfg, alpn)
}

// WritePacket sends one UDP datagram from the endpoint's port. It does not block for
// the peer, and keeps b no longer than the call.
func (bridge) WritePacket(ep *Endpoint, b []byte, to netip.AddrPort) (int, error) {
	// A socket for both IP versions takes IPv4 addresses only in the form of IPv6.
	if addr := ep.udp.LocalAddr().(*net.UDPAddr); addr.IP.To4() == nil && to.Addr().Is4() {
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	return ep.udp.WriteToUDPAddrPort(b, to)
}

// Reserve counts what an extension keeps for a peer in the endpoint's memory budget,
// under the name what, until release is called. Beyond the peer's share or the whole
// budget it returns an error with CodeResourceExhausted. release is idempotent.
func (bridge) Reserve(ep *Endpoint, peer Peer, what string, bytes int64) (release func(), err error) {
	if bytes < 0 {
		return nil, errors.New("rpcnet: Reserve of a negative number of bytes")
	}
	kind := ep.budget.Kind(what)
	a := ep.budget.Open(peer.key())
	defer a.Close()
	if err := a.Take(kind, bytes); err != nil {
		return nil, NewError(CodeResourceExhausted, err.Error()).WithUnprocessed()
	}
	return sync.OnceFunc(func() { a.Give(kind, bytes) }), nil
}

// Roles returns the endpoint's rules.
func (bridge) Roles(ep *Endpoint) Roles { return ep.cfg.Roles }

// Allow asks for a role.
func (bridge) Allow(r Roles, p Peer, asked role.Role) error { return r.check(p, asked) }

// AllowServer asks for a role of a server that was dialled.
func (bridge) AllowServer(r Roles, p Peer, asked role.Role) error { return r.checkServer(p, asked) }

// Ticket returns the ticket that a call has brought, nil if it has brought none. It is
// [CallOptions].Ticket. The caller must not change it.
func (bridge) Ticket(c *ServerCall) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ticket != nil {
		return c.ticket
	}
	return []byte(c.header.Get(ticketKey))
}

// TellLoad sends a report with the end of a call that succeeds. The handler has
// returned, and the goroutine is still its own. report is copied.
func (bridge) TellLoad(c *ServerCall, report []byte) {
	c.mu.Lock()
	trailer := c.trailer
	c.mu.Unlock()
	if trailer != nil {
		c.SetTrailer(loadKey, string(report))
		return
	}
	if c.stream.load == nil {
		c.stream.load = getBuffer()
	}
	c.stream.load.b = append(c.stream.load.b[:0], report...)
}

// EndCall ends the context of a call that is being served, with a cause.
func (bridge) EndCall(c *ServerCall, cause error) { c.cancel(cause) }

// extensions are what packages of this module have added to an endpoint.
//
// Calls and connections do not look at the extensions themselves, but at wired, what
// they come to, which is made anew with each change and read without a lock. So a
// change takes effect for the next call and the next connection; those that run
// keep what they began with.
type extensions struct {
	system  *Server    // their procedures
	control ServerFunc // around the calls of those; nil: nothing
	wired   atomic.Pointer[wired]

	mu     sync.Mutex // guards what follows
	closed bool       // the endpoint is closed
	added  map[*extension]bool
}

// init puts the control interceptors around the procedures to come.
func (e *extensions) init(control []func(next ServerFunc) ServerFunc) {
	e.system, e.added = NewServer(&ServerConfig{NoDescribe: true}), map[*extension]bool{}
	if len(control) > 0 {
		e.control = callEntry
	}
	for _, i := range slices.Backward(control) {
		e.control = i(e.control)
	}
	e.wireLocked()
}

// callEntry calls the handler of a call's entry: what is innermost around a call.
func callEntry(ctx context.Context, spec *Spec, s ServerStream) error {
	return ServerCallFrom(ctx).entry.handler(ctx, spec, s)
}

// all returns the extensions. Their order is not defined. The caller runs their functions
// without mu, because an extension can remove itself.
func (e *extensions) all() []*extension {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.added))
}

// close lets no more extensions be added, and returns those that there are.
func (e *extensions) close() []*extension {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	return e.all()
}

// add adds x to ep, whose extensions these are, until remove is called or ep closes.
func (e *extensions) add(ep *Endpoint, x extension) (remove func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errEndpointClosed
	}
	// All checks come first: an extension is added whole or not at all.
	for alpn := range x.Protocols {
		if alpn == "" || alpn == protocol {
			return nil, fmt.Errorf("rpcnet: protocol %q cannot be added", alpn)
		}
		for o := range e.added {
			if _, taken := o.Protocols[alpn]; taken {
				return nil, fmt.Errorf("rpcnet: protocol %q is taken by another extension", alpn)
			}
		}
	}
	for o := range e.added {
		switch {
		case x.Packet != nil && o.Packet != nil:
			return nil, errors.New("rpcnet: another extension receives packets already")
		case x.HTTP != nil && o.HTTP != nil:
			return nil, errors.New("rpcnet: another extension serves HTTP already")
		}
	}
	if x.Identity != (wire.Identity{}) {
		if err := Target(x.Identity).validate(); err != nil {
			return nil, err
		}
		for o := range e.added {
			if o.Identity != (wire.Identity{}) {
				return nil, fmt.Errorf("rpcnet: the endpoint is %s already", Target(o.Identity))
			}
		}
	}
	var names []string
	entries := make([]*entry, len(x.Procedures))
	for i, m := range x.Procedures {
		entries[i] = e.system.entry(m.Spec, m.Handler)
		entries[i].system, entries[i].role = true, m.Role
		names = append(names, m.Spec.Procedure)
	}
	// The procedures are the last that can fail.
	if err := e.system.add(entries...); err != nil {
		return nil, fmt.Errorf("rpcnet: %w", err)
	}
	// The address of the parameter tells this extension from others with equal fields.
	e.added[&x] = true
	e.wireLocked()
	if x.Identity != (wire.Identity{}) {
		logRoles(ep)
	}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.added[&x] {
			delete(e.added, &x)
			e.system.remove(names...)
			e.wireLocked()
		}
	}, nil
}

// wireLocked derives what the hot paths need from the extensions. mu is held.
func (e *extensions) wireLocked() {
	w := &wired{protocols: map[string]hook.Protocol[Peer]{}, alpn: []string{protocol}}
	for x := range e.added {
		for alpn, p := range x.Protocols {
			w.protocols[alpn] = p
			w.alpn = append(w.alpn, alpn)
		}
		if x.Identity != (wire.Identity{}) {
			w.identity = Target(x.Identity)
		}
		if x.Packet != nil {
			w.packet = x.Packet
		}
		if x.HTTP != nil {
			w.http = x.HTTP
		}
		// Each extension is around those before it; which comes first is not defined.
		if x.Interceptor != nil {
			next := w.interceptor
			if next == nil {
				next = callEntry
			}
			w.interceptor = x.Interceptor(next)
		}
	}
	e.wired.Store(w)
}

// wired is what the extensions of an endpoint come to: which protocols a handshake
// offers and who runs them, the node that the endpoint is, who gets datagrams and HTTP, and
// what is around the calls of the user's server. It is immutable.
type wired struct {
	alpn        []string
	protocols   map[string]hook.Protocol[Peer]
	identity    Target
	packet      func([]byte, netip.AddrPort)
	http        func(*tls.Conn, Peer) // nil: HTTP is not served
	interceptor ServerFunc            // nil: none
}

// logRoles tells at the start of a node which roles are in force.
func logRoles(ep *Endpoint) {
	self := ep.Self()
	var own []string
	for of := range role.Count {
		if ep.cfg.Roles.check(self, of) == nil {
			own = append(own, of.String())
		}
	}
	ep.cfg.Logger.Info("roles in force", "certificate", loglimit.Cut(self.ID), "may_be", strings.Join(own, ","), "roles", ep.cfg.Roles)
	if why := ep.cfg.Roles.openWorker(self); why != "" {
		ep.cfg.Logger.Warn("any certificate for servers may be a worker: set rpcnet.EndpointConfig.Roles, or use certificates that state a role", "because", why)
	}
}
