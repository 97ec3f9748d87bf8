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
// can share the socket (RFC 9443). A packet that does not open is counted and
// answered by nothing.
// What opens is looked at before memberlist gets it (screen.go).
//
// # Streams
//
// Each begins with a hello in both directions (see hello.go). A hello of another
// cluster, of a refused node or of no sense is answered by closing the
// connection without a byte.
//
// # Goroutines and locks
//
// A Transport has no goroutine of its own while it is idle. Packets to send are
// queued (memberlist probes from one goroutine, which must never wait for a
// socket); a goroutine writes the queue out and ends when it is empty. Incoming
// packets are opened on the endpoint's reading goroutine and handed to
// memberlist through a channel that drops when full. Incoming streams run on
// the endpoint's goroutine for them until the hello is done. mu guards the
// table of peers, connMu the set of open connections; neither is held while
// anything is called that may block.
package gossip
