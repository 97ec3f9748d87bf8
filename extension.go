package rpcnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// An Extension adds to an endpoint what a package such as cluster needs
// beside calls: services of its own, a look at every call, other protocols on
// the same port. See [Endpoint.Extend].
type Extension struct {
	// Methods are served on every session, besides those of a [Server].
	Methods []Method
	// Interceptor, if not nil, wraps every call of a Server, outermost, but
	// not those of Methods.
	Interceptor ServerInterceptor
	// Protocols maps ALPN names to what runs a new connection of the protocol,
	// in a goroutine of its own. The function owns conn. Both sides have shown
	// certificates, Authorize has agreed, and the peer's certificate allows the
	// role that ProtocolRoles names for the protocol, by default RoleClient.
	Protocols     map[string]func(conn net.Conn, peer Peer)
	ProtocolRoles map[string]Role
	// Identity is the node that the endpoint is from now on. At most one
	// extension has one. Sessions that are meant for another are refused.
	Identity Target
	// Packet, if not nil, receives each UDP datagram on the endpoint's port
	// whose first byte is below 0x40. It runs on the reading goroutine, must
	// not block, and must not keep b.
	Packet func(b []byte, from netip.AddrPort)
	// Drain, if not nil, runs first in [Endpoint.Shutdown], before callers are
	// told to go elsewhere.
	Drain func(ctx context.Context)
}

// Extend adds x until remove is called or the endpoint closes. It fails if a
// procedure or a protocol is taken, or a second Packet is given. It may be
// called at any time from any goroutine, and so may remove, more than once.
func (ep *Endpoint) Extend(x Extension) (remove func(), err error) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.closed {
		return nil, errEndpointClosed
	}
	for alpn := range x.Protocols {
		if alpn == "" || alpn == protocol {
			return nil, fmt.Errorf("rpcnet: protocol %q cannot be added", alpn)
		}
		for e := range ep.extensions {
			if _, taken := e.Protocols[alpn]; taken {
				return nil, fmt.Errorf("rpcnet: protocol %q is taken by another extension", alpn)
			}
		}
	}
	if x.Packet != nil {
		for e := range ep.extensions {
			if e.Packet != nil {
				return nil, errors.New("rpcnet: another extension receives packets already")
			}
		}
	}
	if x.Identity != (Target{}) {
		if err := x.Identity.validate(); err != nil {
			return nil, err
		}
		for e := range ep.extensions {
			if e.Identity != (Target{}) {
				return nil, fmt.Errorf("rpcnet: the endpoint is %s already", e.Identity)
			}
		}
	}
	var names []string
	entries := make([]*entry, len(x.Methods))
	for i, m := range x.Methods {
		entries[i] = ep.system.entry(m.Spec, m.Handler)
		entries[i].system, entries[i].role = true, m.Role
		names = append(names, m.Spec.Procedure)
	}
	if err := ep.system.add(entries...); err != nil {
		return nil, fmt.Errorf("rpcnet: %w", err)
	}
	ep.extensions[&x] = true
	ep.wireExtensions()
	if x.Identity != (Target{}) {
		ep.logRoles()
	}
	return func() {
		ep.mu.Lock()
		defer ep.mu.Unlock()
		if ep.extensions[&x] {
			delete(ep.extensions, &x)
			ep.system.remove(names...)
			ep.wireExtensions()
		}
	}, nil
}

// wireExtensions derives what the hot paths need from the extensions. mu is
// held.
func (ep *Endpoint) wireExtensions() {
	w := &wired{protocols: map[string]protocolHandler{}, alpn: []string{protocol}}
	for x := range ep.extensions {
		for alpn, f := range x.Protocols {
			w.protocols[alpn] = protocolHandler{x.ProtocolRoles[alpn], f}
			w.alpn = append(w.alpn, alpn)
		}
		if x.Identity != (Target{}) {
			w.identity = x.Identity
		}
		if x.Packet != nil {
			w.packet = x.Packet
		}
		if x.Interceptor != nil {
			next := w.interceptor
			if next == nil {
				next = func(ctx context.Context, spec *Spec, s ServerStream) error {
					return ServerCallFrom(ctx).entry.handler(ctx, spec, s)
				}
			}
			w.interceptor = x.Interceptor(next)
		}
	}
	ep.wired.Store(w)
}

// wired is what the extensions of an endpoint come to.
type wired struct {
	alpn        []string
	protocols   map[string]protocolHandler
	identity    Target
	packet      func([]byte, netip.AddrPort)
	interceptor ServerFunc // nil: none
}

// A protocolHandler runs the connections of one protocol.
type protocolHandler struct {
	role Role // that the peer must have
	run  func(net.Conn, Peer)
}

// DialProtocol opens a mutually authenticated TLS 1.3 connection with the given
// ALPN name to addr. The caller owns it. Of the config only ServerNames and
// VerifyPeer have an effect.
func (ep *Endpoint) DialProtocol(ctx context.Context, addr, alpn string, config *DialConfig) (net.Conn, Peer, error) {
	cfg := config.withDefaults(ep.cfg)
	return dialLane(ctx, ep.source, addr, &cfg, alpn)
}

// WritePacket sends one UDP datagram from the endpoint's port. It waits no
// longer than the socket's buffer is full.
func (ep *Endpoint) WritePacket(b []byte, to netip.AddrPort) (int, error) {
	if addr := ep.udp.LocalAddr().(*net.UDPAddr); addr.IP.To4() == nil && to.Addr().Is4() {
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	return ep.udp.WriteToUDPAddrPort(b, to)
}
