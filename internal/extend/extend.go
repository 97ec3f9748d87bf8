// Package extend is what the packages cluster, workers and director do with an
// rpcnet.Endpoint, and users do not: they add procedures and protocols to it, send
// datagrams from its port, and ask for roles.
package extend

import (
	"context"
	"net"
	"net/netip"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/role"
)

type (
	// An Extension is what is added to an endpoint.
	Extension = hook.Extension[rpcnet.ServerFunc, rpcnet.Peer]
	// A Procedure is a procedure of an [Extension].
	Procedure = hook.Procedure[rpcnet.ServerFunc]
	// A Protocol is a protocol of an [Extension].
	Protocol = hook.Protocol[rpcnet.Peer]
	// A Unary is a unary call of a transport that chooses a connection for each
	// attempt.
	Unary = hook.RoutedUnary[*rpcnet.Conn]
)

// endpoints is the other end of this package, in package rpcnet.
var endpoints = hook.Endpoint.(interface {
	Extend(ep *rpcnet.Endpoint, x Extension) (remove func(), err error)
	Dial(ctx context.Context, ep *rpcnet.Endpoint, addr, alpn string, config *rpcnet.DialConfig) (net.Conn, rpcnet.Peer, error)
	WritePacket(ep *rpcnet.Endpoint, b []byte, to netip.AddrPort) (int, error)
	Reserve(ep *rpcnet.Endpoint, peer rpcnet.Peer, what string, bytes int64) (release func(), err error)
	Roles(ep *rpcnet.Endpoint) rpcnet.Roles
	Allow(r rpcnet.Roles, p rpcnet.Peer, asked role.Role) error
	AllowServer(r rpcnet.Roles, p rpcnet.Peer, asked role.Role) error
	RoutedUnary() Unary
	Connected(c *rpcnet.Conn) bool
	Ticket(c *rpcnet.ServerCall) []byte
	TellLoad(c *rpcnet.ServerCall, report []byte)
	EndCall(c *rpcnet.ServerCall, cause error)
})

// Endpoint adds x to ep until remove is called or ep closes. It fails if a
// procedure or a protocol is taken, or if a second Packet or Identity is given. It
// is safe at any time from any goroutine, and so is remove, more than once.
func Endpoint(ep *rpcnet.Endpoint, x Extension) (remove func(), err error) {
	return endpoints.Extend(ep, x)
}

// Dial opens a mutually authenticated TLS 1.3 connection with the given ALPN name
// to addr. The caller owns it. Of the config only ServerNames and VerifyPeer have
// an effect.
func Dial(ctx context.Context, ep *rpcnet.Endpoint, addr, alpn string, config *rpcnet.DialConfig) (net.Conn, rpcnet.Peer, error) {
	return endpoints.Dial(ctx, ep, addr, alpn, config)
}

// WritePacket sends one UDP datagram from the endpoint's port. It waits no longer
// than the socket's buffer is full.
func WritePacket(ep *rpcnet.Endpoint, b []byte, to netip.AddrPort) (int, error) {
	return endpoints.WritePacket(ep, b, to)
}

// Reserve counts bytes that an extension keeps for a peer in the endpoint's memory
// budget, under the name what, which the program chooses and a peer does not. It
// fails with CodeResourceExhausted if the peer has its share or the budget is used
// up. Call release when the memory is free again; a second call does nothing.
func Reserve(ep *rpcnet.Endpoint, peer rpcnet.Peer, what string, bytes int64) (release func(), err error) {
	return endpoints.Reserve(ep, peer, what, bytes)
}

// Roles returns the rules of an endpoint.
func Roles(ep *rpcnet.Endpoint) rpcnet.Roles { return endpoints.Roles(ep) }

// Allow returns nil if p has the role by the rules r, and otherwise an
// error that says why not.
func Allow(r rpcnet.Roles, p rpcnet.Peer, asked role.Role) error { return endpoints.Allow(r, p, asked) }

// AllowServer is [Allow] for a server that was dialled. If its certificate carries
// no DNS name and no IP address, only its SPIFFE id tells it from others at that
// address. It must then state the role itself or meet a rule of r: a rule for the
// role, or one for nodes if the role is a worker's or a director's.
func AllowServer(r rpcnet.Roles, p rpcnet.Peer, asked role.Role) error {
	return endpoints.AllowServer(r, p, asked)
}

// NewUnary returns a call of a transport that chooses a connection for each attempt.
func NewUnary() Unary { return endpoints.RoutedUnary() }

// Ticket returns the ticket that a call has brought (rpcnet.CallOptions.Ticket), nil if
// it has brought none. The caller must not change it.
func Ticket(c *rpcnet.ServerCall) []byte { return endpoints.Ticket(c) }

// CallerID returns the identity of who has made the call that is served with ctx, "" in
// process.
func CallerID(ctx context.Context) string {
	if call := rpcnet.ServerCallFrom(ctx); call != nil {
		return call.Peer().ID
	}
	return ""
}

// TellLoad sends a worker's report, which it copies, with the end of a call that
// succeeds. The interceptor of an [Extension] calls it after the handler has returned.
func TellLoad(c *rpcnet.ServerCall, report []byte) { endpoints.TellLoad(c, report) }

// EndCall ends the context of a call that is being served, with a cause. The call is
// alive as long as the interceptor of an [Extension] runs around it.
func EndCall(c *rpcnet.ServerCall, cause error) { endpoints.EndCall(c, cause) }

// Connected reports whether there is a connection, as Conn.Ready does, without a lock.
func Connected(c *rpcnet.Conn) bool { return endpoints.Connected(c) }
