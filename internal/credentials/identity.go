package credentials

import "crypto/x509"

// Identity returns the identity that a chain of certificates, leaf first, proves. id
// is the leaf's SPIFFE id if it has one, else its first DNS name, else its first IP
// address, else its common name. names are all its DNS names and IP addresses. Both
// are empty for an empty chain.
//
// The order has a reason: a SPIFFE id is made to identify a workload, names identify
// a machine, and a common name is free text. The caller must have verified the chain.
func Identity(chain []*x509.Certificate) (id string, names []string) {
	if len(chain) == 0 {
		return "", nil
	}
	leaf := chain[0]
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
	return id, names
}

// spiffeID returns the SPIFFE id of a certificate, "" if it has none. A valid one has
// exactly one URI (the X.509-SVID standard, section 2). Of several it is the first:
// all are signed by an authority that is trusted.
func spiffeID(c *x509.Certificate) string {
	for _, u := range c.URIs {
		if u.Scheme == "spiffe" {
			return u.String()
		}
	}
	return ""
}
