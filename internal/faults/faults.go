// Package faults drops, blocks and records what the nodes of one process send
// each other, for tests and benchmarks. It works on the sending side, between a
// node and the sockets of its endpoint, so all that it lets pass crosses real
// sockets.
//
// It sees what belongs to gossip: packets, and connections that a node dials. It does
// not see connections that an endpoint dials by itself, such as those of a
// registry or of clients; rpctest.Proxy is for these. Addresses are the nodes' own
// ones, as Node.Self has them, in both directions.
//
// It has no goroutines. A node takes up its sockets when it joins, so a Network
// must be in the context before that; its rules can change at any time.
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
	loss atomic.Uint32 // share of packets, per mille; read for each packet without mu

	mu   sync.RWMutex               // guards the fields below
	cut  func(from, to string) bool // packets and connections
	udp  func(from, to string) bool // packets only
	tap  func(from, to string, packet []byte)
	hold chan struct{} // if not nil, WritePacket waits until it is closed; see Block
}

// Context returns a context for Join whose node is part of the network. One network
// is for all nodes between which it is to drop something.
func (n *Network) Context(ctx context.Context) context.Context {
	return hook.WithSockets(ctx, func(self string, s hook.Sockets) hook.Sockets {
		return &endpoint{n, self, s}
	})
}

// Cut drops packets and holds up connections from one address to another if cut
// returns true. A connection needs both directions. Connections that are open
// stay open. nil ends it. A further call replaces the function of the last.
func (n *Network) Cut(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

// CutPackets drops packets if cut returns true, and lets connections pass. nil
// ends it. It is what a firewall does that knows TCP alone.
func (n *Network) CutPackets(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.udp = cut
}

// Split cuts the network between the addresses of side and all others. It uses Cut,
// and keeps side, which must not be changed afterwards.
func (n *Network) Split(side map[string]bool) {
	n.Cut(func(from, to string) bool { return side[from] != side[to] })
}

// Heal ends what Cut, CutPackets and Split began. Loss, Tap and Block go on.
// Connections that were held up still wait for their contexts.
func (n *Network) Heal() {
	n.Cut(nil)
	n.CutPackets(nil)
}

// Loss drops this share of the packets at random, from 0 to 1, in steps of 0.001.
// Default 0. Connections are not affected.
func (n *Network) Loss(share float64) { n.loss.Store(uint32(share * 1000)) }

// Tap passes every packet to tap before it is sent or dropped. tap must not keep
// the packet. Packets are sealed, so that it sees their lengths and headers only.
// nil ends it.
func (n *Network) Tap(tap func(from, to string, packet []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tap = tap
}

// Block makes sending a packet block until the returned function is called, as a full
// socket does. Sends that have begun before are not affected. release is idempotent.
// One Block at a time: the release of the first would end the second.
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

// An endpoint is the sockets of one node, seen through the network. It implements
// hook.Sockets.
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
	// Nothing below holds mu: tap and cut can call methods of the Network, and a
	// release needs the lock.
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

// errCut is in the error of a connection that was held up, beside that of its context.
var errCut = errors.New("faults: the network is cut")

// Dial connects to addr. If the network is cut it waits until ctx ends, as behind
// a firewall that drops packets. Packets are lost one by one, but TCP sends again
// what is lost, so Loss and CutPackets do not count here.
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
