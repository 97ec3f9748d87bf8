// Package udpecho is how a command finds out whether datagrams reach a node and come
// back, and up to which size. The command is no member of the cluster and cannot
// seal packets of gossip. So it asks the node for a token over its connection, as an
// administrator, and sends questions with it to the node's UDP port. The node answers
// each to where it came from.
//
// A datagram without a good token is not answered, and an answer is never larger than
// its question. So nothing is gained by false addresses: what a token that was overheard
// is good for ends with its time. The node keeps nothing.
package udpecho

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"
)

// The kinds of datagrams, in their first byte. Those of gossip are 1 and 2, and those of
// QUIC 64 and more.
const (
	kindQuestion byte = 3
	kindAnswer   byte = 4
)

// TokenSize is the size of a token in bytes.
const TokenSize = 8 + 16

// Lifetime is how long a token is good.
const Lifetime = 30 * time.Second

// The parts of a datagram.
const (
	nonceSize  = 8
	MinSize    = 1 + TokenSize + nonceSize // of a question
	answerSize = 1 + nonceSize + 16 + 2    // of an answer without its padding; less than MinSize
)

// A Node makes tokens and answers questions. It is safe for concurrent use.
type Node struct {
	key      [32]byte
	now      func() time.Time
	answered atomic.Uint64
}

// NewNode returns a Node with a key of its own.
func NewNode() *Node {
	n := &Node{now: time.Now}
	rand.Read(n.key[:]) // never fails
	return n
}

// Token returns a token that is good for [Lifetime].
func (n *Node) Token() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, TokenSize), uint64(n.now().Add(Lifetime).UnixNano()))
	return n.sign(b)
}

// Offer returns what an administrator is given: a token, and how many questions this node
// has answered (8 bytes, big-endian). If that grows while no answer comes, questions
// arrive and answers are lost.
func (n *Node) Offer() []byte { return binary.BigEndian.AppendUint64(n.Token(), n.answered.Load()) }

// ParseOffer takes an offer apart.
func ParseOffer(b []byte) (token []byte, answered uint64, ok bool) {
	if len(b) < TokenSize+8 {
		return nil, 0, false
	}
	return b[:TokenSize], binary.BigEndian.Uint64(b[TokenSize:]), true
}

// sign appends the proof that this node made the time in b.
func (n *Node) sign(b []byte) []byte {
	h := hmac.New(sha256.New, n.key[:])
	h.Write(b[:8])
	return append(b[:8:8], h.Sum(nil)[:16]...)
}

// IsQuestion reports whether a datagram wants to be a question.
func IsQuestion(b []byte) bool { return len(b) > 0 && b[0] == kindQuestion }

// Answer returns the answer to a question that came from an address, as long as the
// question is. ok is false if it is not to be answered.
func (n *Node) Answer(question []byte, from netip.AddrPort) (answer []byte, ok bool) {
	if len(question) < MinSize || !IsQuestion(question) {
		return nil, false
	}
	token := question[1 : 1+TokenSize]
	// The time comes first: it costs nothing.
	good := int64(binary.BigEndian.Uint64(token)) - n.now().UnixNano()
	if good <= 0 || good > int64(Lifetime) || !hmac.Equal(n.sign(token), token) {
		return nil, false
	}
	n.answered.Add(1)
	answer = make([]byte, len(question))
	answer[0] = kindAnswer
	copy(answer[1:], question[1+TokenSize:MinSize])
	addr := from.Addr().As16()
	copy(answer[1+nonceSize:], addr[:])
	binary.BigEndian.PutUint16(answer[1+nonceSize+16:], from.Port())
	return answer, true
}

// Question returns a question of size bytes, at least [MinSize]. Its answer has the same
// nonce.
func Question(token []byte, nonce uint64, size int) []byte {
	b := make([]byte, max(size, MinSize))
	b[0] = kindQuestion
	copy(b[1:1+TokenSize], token)
	binary.BigEndian.PutUint64(b[1+TokenSize:], nonce)
	return b
}

// ParseAnswer returns the nonce of an answer, and the address that its question came
// from, as the node saw it. ok is false for what is no answer.
func ParseAnswer(b []byte) (nonce uint64, from netip.AddrPort, ok bool) {
	if len(b) < answerSize || b[0] != kindAnswer {
		return 0, from, false
	}
	addr := netip.AddrFrom16([16]byte(b[1+nonceSize:])).Unmap()
	return binary.BigEndian.Uint64(b[1:]), netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[1+nonceSize+16:])), true
}
