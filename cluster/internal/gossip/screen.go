package gossip

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// memberlist believes what it reads: it unpacks 40 MiB from a packet, pings any address
// that a packet names, and takes an incarnation that no refutation can beat. So each
// packet that has opened is screened first. What nodes of this package never send does
// not reach memberlist, nor does more than a member can have to say. An exchange on a
// stream is screened in the same way (guard.go).
//
// A packet is the cluster's label, possibly a checksum, and one message or a compound
// of messages. If a message of a compound is refused as hearsay that an honest member
// can pass on (GossipAhead, GossipFlood), it alone is taken out. Everything else that
// is wrong with a packet is its sender's doing, and the packet is dropped.

// The types of memberlist's messages that nodes of this package send in packets
// or on streams, and the mark before a label. Beside them memberlist knows
// messages of users (8), compressed (9) and encrypted (10) ones.
const (
	typePing         = 0
	typeIndirectPing = 1
	typeAck          = 2
	typeSuspect      = 3
	typeAlive        = 4
	typeDead         = 5
	typeExchange     = 6
	typeCompound     = 7
	typeNack         = 11
	typeChecksum     = 12
	typeError        = 13
	markLabel        = 244
)

const (
	// MaxPacket is the most that memberlist may put into a packet without its
	// checksum: with the seal, UDP and IP headers 1 416 bytes, which fit a VXLAN.
	MaxPacket = 1350
	maxOpened = MaxPacket + 5
	// maxParts is the most messages of a packet. A message takes 60 bytes and
	// more, so that 22 fit.
	maxParts = 64
	// maxControl is the most of a control packet, which is one byte now.
	maxControl = 64
	// maxPayload is the most of an ack's payload, which is 8 bytes.
	maxPayload = 64
	// indirectCost is what a ping on behalf of another node costs, in messages: a
	// packet, a goroutine and a timer.
	indirectCost = 16
)

var (
	// workRate is how many messages a node takes from another. With the default
	// intervals a node sends another at most 400 in a second: ten rounds of gossip
	// and a few probes with 20 messages each.
	workRate = Rate{PerSecond: 4000, Burst: 8000}
	// newsRate is how many changes of the membership a node takes from another:
	// of nodes that it does not know, or that are said to be gone. Burst is a join
	// through one seed, or a split, of a cluster of that size.
	newsRate = Rate{PerSecond: 100, Burst: 5000}
)

// Incarnations begin at 1 and grow by one with each change of tags and each refutation,
// up to 2³²-1. Then memberlist starts again at 0, which the others ignore. A node that
// is accused takes the accuser's incarnation plus one, so that a member that could name
// any incarnation could end any node. Therefore what is said of a boot of age t has at
// most the incarnation incarnationsAtOnce + incarnationsPerSecond·t. That limit reaches
// 2³²-1 after 8 years.
const (
	incarnationsAtOnce    = 1 << 20
	incarnationsPerSecond = 16
)

// Label returns memberlist's label for a cluster. Without it a stray stream of
// another cluster could merge the two.
func Label(cluster string) string { return "rpcnet/" + cluster }

// A screener decides what memberlist may see of what other nodes send. It has no
// state of its own but what the table of keys keeps of each node. Its methods are
// safe for concurrent use.
type screener struct {
	self     string // this node's id
	label    string // before each packet of memberlist
	keys     *keyTable
	observer Observer
	started  func(id string) time.Time // see Config.Started
	late     func() bool               // see Config.Late
}

// screen returns what memberlist sees of a packet from p, nil if that is nothing, or a
// reason for [Observer.Refused]. It returns b itself if all of it is good, which is
// the usual case and costs no copy.
func (s *screener) screen(p *peer, b []byte, now time.Time) (_ []byte, refused string) {
	if len(b) > maxOpened {
		return nil, PacketMalformed
	}
	label := s.label
	if len(b) < len(label) || string(b[:len(label)]) != label {
		return nil, PacketMalformed
	}
	body := b[len(label):]
	if len(body) >= 5 && body[0] == typeChecksum {
		body = body[5:] // memberlist verifies it; join leaves it out
	}
	parts, ok := split(body)
	if !ok {
		return nil, PacketMalformed
	}
	if !p.work.Take(len(parts), now) {
		return nil, PacketFlood
	}
	// Overwrites parts, each after it was read.
	kept := parts[:0]
	for _, part := range parts {
		switch refused := s.screenMessage(p, part, now); refused {
		case "":
			kept = append(kept, part)
		case GossipAhead, GossipFlood, GossipLate:
			s.observer.Refused(refused)
		default:
			return nil, refused
		}
	}
	switch len(kept) {
	case len(parts):
		return b, ""
	case 0:
		return nil, ""
	}
	return join(label, kept), ""
}

// split returns the messages of a packet without label and checksum, each at least one
// byte. A compound is a type, a number of messages (1 byte), their lengths (2 bytes
// each) and the messages. They refer to b.
func split(b []byte) (parts [][]byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	if b[0] != typeCompound {
		return [][]byte{b}, true
	}
	if len(b) < 2 || int(b[1]) > maxParts || len(b) < 2+2*int(b[1]) {
		return nil, false
	}
	// Each length is checked against what is left, before anything refers to it.
	sizes, rest := b[2:2+2*int(b[1])], b[2+2*int(b[1]):]
	for ; len(sizes) > 0; sizes = sizes[2:] {
		n := int(binary.BigEndian.Uint16(sizes))
		if n == 0 || n > len(rest) {
			return nil, false
		}
		parts, rest = append(parts, rest[:n]), rest[n:]
	}
	return parts, true
}

// join is the reverse of split, with the label before it.
func join(label string, parts [][]byte) []byte {
	b := append([]byte(label), typeCompound, byte(len(parts)))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// screenMessage screens one message of a packet from p.
func (s *screener) screenMessage(p *peer, b []byte, now time.Time) (refused string) {
	m, err := readMessage(&memory{b[1:]})
	if err != nil {
		return PacketMalformed
	}
	switch b[0] {
	case typePing, typeIndirectPing:
		return s.screenPing(p, b[0], m, now)
	case typeAck:
		if len(m["Payload"].text) > maxPayload {
			return PacketMalformed
		}
		return ""
	case typeNack:
		return ""
	case typeSuspect, typeDead:
		if _, ok := m.id("From"); !ok {
			return PacketMalformed
		}
		if b[0] == typeSuspect && s.drops(m, "Node") {
			return GossipLate
		}
		return s.screenNews(p, m, "Node", false, now)
	case typeAlive:
		return s.screenNews(p, m, "Node", true, now)
	}
	return PacketMalformed
}

// drops reports whether this node does not listen to a suspicion: it is late, and about
// another. It would take as long to hear of the refutation, and find the other dead.
func (s *screener) drops(m message, idField string) bool {
	id, _ := m.id(idField)
	return id != s.self && s.late()
}

// screenPing screens a ping. It is answered, and passed on, only to nodes at their own
// addresses: otherwise a member could make this node send to any address it chooses.
func (s *screener) screenPing(p *peer, kind byte, m message, now time.Time) (refused string) {
	if _, ok := m.id("Node"); !ok || string(m["SourceNode"].text) != p.id {
		return PacketMalformed
	}
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	if !p.isAt(m.addrPort("SourceAddr", "SourcePort")) {
		return PacketElsewhere
	}
	// Memberlist answers at the address that was checked.
	if kind == typePing {
		return ""
	}
	if target := s.keys.peers[string(m["Node"].text)]; target == nil || !target.isAt(m.addrPort("Target", "Port")) {
		return PacketElsewhere
	}
	if !p.work.Take(indirectCost, now) {
		return PacketFlood
	}
	return ""
}

// addrPort returns the address in two fields; the zero value if they hold none.
func (m message) addrPort(ip, port string) netip.AddrPort {
	a, _ := netip.AddrFromSlice(m[ip].text)
	n := m[port].number
	if !a.IsValid() || n == 0 || n > math.MaxUint16 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n))
}

// isAt reports whether the peer's hello or gossip about it has given the address.
// The caller holds the mu of the keyTable.
func (p *peer) isAt(a netip.AddrPort) bool { return a.IsValid() && (a == p.addr || a == p.home) }

// screenNews screens what p says of the node in the field idField: that it is alive, or
// that it is suspected or gone. What agrees with the view is no news and costs nothing:
// members repeat it all the time.
func (s *screener) screenNews(p *peer, m message, idField string, alive bool, now time.Time) (refused string) {
	id, ok := m.id(idField)
	if !ok || m["Incarnation"].kind != valueNumber {
		return PacketMalformed
	}
	if alive && (!m.addrPort("Addr", "Port").IsValid() || len(m["Meta"].text) > MaxMeta || len(m["Vsn"].text) != 6) {
		return PacketMalformed
	}
	if m["Incarnation"].number > s.maxIncarnation(id, now) {
		return GossipAhead
	}
	// Memberlist refutes it.
	if id == s.self {
		return ""
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	about := s.keys.peers[id]
	if alive == (about != nil && about.present.Load()) {
		return "" // no news
	}
	if !p.news.Take(1, now) {
		return GossipFlood
	}
	if alive && about == nil {
		// memberlist will ask for the key of this node next (Learn): note by whose
		// word.
		if s.keys.invented[p.short] >= maxInvented {
			return GossipFlood
		}
		s.keys.broughtBy(id, p)
	}
	return ""
}

// maxIncarnation returns the highest incarnation that is accepted for a node now. The
// boot in its id tells its age; of an id without a time it is 0.
func (s *screener) maxIncarnation(id string, now time.Time) uint64 {
	age := time.Duration(0)
	if started := s.started(id); !started.IsZero() {
		age = max(0, now.Sub(started))
	}
	return min(incarnationsAtOnce+incarnationsPerSecond*uint64(age/time.Second), math.MaxUint32)
}
