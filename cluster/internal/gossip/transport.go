package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// A Config sets up a [Transport]. All fields but the functions are required.
type Config struct {
	// ID is this node's name in gossip, "name@boot".
	ID string
	// Cluster is the cluster's name.
	Cluster string
	// Endpoint is the port.
	Endpoint Endpoint
	// Advertise is where others reach this node.
	Advertise netip.AddrPort
	// Observer counts.
	Observer Observer
	// NamesBound says that the check of a name against a certificate, which
	// HandleStream and Endpoint.Dial bring along, binds names to certificates.
	NamesBound bool
	// Started returns when a boot began, as its id says. The time can be wrong, and
	// is zero if the id says nothing. It must not block. Default: the zero time.
	Started func(id string) time.Time
	// Blind reports whether the answer of a node to a probe would come late because of
	// this node itself. A probe is not sent then, and memberlist holds nothing against the
	// node. It must not block. Default: never.
	Blind func(id string) bool
	// Late reports whether this node is so late that it would not hear in time that a
	// suspicion was refuted. Suspicions of others are dropped then. It must not block.
	// Default: never.
	Late func() bool
	// Patience lengthens the time-outs of memberlist's dials, of hellos and of exchanges
	// when this node is late. It must not block. Default: it does not.
	Patience func(d time.Duration) time.Duration
	// Contact is called, without locks, when a node that is not in the view has
	// proved itself with a hello or a packet. exchanges says that it has begun an exchange
	// of state, which brings it into the view unless it fails. It must not block.
	Contact func(id string, addr netip.AddrPort, exchanges bool)
	// Control is called with the content of a control packet and the node that
	// sealed it. It must not block, and owns msg.
	Control func(from string, msg []byte)
	// Dialed is called after each dial with the node that was wanted ("" if
	// any), its address, and how it ended.
	Dialed func(want, addr string, err error)
	// Elsewhere is called, without locks, when a node that is not in the view has
	// said hello over a connection whose other end, end, has another IP address
	// than the one it advertises. It must not block.
	Elsewhere func(id string, addr netip.AddrPort, end string)
}

// A Transport is memberlist's transport over one endpoint. Its methods are safe
// for concurrent use.
type Transport struct {
	cfg Config // complete; immutable
	me  *identity

	packets chan *memberlist.Packet // for memberlist
	streams chan net.Conn           // for memberlist

	// Each has a lock of its own, and calls none of the others under it.
	keys     keyTable
	conns    connSet
	dials    dialLog
	sender   sender
	screener screener
}

const (
	packetQueue = 1024
	streamQueue = 32
)

// New returns a transport with a new key pair.
func New(cfg Config) (*Transport, error) {
	if !ValidID(cfg.ID) {
		return nil, fmt.Errorf("gossip: bad node id %q", cfg.ID)
	}
	me, err := newIdentity(cfg.ID, cfg.Cluster)
	if err != nil {
		return nil, err
	}
	cfg.complete()
	t := &Transport{
		cfg: cfg, me: me,
		packets: make(chan *memberlist.Packet, packetQueue),
		streams: make(chan net.Conn, streamQueue),
		keys:    newKeyTable(cfg.ID, cfg.NamesBound),
		conns:   newConnSet(),
		dials:   newDialLog(),
	}
	label := Label(cfg.Cluster)
	t.sender = sender{endpoint: cfg.Endpoint, observer: cfg.Observer, conns: &t.conns, queue: make(chan outPacket, sendQueue)}
	t.screener = screener{
		self: cfg.ID, label: string([]byte{markLabel, byte(len(label))}) + label,
		keys: &t.keys, observer: cfg.Observer, started: cfg.Started, late: cfg.Late,
	}
	return t, nil
}

// complete sets the functions that are not given.
func (cfg *Config) complete() {
	if cfg.Contact == nil {
		cfg.Contact = func(string, netip.AddrPort, bool) {}
	}
	if cfg.Blind == nil {
		cfg.Blind = func(string) bool { return false }
	}
	if cfg.Late == nil {
		cfg.Late = func() bool { return false }
	}
	if cfg.Patience == nil {
		cfg.Patience = func(d time.Duration) time.Duration { return d }
	}
	if cfg.Control == nil {
		cfg.Control = func(string, []byte) {}
	}
	if cfg.Dialed == nil {
		cfg.Dialed = func(string, string, error) {}
	}
	if cfg.Elsewhere == nil {
		cfg.Elsewhere = func(string, netip.AddrPort, string) {}
	}
	if cfg.Started == nil {
		cfg.Started = func(string) time.Time { return time.Time{} }
	}
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// PublicKey returns this boot's public key.
func (t *Transport) PublicKey() [KeySize]byte { return t.me.pub }

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return net.IP(t.cfg.Advertise.Addr().AsSlice()), int(t.cfg.Advertise.Port()), nil
}

// PacketCh implements memberlist.Transport.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

var errClosed = errors.New("gossip: the node has stopped")

// Shutdown implements memberlist.Transport. It announces nothing. It returns when
// nothing of the transport uses the endpoint any more. It is idempotent.
func (t *Transport) Shutdown() error {
	t.conns.close()
	return nil
}

// Kept calls tell with how much is kept because of other nodes, and the most that
// would be.
func (t *Transport) Kept(tell func(what string, n, limit int)) {
	keys, gone := t.keys.size()
	hellos, states := t.conns.inUse()
	tell("keys", keys, maxPeers)
	tell("keys_gone", gone, maxPeers)
	tell("dials", t.dials.size(), maxDials)
	tell("hellos", hellos, maxHellos)
	tell("states", states, maxStatesAtOnce)
}

// Queued returns how many packets wait to be sent.
func (t *Transport) Queued() int { return len(t.sender.queue) }

// Hearsay returns the limit of connections because of what others say. Take from it
// before opening one.
func (t *Transport) Hearsay() *Bucket { return &t.dials.hearsay }

// Learn installs the public key of a node as gossip tells it, with the address
// that gossip gives it. It installs nothing over a key that is there: names are
// new at every boot, so that a key never changes rightly. Nor does an address: the
// error says that gossip tells another one than before.
func (t *Transport) Learn(id string, key [KeySize]byte, addr netip.AddrPort) error {
	return t.keys.learn(id, key, addr)
}

// SetPresent says whether a node is in the view. Packets and hellos of nodes that
// are not cause calls of Config.Contact.
func (t *Transport) SetPresent(id string, present bool) { t.keys.setPresent(id, present) }

// Forget drops the key of a node that is gone.
func (t *Transport) Forget(id string) { t.keys.forget(id) }

// Sweep drops the keys of nodes that are not in the view, for which keep returns
// false, and that have not said hello for the time after: they only knocked.
func (t *Transport) Sweep(after time.Duration, keep func(id string) bool) { t.keys.sweep(after, keep) }

// Evict shuts a node out for good: its key is dropped, its connections are closed,
// its packets do not open any more, and its hellos are refused. The node need not be
// known.
func (t *Transport) Evict(id string) {
	t.keys.evict(id)
	t.conns.drop(id)
}

// Evicted reports whether a node was evicted.
func (t *Transport) Evicted(id string) bool { return t.keys.isEvicted(id) }

// Knows reports whether the key of a node is there.
func (t *Transport) Knows(id string) bool { return t.keys.peer(id) != nil }

// HeardSince reports whether a packet of a node has opened after an instant.
func (t *Transport) HeardSince(id string, at time.Time) bool {
	p := t.keys.peer(id)
	return p != nil && p.heard.Load() && p.last.Load() > int64(at.Sub(t.keys.start))
}

// Proved reports whether a node has given the key that is there in a hello.
func (t *Transport) Proved(id string) bool {
	p := t.keys.peer(id)
	return p != nil && p.proved.Load()
}

// Address returns the address that a node gave in its hello, if it has said one.
func (t *Transport) Address(id string) (netip.AddrPort, bool) { return t.keys.address(id) }

// LastDialError returns why the last dial of an address failed; nil if it did not.
func (t *Transport) LastDialError(addr string) error { return t.dials.failure(addr) }

// AnsweredAt returns which node answered at the last successful dial of an address;
// "" if there was none.
func (t *Transport) AnsweredAt(addr string) string { return t.dials.answeredAt(addr) }

// Local returns an address of another node as this one uses it: a link-local one
// of IPv6 means nothing without the zone, the interface, that leads to it. That
// is the zone of the address which this node advertises.
func (t *Transport) Local(a netip.AddrPort) netip.AddrPort {
	if ip := a.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() {
		return netip.AddrPortFrom(ip.WithZone(t.cfg.Advertise.Addr().Zone()), a.Port())
	}
	return a
}

// local is Local for text.
func (t *Transport) local(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() {
		return t.Local(a).String()
	}
	return addr
}
