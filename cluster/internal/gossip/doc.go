// Package gossip carries memberlist over an endpoint's one port: packets are
// sealed UDP datagrams, streams are mutually authenticated TLS connections.
//
// # Identity and keys
//
// A node's name in gossip is "<name>@<boot>", new at every start. At every start
// it also makes an X25519 key pair, which lives as long as the process does. The
// public half travels in the hello of every stream, where the peer's
// certificate stands behind it, and in the node's meta, which any member may
// pass on. Each pair of nodes derives two AES-256-GCM keys from the X25519
// secret, one for each direction, so that there is no shared secret to hand
// out, rotate or lose.
//
// # Packets
//
//	kind (1) | sender (8) | counter (8) | AES-256-GCM ciphertext | tag (16)
//
// The sender field is the beginning of SHA-256 over name and public key; the
// counter is the nonce and is checked against a window of 1024 after the packet
// has opened. It begins at the nanoseconds since the sender's transport was made,
// so that it never repeats under a key even if one side or both drop the other's
// key and take it up again; the window's end outlives the key. The 17 bytes before
// the ciphertext are authenticated with it. The kind is below 0x40, so that QUIC
// can share the socket (RFC 9443). A packet that does not open is
// counted and never answered. The content of one that opens is screened before
// memberlist gets it (screen.go).
//
// # Streams
//
// Each begins with a hello in both directions (hello.go). If a hello is of another
// cluster, of a refused node or malformed, the connection is closed without a byte.
// What follows the hello is screened as well (guard.go).
//
// # Parts
//
// A [Transport] is made of parts, each with a file and a lock of its own:
//
//   - keyTable (keys.go): the public keys of other nodes, and how far each is to be
//     trusted;
//   - connSet (conns.go): open connections, background goroutines, and what
//     exchanges may take together;
//   - dialLog (dials.go): how dials ended, and the limit of those that others cause;
//   - sender (send.go): the queue of packets to send;
//   - screener (screen.go): what memberlist may see; it works on the keyTable.
//
// packet.go brings a packet through them, stream.go an accepted connection and
// dial.go a dialled one.
//
// # Goroutines and locks
//
// An idle Transport has no goroutine. Packets to send are queued, since memberlist
// probes from one goroutine, which must never wait for a socket; a goroutine writes
// the queue out and ends when it is empty. Incoming packets are opened on the
// endpoint's reading goroutine and handed to memberlist through a channel that drops
// when full. Incoming streams run on the endpoint's goroutine for them until the
// hello is done. No lock is held while another part, or a function of Config, is
// called; the screener alone locks the keyTable to read and count.
package gossip
