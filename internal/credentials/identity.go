package credentials

import "crypto/x509"

// Identity returns who the holder of a chain of certificates, leaf first, is by
// its leaf. id is the SPIFFE id if it has one, else its first DNS name, else its
// first IP address, else its common name. names are all its DNS names and IP
// addresses. All are empty for no chain.
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
