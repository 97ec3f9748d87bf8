package rpcnet

import (
	"crypto/x509"
	"net"
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
