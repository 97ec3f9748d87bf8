package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of packets, the first byte of each. Those below 0x40 are free beside QUIC
// (RFC 9443).
const (
	kindGossip  byte = 0x01 // memberlist's packets
	kindControl byte = 0x02 // our own

	packetHeader = 1 + 8 + 8
	// Overhead is what sealing adds to a packet.
	Overhead = packetHeader + 16
)

// An identity is this node's side of all keys. It is immutable.
type identity struct {
	id      string
	cluster [clusterSize]byte
	priv    *ecdh.PrivateKey
	pub     [KeySize]byte
	short   uint64
}

// newIdentity makes a key pair, which lives as long as the process does.
func newIdentity(id, cluster string) (*identity, error) {
	priv, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("gossip: making a key: %w", err)
	}
	me := &identity{id: id, cluster: clusterHash(cluster), priv: priv}
	copy(me.pub[:], priv.PublicKey().Bytes())
	me.short = shortID(id, me.pub)
	return me, nil
}

// shortID is how packets name their sender: 8 bytes in place of id and key. Two nodes
// with the same one have different keys nevertheless: the packets of one do not open
// under the key of the other.
func shortID(id string, key [KeySize]byte) uint64 {
	sum := sha256.Sum256(append([]byte(id+"\x00"), key[:]...))
	return binary.BigEndian.Uint64(sum[:8])
}

// A peer is the other side of a pair of keys: another node, as far as packets go. id,
// key and short are immutable. A node with another key is another peer.
type peer struct {
	id    string
	key   [KeySize]byte
	short uint64

	derive sync.Once // of tx and rx: 80 µs, at first use, since many keys are never used
	tx, rx cipher.AEAD

	sent    atomic.Uint64 // counter of the last packet to it
	window  replayWindow
	work    Bucket       // messages from it
	news    Bucket       // changes of the membership by its word
	present atomic.Bool  // it is in the view
	proved  atomic.Bool  // the key came with a certificate, in a hello
	heard   atomic.Bool  // a packet has opened under it
	last    atomic.Int64 // when the last one did, as time since the table's start

	// Guarded by the mu of the keyTable: where its hello said it is to be reached,
	// where gossip first said so, and when it was installed or last said hello.
	addr, home netip.AddrPort
	at         time.Time
	// Guarded by the mu of the keyTable: the short id of the node by whose word alone
	// the key is known. 0 if the node has proved itself or was heard, or if it is not
	// known by whose word.
	source uint64
}

// errKey says that no keys can be derived: see peer.keys.
var errKey = errors.New("gossip: not a usable public key")

// newPeer returns a peer whose counter and window are those of a new node. Only a
// keyTable knows where those of a node that comes back must begin.
func newPeer(id string, key [KeySize]byte) *peer {
	return &peer{id: id, key: key, short: shortID(id, key), work: Bucket{Rate: workRate}, news: Bucket{Rate: newsRate}}
}

// keys returns the pair's keys, one for each direction, which it derives at first use.
// Both are nil if the peer's public key is of low order: then anyone could compute the
// secret (RFC 7748, section 6.1).
func (p *peer) keys(me *identity) (tx, rx cipher.AEAD) {
	p.derive.Do(func() {
		pub, err := ecdh.X25519().NewPublicKey(p.key[:])
		if err != nil {
			return
		}
		secret, err := me.priv.ECDH(pub) // fails for points of low order
		if err != nil {
			return
		}
		p.tx = directionKey(secret, me.cluster, me.id, p.id, me.pub, p.key)
		p.rx = directionKey(secret, me.cluster, p.id, me.id, p.key, me.pub)
	})
	return p.tx, p.rx
}

// directionKey is the key for packets between two nodes in one direction: HKDF
// (RFC 5869) with SHA-256 over the X25519 secret, with the cluster as salt and
// both names and both public keys bound in.
func directionKey(secret []byte, cluster [clusterSize]byte, from, to string, fromKey, toKey [KeySize]byte) cipher.AEAD {
	info := []byte("rpcnet-gossip/1 packets\x00")
	info = appendString(info, from)
	info = appendString(info, to)
	info = append(info, fromKey[:]...)
	info = append(info, toKey[:]...)
	key, err := hkdf.Key(sha256.New, secret, cluster[:], string(info), 32)
	if err != nil {
		panic(err) // only for lengths that are wrong at compile time
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// seal returns msg as a packet to p, or nil if there is no key for it, or no counter any
// more. It is safe for concurrent use. No counter is used twice under a key: with a
// second packet under one nonce AES-GCM would lose all its security.
func (me *identity) seal(p *peer, kind byte, msg []byte) []byte {
	tx, _ := p.keys(me)
	if tx == nil {
		return nil
	}
	if p.sent.Load() >= maxCounter { // some at once may pass, and none come round
		return nil
	}
	// Its own, with several senders at once.
	n := p.sent.Add(1)
	b := make([]byte, packetHeader, len(msg)+Overhead)
	b[0] = kind
	binary.BigEndian.PutUint64(b[1:], me.short)
	binary.BigEndian.PutUint64(b[9:], n)
	nonce := counterNonce(n)
	return tx.Seal(b, nonce[:], msg, b)
}

// open returns the content of a packet from p. The caller has checked that the packet
// has at least Overhead bytes. replayed says that it opened, but was seen before or is
// older than the window.
func (me *identity) open(p *peer, b []byte) (msg []byte, replayed bool, err error) {
	_, rx := p.keys(me)
	if rx == nil {
		return nil, false, errKey
	}
	n := binary.BigEndian.Uint64(b[9:])
	if n > maxCounter {
		return nil, false, errCounter
	}
	nonce := counterNonce(n)
	msg, err = rx.Open(nil, nonce[:], b[packetHeader:], b[:packetHeader])
	if err != nil {
		return nil, false, err
	}
	return msg, !p.window.accept(n), nil
}

// maxCounter is the highest counter of a packet. A counter begins at the nanoseconds
// since its sender's transport was made and grows by one with each packet. No node sends
// one in each nanosecond, so that a counter is never above the age of its sender, and
// 2⁶⁰ ns are 36 years.
//
// The receiver has no closer limit. It knows when the sender started only by the
// sender's clock, which was possibly wrong. The first packet that it sees, after a
// restart of its own or after it has forgotten the sender, can have the counter of
// years. A sender that runs ahead below the limit closes the window for its own packets
// only.
const maxCounter = 1 << 60

// errCounter says that a packet has a counter above maxCounter.
var errCounter = errors.New("gossip: the counter of a packet is beyond any age of its sender")

// counterNonce returns the nonce for a counter: 96 bits, as AES-GCM takes them. Each
// direction has a key of its own, so that both may use the same counters.
func counterNonce(n uint64) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[4:], n)
	return nonce
}

// A replayWindow remembers which of the last 1024 counters have been seen (RFC 6479
// describes the form). UDP reorders packets, so that the highest alone would not do.
// The zero value has seen none. It is safe for concurrent use.
type replayWindow struct {
	mu  sync.Mutex
	top uint64                  // the highest counter seen
	bit [windowSize / 64]uint64 // bit n%windowSize: n was seen, for n in (top-windowSize, top]
}

const windowSize = 1024

// closeUpTo makes the window refuse all counters up to top: for a peer that was dropped
// and comes back, whose packets were recorded meanwhile.
func (w *replayWindow) closeUpTo(top uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.top = top
	for i := range w.bit {
		w.bit[i] = ^uint64(0)
	}
}

// accept reports whether n is new, and remembers it. Call it only for packets that have
// opened: a forged counter would close the window for the real ones.
func (w *replayWindow) accept(n uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	word, mask := &w.bit[n/64%uint64(len(w.bit))], uint64(1)<<(n%64)
	switch {
	case n > w.top: // newer than all: the window moves up
		if n-w.top >= windowSize {
			w.bit = [len(w.bit)]uint64{}
		} else {
			for d := range n - w.top { // fewer than windowSize, whatever n is
				i := w.top + 1 + d
				w.bit[i/64%uint64(len(w.bit))] &^= 1 << (i % 64)
			}
		}
		w.top = n
	case w.top-n >= windowSize || *word&mask != 0:
		return false
	}
	*word |= mask
	return true
}
