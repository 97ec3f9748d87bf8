// Package faults drops, blocks and records what the nodes of one process send
// each other, for tests and benchmarks. It works on the sending side, between a
// node and the sockets of its endpoint, so all that it lets pass crosses real
// sockets.
package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// A Network is the simulated network between the nodes that join with its
// [Network.Context]. The zero value passes everything. Its methods are safe for
// concurrent use and take effect at once. Functions that it is given are called
// from the goroutines that send, and must not block.
type Network struct {
	loss atomic.Uint32 // share of packets, per mille

	mu   sync.RWMutex               // guards the fields below
	cut  func(from, to string) bool // packets and connections
	udp  func(from, to string) bool // packets only
	tap  func(from, to string, packet []byte)
	hold chan struct{} // if not nil, WritePacket waits until it is closed
}

// Context returns a context for Join whose node is part of the network.
func (n *Network) Context(ctx context.Context) context.Context {
	return hook.WithSockets(ctx, func(self string, s hook.Sockets) hook.Sockets {
		return &endpoint{n, self, s}
	})
}

// Cut drops packets and holds up connections from one address to another if cut
// returns true. A connection needs both directions. Connections that are open
// stay open. nil ends it.
func (n *Network) Cut(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

// CutPackets drops packets if cut returns true, and lets connections pass. nil
// ends it.
func (n *Network) CutPackets(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.udp = cut
}

// Split cuts the network between the addresses of side and all others.
func (n *Network) Split(side map[string]bool) {
	n.Cut(func(from, to string) bool { return side[from] != side[to] })
}

// Heal ends what Cut, CutPackets and Split began.
func (n *Network) Heal() {
	n.Cut(nil)
	n.CutPackets(nil)
}

// Loss drops this share of the packets at random, from 0 to 1.
func (n *Network) Loss(share float64) { n.loss.Store(uint32(share * 1000)) }

// Tap passes every packet to tap before it is sent or dropped. tap must not keep
// the packet.
func (n *Network) Tap(tap func(from, to string, packet []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = tap
}

// Block makes sending a packet block until the returned function is called.
func (n *Network) Block() (release func()) {
	hold := make(chan struct{})
	n.mu.Lock()
	n.hold = hold
	n.mu.Unlock()
	return sync.OnceFunc(func() {
		n.mu.Lock()
		n.hold = nil
		n.mu.Unlock()
		close(hold)
	})
}

// An endpoint is the sockets of one node, seen through the network.
type endpoint struct {
	net  *Network
	self string
	next hook.Sockets
}

// WritePacket sends a packet. A lost one counts as sent, as with UDP.
func (e *endpoint) WritePacket(b []byte, to netip.AddrPort) (int, error) {
	n, addr := e.net, to.String()
	n.mu.RLock()
	cut, udp, tap, hold := n.cut, n.udp, n.tap, n.hold
	n.mu.RUnlock()
	if hold != nil {
		<-hold
	}
	if tap != nil {
		tap(e.self, addr, b)
	}
	if cut != nil && cut(e.self, addr) || udp != nil && udp(e.self, addr) || rand.Uint32N(1000) < n.loss.Load() {
		return len(b), nil
	}
	return e.next.WritePacket(b, to)
}

var errCut = errors.New("faults: the network is cut")

// Dial connects to addr. If the network is cut it waits until ctx ends, as behind
// a firewall that drops packets.
func (e *endpoint) Dial(ctx context.Context, addr string) (net.Conn, func(string) error, error) {
	n := e.net
	n.mu.RLock()
	cut := n.cut
	n.mu.RUnlock()
	if cut != nil && (cut(e.self, addr) || cut(addr, e.self)) {
		<-ctx.Done()
		return nil, nil, errors.Join(errCut, ctx.Err())
	}
	return e.next.Dial(ctx, addr)
}
