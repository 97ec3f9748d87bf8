// Package faults cuts, loses, delays and records what nodes of one process send
// each other, for tests and benchmarks. It sits between a node and its
// endpoint's sockets, on the sending side, so that what arrives has crossed real
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

// A Network is the imagined network between the nodes that join with its
// [Network.Context]. Its methods are safe for concurrent use; the zero value
// passes everything.
type Network struct {
	loss atomic.Uint32 // of packets, per mille

	mu   sync.RWMutex
	cut  func(from, to string) bool
	udp  func(from, to string) bool
	tap  func(from, to string, packet []byte)
	hold chan struct{} // not nil: WritePacket waits for it
}

// Context returns a context for Join whose node is part of the network.
func (n *Network) Context(ctx context.Context) context.Context {
	return hook.WithSockets(ctx, func(self string, s hook.Sockets) hook.Sockets {
		return &endpoint{n, self, s}
	})
}

// Cut drops packets and connections from one address to another where cut says
// so; a connection is cut if either direction is. nil heals.
func (n *Network) Cut(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

// CutPackets drops packets only.
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

// Loss drops this share of the packets, 0 to 1, at random.
func (n *Network) Loss(share float64) { n.loss.Store(uint32(share * 1000)) }

// Tap shows every packet as it goes onto the wire.
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

type endpoint struct {
	net  *Network
	self string
	next hook.Sockets
}

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

func (e *endpoint) Dial(ctx context.Context, addr string) (net.Conn, func(string) error, error) {
	n := e.net
	n.mu.RLock()
	cut := n.cut
	n.mu.RUnlock()
	if cut != nil && (cut(e.self, addr) || cut(addr, e.self)) {
		<-ctx.Done() // as a firewall that drops
		return nil, nil, errors.Join(errCut, ctx.Err())
	}
	return e.next.Dial(ctx, addr)
}
