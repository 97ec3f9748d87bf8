package credentials

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A Want says what the certificate of a server must carry, in addition to being signed
// by an authority.
type Want struct {
	// Names are DNS names, IP addresses and SPIFFE ids. The certificate must carry one
	// of them. Empty ones are ignored, and so is the zone of an address: certificates
	// carry none.
	Names []string
	// Rule says that the caller decides about the identity of the certificate. A
	// certificate without DNS names and IP addresses, with which no host name can be
	// compared, is then accepted. If Names has a SPIFFE id, the certificate must carry
	// it nevertheless.
	Rule bool
}

// check returns an error if the certificate does not carry what w says. The error says
// what was wanted and what the certificate carries.
func (w Want) check(leaf *x509.Certificate) error {
	var names []string // what was compared in vain
	ids := 0           // SPIFFE ids among them
	for _, name := range w.Names {
		switch {
		case name == "":
			continue
		case isSPIFFE(name):
			ids++
		default:
			name = WithoutZone(name)
		}
		if Carries(leaf, name) { // one is enough
			return nil
		}
		names = append(names, name)
	}
	// A certificate with names that are not the wanted ones is for another server,
	// even if the caller has a rule.
	nameless := len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0
	if nameless && w.Rule && ids == 0 {
		return nil
	}
	if len(names) == 0 {
		return fmt.Errorf("no name or address that the server's certificate must carry")
	}
	return &nameError{leaf, names}
}

// sni returns the name that the client sends to the server (RFC 6066, section 3), ""
// for none: the first DNS name. Addresses are not allowed there.
func (w Want) sni() string {
	for _, name := range w.Names {
		if name == "" || isSPIFFE(name) {
			continue
		}
		if _, err := netip.ParseAddr(name); err != nil {
			return name
		}
	}
	return ""
}

// isSPIFFE reports whether a name has the form of a SPIFFE id.
func isSPIFFE(name string) bool { return strings.HasPrefix(name, "spiffe://") }

// Carries reports whether a certificate carries a name: a DNS name or an IP
// address, as crypto/x509 compares them, or a SPIFFE id.
func Carries(leaf *x509.Certificate, name string) bool {
	if isSPIFFE(name) {
		return spiffeID(leaf) == name
	}
	return leaf.VerifyHostname(name) == nil
}

// WithoutZone returns a host without the zone of an IPv6 address ("fe80::1%eth0"),
// which has a meaning on one machine only.
func WithoutZone(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() != "" {
		return ip.WithZone("").String()
	}
	return host
}

// A nameError says that a certificate does not carry what was wanted. It wraps an
// [x509.HostnameError], which callers know from crypto/tls.
type nameError struct {
	leaf  *x509.Certificate
	names []string // what was wanted, at least one
}

// Error says what was wanted, what the certificate carries, and for a certificate with
// a SPIFFE id alone how to accept it.
func (e *nameError) Error() string {
	text := fmt.Sprintf("the server's certificate does not carry %s: it is for %s", strings.Join(e.names, " or "), For(e.leaf))
	if spiffeID(e.leaf) != "" && !slices.ContainsFunc(e.names, isSPIFFE) {
		text += "; rpcnet.DialConfig.ServerNames accepts it by its SPIFFE id"
	}
	return text
}

// Unwrap returns the error that crypto/tls would return.
func (e *nameError) Unwrap() error {
	return x509.HostnameError{Certificate: e.leaf, Host: e.names[0]}
}

// maxTold is how many names of a certificate an error lists.
const maxTold = 4

// For returns the identities that a certificate carries in words, cut to a length for
// logs.
func For(leaf *x509.Certificate) string {
	_, names := Identity([]*x509.Certificate{leaf})
	if id := spiffeID(leaf); id != "" {
		names = append([]string{id}, names...)
	}
	switch n := len(names); { // the names are a peer's: few, and cut
	case n == 0:
		return "nobody (no DNS name, no IP address and no SPIFFE id)"
	case n > maxTold:
		names = append(names[:maxTold:maxTold], fmt.Sprintf("%d more", n-maxTold))
	}
	return loglimit.Cut(strings.Join(names, ", "))
}
