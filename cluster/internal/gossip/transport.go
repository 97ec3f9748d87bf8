package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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
	// Started returns when a boot began, as its id tells; it may be wrong, and is
	// the zero time if the id tells nothing. It must not block. Default: nothing
	// is told.
	Started func(id string) time.Time
	// Contact is called, without locks, when a node that is not in the view has
	// proved itself with a hello or a packet. It must not block.
	Contact func(id string, addr netip.AddrPort)
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
	cfg   Config
	me    *identity
	label string // before what memberlist sends

	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
	closed  sync.Once

	out     chan outPacket
	writing atomic.Bool // a goroutine is writing out
	writers sync.WaitGroup

	start   time.Time // counters of packets begin with the time since then
	hearsay Bucket    // connections because of what others say

	mu      sync.RWMutex
	peers   map[string]*peer
	shorts  map[uint64]*peer
	inView  map[string]bool
	evicted map[string]bool
	tombs   tombs
	// By short id, of how many keys a node's word is all that is known; and whose
	// word it will be, by the id of a node that is about to be learned.
	invented map[uint64]int
	brought  map[string]uint64
	full     time.Time            // when there was last no room in peers
	fetched  map[string]time.Time // last attempts to learn keys, by address
	dialErr  map[string]error     // how the last dial of an address failed
	answered map[string]string    // who answered there last
	selves   map[string]bool      // far ends of connections from this transport to itself

	connMu  sync.Mutex
	conns   map[*conn]struct{}
	pending Share // accepted, hello not done
	states  Share // nodes in exchanges under way
}

type outPacket struct {
	b    []byte
	to   netip.AddrPort
	kind byte
}

const (
	packetQueue = 1024
	sendQueue   = 1024
	streamQueue = 32
	// maxHellos is how many hellos are awaited at once, and maxHellosEach those of
	// one certificate, which a cluster may have for all its nodes.
	maxHellos     = 128
	maxHellosEach = maxHellos / 2
	// fetchInterval is the least time between two attempts to learn the key of
	// the node at one address.
	fetchInterval = time.Second
	fetchTimeout  = 2 * time.Second
	// maxDials is of how many addresses is known when and how they were dialled.
	maxDials = 4096
)

// hearsayRate is how many connections a node opens because of what others say:
// to learn who is at an address, whether one that is said to be dead lives, or a
// key. A newcomer to a cluster of 1 000 nodes that asks each is done in 3 s.
var hearsayRate = Rate{PerSecond: 200, Burst: 400}

// Hearsay returns the limit of connections because of what others say. Whoever
// opens one takes from it first.
func (t *Transport) Hearsay() *Bucket { return &t.hearsay }

// New returns a transport with a new key pair.
func New(cfg Config) (*Transport, error) {
	if !ValidID(cfg.ID) {
		return nil, fmt.Errorf("gossip: bad node id %q", cfg.ID)
	}
	me, err := newIdentity(cfg.ID, cfg.Cluster)
	if err != nil {
		return nil, err
	}
	if cfg.Contact == nil {
		cfg.Contact = func(string, netip.AddrPort) {}
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
	label := Label(cfg.Cluster)
	return &Transport{
		cfg: cfg, me: me, start: time.Now(), hearsay: Bucket{Rate: hearsayRate},
		label:   string([]byte{markLabel, byte(len(label))}) + label,
		pending: NewShare(maxHellos, maxHellosEach), states: NewShare(maxStatesAtOnce, maxStates),
		packets:  make(chan *memberlist.Packet, packetQueue),
		streams:  make(chan net.Conn, streamQueue),
		done:     make(chan struct{}),
		out:      make(chan outPacket, sendQueue),
		peers:    map[string]*peer{},
		shorts:   map[uint64]*peer{},
		inView:   map[string]bool{},
		evicted:  map[string]bool{},
		tombs:    tombs{top: map[uint64]uint64{}},
		invented: map[uint64]int{},
		brought:  map[string]uint64{},
		fetched:  map[string]time.Time{},
		dialErr:  map[string]error{},
		answered: map[string]string{},
		selves:   map[string]bool{},
		conns:    map[*conn]struct{}{},
	}, nil
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// PublicKey returns this boot's public key.
func (t *Transport) PublicKey() [KeySize]byte { return t.me.pub }

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return net.IP(t.cfg.Advertise.Addr().AsSlice()), int(t.cfg.Advertise.Port()), nil
}

// WriteTo implements memberlist.Transport. Without the name of a node there is
// no key, so that it finds the node by its address.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	a := memberlist.Address{Addr: addr}
	if to, err := netip.ParseAddrPort(addr); err == nil {
		t.mu.RLock()
		to = t.Local(to)
		for id, p := range t.peers {
			if p.addr == to {
				a.Name = id
				break
			}
		}
		t.mu.RUnlock()
	}
	return t.WriteToAddress(b, a)
}

// WriteToAddress implements memberlist.NodeAwareTransport. It never waits. Its
// only error is a *net.OpError: memberlist takes any other for a reason not to
// count the probe, and a node that cannot be reached would never be found dead
// (state.go: failedRemote).
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return time.Now(), t.send(kindGossip, b, a)
}

// SendControl sends a control packet to a node, if its key is known.
func (t *Transport) SendControl(id, addr string, msg []byte) error {
	return t.send(kindControl, msg, memberlist.Address{Name: id, Addr: addr})
}

func (t *Transport) send(kind byte, b []byte, a memberlist.Address) error {
	to, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		t.cfg.Observer.Refused(SendFailed)
		return &net.OpError{Op: "write", Net: "udp", Err: err}
	}
	to = t.Local(to)
	p := t.peer(a.Name)
	if p == nil {
		t.cfg.Observer.Refused(SendNoKey)
		t.fetchKey(a)
		return nil
	}
	sealed := t.me.seal(p, kind, b)
	if sealed == nil {
		t.cfg.Observer.Refused(SendNoKey)
		return nil
	}
	select {
	case t.out <- outPacket{sealed, to, kind}:
	default:
		t.cfg.Observer.Refused(SendOverrun)
		return nil
	}
	t.startWriter()
	return nil
}

// startWriter makes sure that a goroutine writes out the queue.
func (t *Transport) startWriter() {
	if !t.writing.CompareAndSwap(false, true) {
		return
	}
	t.connMu.Lock()
	defer t.connMu.Unlock()
	select {
	case <-t.done:
	default:
		t.writers.Go(t.writeOut)
	}
}

func (t *Transport) writeOut() {
	for {
		select {
		case <-t.done:
			return
		case p := <-t.out:
			if _, err := t.cfg.Endpoint.WritePacket(p.b, p.to); err != nil {
				t.cfg.Observer.Refused(SendFailed)
			} else {
				t.cfg.Observer.Packet("out", kindName(p.kind), len(p.b))
			}
		default:
			// Whoever queued while writing was set relies on this goroutine.
			t.writing.Store(false)
			if len(t.out) == 0 || !t.writing.CompareAndSwap(false, true) {
				return
			}
		}
	}
}

func kindName(kind byte) string {
	if kind == kindControl {
		return "control"
	}
	return "gossip"
}

// Kept tells how much is kept because of other nodes, and the most that would be.
func (t *Transport) Kept(tell func(what string, n, limit int)) {
	t.mu.RLock()
	keys, gone, dials := len(t.peers), len(t.tombs.top), max(len(t.dialErr), len(t.fetched), len(t.answered))
	t.mu.RUnlock()
	t.connMu.Lock()
	hellos, states := t.pending.InUse(), t.states.InUse()
	t.connMu.Unlock()
	tell("keys", keys, maxPeers)
	tell("keys_gone", gone, maxPeers)
	tell("dials", dials, maxDials)
	tell("hellos", hellos, maxHellos)
	tell("states", states, maxStatesAtOnce)
}

// Queued returns how many packets wait to be sent.
func (t *Transport) Queued() int { return len(t.out) }

// HandlePacket takes a datagram from the endpoint's reading goroutine. It does
// not block and does not keep b.
func (t *Transport) HandlePacket(b []byte, from netip.AddrPort) {
	now := time.Now()
	p, msg, refused := t.unseal(b)
	if refused != "" {
		t.cfg.Observer.Refused(refused)
		return
	}
	kind := b[0]
	t.noteHeard(p)
	t.cfg.Observer.Packet("in", kindName(kind), len(b))
	switch {
	case kind == kindGossip:
		msg, refused = t.screen(p, msg, now)
	case len(msg) == 0 || len(msg) > maxControl:
		refused = PacketMalformed
	case !p.work.Take(1, now):
		refused = PacketFlood
	}
	if refused != "" {
		t.cfg.Observer.Refused(refused)
		return
	}
	if !p.present.Load() {
		t.cfg.Contact(p.id, from)
	}
	if kind == kindControl {
		// What counts as said by the node itself is not for a key by hearsay.
		if p.proved.Load() || !t.cfg.NamesBound {
			t.cfg.Control(p.id, msg)
		}
		return
	}
	if msg == nil {
		return
	}
	select {
	case <-t.done:
	case t.packets <- &memberlist.Packet{Buf: msg, From: net.UDPAddrFromAddrPort(from), Timestamp: now}:
	default:
		t.cfg.Observer.Refused(PacketOverrun)
	}
}

// unseal returns who has sealed a packet and its content, or a reason for
// [Observer.Refused].
func (t *Transport) unseal(b []byte) (p *peer, msg []byte, refused string) {
	switch {
	case len(b) < Overhead:
		return nil, nil, PacketShort
	case len(b) > Overhead+maxOpened:
		return nil, nil, PacketLarge
	case b[0] != kindGossip && b[0] != kindControl:
		return nil, nil, PacketKind
	}
	t.mu.RLock()
	p = t.shorts[binary.BigEndian.Uint64(b[1:])]
	t.mu.RUnlock()
	if p == nil {
		return nil, nil, PacketUnknownSender
	}
	msg, replayed, err := t.me.open(p, b)
	switch {
	case errors.Is(err, errCounter):
		return nil, nil, PacketCounter
	case err != nil:
		return nil, nil, PacketForged
	case replayed:
		return nil, nil, PacketReplayed
	}
	return p, msg, ""
}

// PacketCh implements memberlist.Transport.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

var errClosed = errors.New("gossip: the node has stopped")

// Shutdown implements memberlist.Transport. It tells nobody. It is idempotent
// and returns when nothing of the transport uses the endpoint any more.
func (t *Transport) Shutdown() error {
	t.closed.Do(func() {
		t.connMu.Lock()
		close(t.done)
		open := t.conns
		t.conns = map[*conn]struct{}{}
		t.connMu.Unlock()
		for c := range open {
			c.Conn.Close()
		}
		t.writers.Wait()
	})
	return nil
}
