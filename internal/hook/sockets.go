package hook

import (
	"context"
	"net"
	"net/netip"
)

// Sockets is what a node sends by.
type Sockets interface {
	// Dial opens a mutually authenticated connection for gossip to addr. verify
	// says whether the certificate that answered may carry the name of a node.
	Dial(ctx context.Context, addr string) (conn net.Conn, verify func(id string) error, err error)
	// WritePacket sends one datagram.
	WritePacket(b []byte, to netip.AddrPort) (int, error)
}

type socketsKey struct{}

// WithSockets returns a context whose Joins put wrap around their sockets: for
// the injection of faults in tests and benchmarks.
func WithSockets(ctx context.Context, wrap func(self string, s Sockets) Sockets) context.Context {
	return context.WithValue(ctx, socketsKey{}, wrap)
}

// WrapSockets applies what [WithSockets] has put into ctx to the sockets of the
// node at address self.
func WrapSockets(ctx context.Context, self string, s Sockets) Sockets {
	if wrap, ok := ctx.Value(socketsKey{}).(func(string, Sockets) Sockets); ok {
		return wrap(self, s)
	}
	return s
}
