package load

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
)

// Sizes of what makes tickets unguessable, in bytes.
const (
	SecretSize = 16
	TagSize    = 16
)

// A Secret is what one balancer shares with one worker. The balancer sends it to the
// worker when it opens the stream of reports. It tags the tickets for that worker
// with it, and the worker recognises a ticket that was made up, or was made for
// another worker or caller.
//
// A tag is that of AES-128-GCM over the caller's identity, without content
// (GMAC, NIST SP 800-38D); the nonce is the ticket's number, which is used once.
// Tickets of the balancer's own calls share the number 0 and the empty identity,
// and so one tag. It costs about 50 ns (BenchmarkSign), a tenth of HMAC-SHA256.
//
// A Secret is safe for concurrent use.
type Secret struct {
	key  [SecretSize]byte
	aead cipher.AEAD
}

// A signing is the memory of one computation of a tag, which would be allocated for
// each otherwise.
type signing struct {
	nonce [12]byte
	aad   []byte
	tag   [TagSize]byte
}

// signings are those that are not in use.
var signings = sync.Pool{New: func() any { return new(signing) }}

// NewSecret returns a random one.
func NewSecret() *Secret {
	var key [SecretSize]byte
	rand.Read(key[:]) // never fails
	s, _ := SecretOf(key[:])
	return s
}

// SecretOf returns the secret with the given key of [SecretSize] bytes.
func SecretOf(key []byte) (*Secret, error) {
	if len(key) != SecretSize {
		return nil, errors.New("load: a secret has 16 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Secret{key: [SecretSize]byte(key), aead: aead}, nil
}

// Key returns what [SecretOf] makes the secret of.
func (s *Secret) Key() []byte { return s.key[:] }

// equal reports whether both have the same key.
func (s *Secret) equal(o *Secret) bool { return s.key == o.key }

// Sign returns the tag of a ticket with this number, for this caller.
func (s *Secret) Sign(number uint64, caller string) [TagSize]byte {
	g := prepare(number, caller)
	defer signings.Put(g)
	s.aead.Seal(g.tag[:0], g.nonce[:], nil, g.aad)
	return g.tag
}

// Verify reports whether t was made with this secret for this caller.
func (s *Secret) Verify(t *Ticket, caller string) bool {
	if t.Number == 0 {
		caller = "" // who makes it is compared, not signed
	}
	g := prepare(t.Number, caller)
	defer signings.Put(g)
	g.tag = t.Tag
	_, err := s.aead.Open(nil, g.nonce[:], g.tag[:], g.aad)
	return err == nil
}

// prepare returns a signing with the nonce and the additional data of a tag.
func prepare(number uint64, caller string) *signing {
	g := signings.Get().(*signing)
	binary.BigEndian.PutUint64(g.nonce[4:], number)
	g.aad = append(g.aad[:0], caller...)
	return g
}
