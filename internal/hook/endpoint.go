package hook

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// Endpoint is set by package rpcnet: what packages of this module may do with an
// endpoint. Package extend asserts it to the interface that it calls.
var Endpoint any

// Credentials is set by package rpcnet: a function from a credentials.Bundle to the
// rpcnet.Credentials that hold it. Package rpctest asserts it.
var Credentials any

// An Extension adds to an endpoint what a package such as cluster needs beside
// calls: procedures of its own, a look at every call, other protocols on the same
// port. F is rpcnet.ServerFunc and P is rpcnet.Peer, which this package cannot
// name: see package extend.
type Extension[F, P any] struct {
	// Procedures are served on every session, besides those of a Server.
	Procedures []Procedure[F]
	// Interceptor, if not nil, runs around every call of a Server, outermost, but
	// not around those of Procedures.
	Interceptor func(next F) F
	// Protocols maps ALPN names to what runs their connections.
	Protocols map[string]Protocol[P]
	// Identity is the node that the endpoint is from now on. At most one
	// extension has one. Sessions that are meant for another node are refused.
	Identity wire.Identity
	// Packet, if not nil, receives each UDP datagram on the endpoint's port
	// whose first byte is below 0x40. It runs on the reading goroutine, must
	// not block, and must not keep b.
	Packet func(b []byte, from netip.AddrPort)
	// HTTP, if not nil, receives the connections of clients that offer none of the
	// protocols of the endpoint, after their handshake, each on a goroutine of its own. It
	// owns conn. peer has no Chain if the client has shown no certificate. At most one
	// extension has one.
	HTTP func(conn *tls.Conn, peer P)
	// Drain, if not nil, runs first in Shutdown, before the endpoint refuses calls.
	Drain func(ctx context.Context)
	// Idle, if not nil, waits in Shutdown, beside the sessions that drain, until what the
	// extension serves has ended. It returns when ctx ends, at the latest.
	Idle func(ctx context.Context)
	// Close, if not nil, cuts what the extension serves. It runs when the endpoint closes,
	// and does not wait for peers.
	Close func()
}

// A Procedure of an [Extension] asks its caller's certificate for a role.
type Procedure[F any] struct {
	Spec    *codegen.Spec
	Role    role.Role
	Handler F
}

// A Protocol of an [Extension] runs connections of its own kind.
type Protocol[P any] struct {
	// Role is what the peer's certificate must allow.
	Role role.Role
	// Run runs a new connection, in a goroutine of its own, and owns conn. Both
	// sides have shown certificates, and EndpointConfig.Authorize has agreed.
	Run func(conn net.Conn, peer P)
}
