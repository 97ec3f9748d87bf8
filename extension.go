package rpcnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// An extension is what a package of this module adds to an endpoint: see package
// extend.
type extension = hook.Extension[ServerFunc, Peer]

// A bridge is what packages of this module may do with an endpoint and users may
// not. Package extend calls its methods.
type bridge struct{}

func init() { hook.Endpoint = bridge{} }

// Extend adds x until remove is called or the endpoint closes.
func (bridge) Extend(ep *Endpoint, x extension) (remove func(), err error) { return ep.extend(x) }

// Dial opens a TLS connection for another protocol.
func (bridge) Dial(ctx context.Context, ep *Endpoint, addr, alpn string, config *DialConfig) (net.Conn, Peer, error) {
	cfg := config.withDefaults(ep.cfg)
	return dialTLS(ctx, ep.source, addr, &cfg, alpn)
}

// WritePacket sends one UDP datagram from the endpoint's port.
func (bridge) WritePacket(ep *Endpoint, b []byte, to netip.AddrPort) (int, error) {
	if addr := ep.udp.LocalAddr().(*net.UDPAddr); addr.IP.To4() == nil && to.Addr().Is4() {
		to = netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port())
	}
	return ep.udp.WriteToUDPAddrPort(b, to)
}

// Reserve counts what an extension keeps for a peer.
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

// extend adds x until remove is called or the endpoint closes.
func (ep *Endpoint) extend(x extension) (remove func(), err error) {
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
	if x.Identity != (wire.Identity{}) {
		if err := Target(x.Identity).validate(); err != nil {
			return nil, err
		}
		for e := range ep.extensions {
			if e.Identity != (wire.Identity{}) {
				return nil, fmt.Errorf("rpcnet: the endpoint is %s already", Target(e.Identity))
			}
		}
	}
	var names []string
	entries := make([]*entry, len(x.Procedures))
	for i, m := range x.Procedures {
		entries[i] = ep.system.entry(m.Spec, m.Handler)
		entries[i].system, entries[i].role = true, m.Role
		names = append(names, m.Spec.Procedure)
	}
	if err := ep.system.add(entries...); err != nil {
		return nil, fmt.Errorf("rpcnet: %w", err)
	}
	ep.extensions[&x] = true
	ep.wireExtensions()
	if x.Identity != (wire.Identity{}) {
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
	w := &wired{protocols: map[string]hook.Protocol[Peer]{}, alpn: []string{protocol}}
	for x := range ep.extensions {
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
	protocols   map[string]hook.Protocol[Peer]
	identity    Target
	packet      func([]byte, netip.AddrPort)
	interceptor ServerFunc // nil: none
}
