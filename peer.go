package rpcnet

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

// A Peer is the other side of a call, with the identity its certificate
// proves. It must not be changed.
type Peer struct {
	// Addr is the network address the lane comes from or goes to.
	Addr net.Addr
	// ID is the SPIFFE id of the certificate if it has one, else its first DNS
	// name, else its first IP address, else its common name. Empty in process.
	ID string
	// Names are all DNS names and IP addresses of the certificate.
	Names []string
	// Chain is the verified chain, leaf first.
	Chain []*x509.Certificate
}

// newPeer returns the peer at addr whose certificate has the given chain.
func newPeer(addr net.Addr, chain []*x509.Certificate) Peer {
	id, names := credentials.Identity(chain)
	return Peer{Addr: addr, ID: id, Names: names, Chain: chain}
}

// key is the identity that limits for each peer count by. A certificate that
// names nobody stands for its key.
func (p *Peer) key() string {
	if p.ID != "" || len(p.Chain) == 0 {
		return p.ID
	}
	sum := sha256.Sum256(p.Chain[0].RawSubjectPublicKeyInfo)
	return "key " + hex.EncodeToString(sum[:8])
}
