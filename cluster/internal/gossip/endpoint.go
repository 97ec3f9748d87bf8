package gossip

import (
	"time"

	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// An Endpoint is what the transport needs of the one port that it shares with calls:
// dialling, and the socket for packets.
type Endpoint = hook.Sockets

// ALPN is the protocol name of gossip streams in the TLS handshake (RFC 7301). The
// version in it is that of the hello.
const ALPN = "rpcnet-gossip/1"

// An Observer counts what happens. Its methods are called for every packet, from several
// goroutines: they must be quick and must not call back into the transport.
type Observer interface {
	// Packet is called for each packet sent ("out") and accepted ("in"), with its
	// size on the wire. kind is "gossip" or "control".
	Packet(direction, kind string, bytes int)
	// Stream is called for each stream opened. kind is "state" or "key".
	Stream(direction, kind string)
	// Refused is called for each packet, stream or message that was not accepted or
	// not sent.
	Refused(reason string)
}

// The reasons for [Observer.Refused]. They are the values of a label of the metrics
// and stand in docs/security.md: do not change them.
const (
	PacketShort         = "packet_short"          // shorter than a sealed packet
	PacketKind          = "packet_kind"           // of a kind this version does not know
	PacketUnknownSender = "packet_unknown_sender" // from no node whose key is known
	PacketForged        = "packet_forged"         // did not open
	PacketReplayed      = "packet_replayed"       // seen before, or too old to tell
	PacketOverrun       = "packet_overrun"        // memberlist does not keep up
	PacketLarge         = "packet_large"          // longer than any that a node sends
	PacketCounter       = "packet_counter"        // its counter is beyond any age of its sender
	PacketMalformed     = "packet_malformed"      // opened, but not what a node sends
	PacketElsewhere     = "packet_elsewhere"      // wants something sent to where its sender, or whom it names, is not
	PacketFlood         = "packet_flood"          // more than a node has to say
	GossipAhead         = "gossip_ahead"          // of an incarnation that no node can have reached
	GossipLate          = "gossip_late"           // a suspicion, while this node runs late
	GossipFlood         = "gossip_flood"          // more changes of the membership by the word of one node than it may tell
	SendNoKey           = "send_no_key"           // no key for the node yet
	SendOverrun         = "send_overrun"          // the socket does not keep up
	SendFailed          = "send_failed"           // the socket refused
	HelloMalformed      = "hello_malformed"       // cut off, too slow or not a hello
	HelloCluster        = "hello_cluster"         // of another cluster
	HelloNode           = "hello_node"            // of a node that may not join, or of this node itself
	HelloOverrun        = "hello_overrun"         // too many at once, in all or of one certificate
	HelloOther          = "hello_other"           // dialled one node, another answered
	StreamMalformed     = "stream_malformed"      // after the hello, not what a node sends
	StreamOverrun       = "stream_overrun"        // too many nodes in exchanges at once, in all or of one certificate
	AliveMalformed      = "alive_malformed"       // gossip about a node that makes no sense
	AliveRefused        = "alive_refused"         // gossip about a node that was evicted, has moved, or has no room
)

// helloTimeout is how long an accepted connection may take to say hello. A dialled one
// has the time of its caller.
const helloTimeout = 5 * time.Second
