package rpcnet

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A Peer is the other side of a call, with the identity its certificate
// proves. It must not be changed.
type Peer struct {
	// Addr is the network address the connection comes from or goes to.
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

// key is the identity that limits for each peer count by. It is what the certificate
// says, and not the address: one program may have many addresses, and many programs
// one. A certificate that
// has no name stands for its key.
func (p *Peer) key() string {
	if p.ID != "" || len(p.Chain) == 0 {
		return p.ID
	}
	sum := sha256.Sum256(p.Chain[0].RawSubjectPublicKeyInfo)
	return "key " + hex.EncodeToString(sum[:8])
}

// A Target is the node that a connection is for, or that an endpoint is: names
// of at most 128 bytes each. Empty fields are not compared.
type Target struct {
	// Cluster is the name of the cluster.
	Cluster string
	// Node is the name of the node.
	Node string
	// Boot tells the lives of a node apart.
	Boot string
}

// String returns the target in words.
func (t Target) String() string {
	var parts []string
	if t.Node != "" {
		parts = append(parts, fmt.Sprintf("node %q", t.Node))
	}
	if t.Boot != "" {
		parts = append(parts, "boot "+t.Boot)
	}
	if t.Cluster != "" {
		parts = append(parts, fmt.Sprintf("cluster %q", t.Cluster))
	}
	if parts == nil {
		return "no node of a cluster"
	}
	return strings.Join(parts, ", ")
}

// validate says which name is too long, or nil.
func (t Target) validate() error {
	for _, part := range [...]string{t.Cluster, t.Node, t.Boot} {
		if len(part) > wire.MaxIdentity {
			return fmt.Errorf("rpcnet: a target with a name of %d bytes: want at most %d", len(part), wire.MaxIdentity)
		}
	}
	return nil
}

// wire returns the target as sessions tell it.
func (t Target) wire() wire.Identity { return wire.Identity(t) }

// check returns an error if got is not the node that t asks for.
func (t Target) check(got Target) error {
	differ := func(want, got string) bool { return want != "" && want != got }
	if differ(t.Cluster, got.Cluster) || differ(t.Node, got.Node) || differ(t.Boot, got.Boot) {
		return fmt.Errorf("%s answers, want %s", got, t)
	}
	return nil
}
