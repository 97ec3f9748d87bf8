package link

import (
	"crypto/tls"
	"crypto/x509"
)

// Identity returns who the peer of a connection is by its certificate. id is
// the SPIFFE id if the certificate has one, else its first DNS name, else its
// first IP address, else its common name. names are all its DNS names and IP
// addresses. chain is the verified chain, leaf first; where the configuration
// verifies none, as no configuration of a [Source] does, it is what the peer has
// shown. All are empty for a peer without a certificate.
func Identity(cs tls.ConnectionState) (id string, names []string, chain []*x509.Certificate) {
	if len(cs.PeerCertificates) == 0 {
		return "", nil, nil
	}
	leaf := cs.PeerCertificates[0]
	names = append(names, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case spiffeID(leaf) != "":
		id = spiffeID(leaf)
	case len(names) > 0:
		id = names[0]
	default:
		id = leaf.Subject.CommonName
	}
	chain = cs.PeerCertificates
	if len(cs.VerifiedChains) > 0 {
		chain = cs.VerifiedChains[0]
	}
	return id, names, chain
}

// spiffeID returns the SPIFFE id of a certificate, or "". A valid one has
// exactly one URI (the X.509-SVID standard, section 2); of others it is the first.
func spiffeID(c *x509.Certificate) string {
	for _, u := range c.URIs {
		if u.Scheme == "spiffe" {
			return u.String()
		}
	}
	return ""
}
