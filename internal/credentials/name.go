package credentials

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A Want is what the certificate of a server must be for, beside being signed by
// an authority.
type Want struct {
	// Names are DNS names, IP addresses and SPIFFE ids; the certificate must carry
	// one of them. Empty ones do not count. The zone of an address does not either:
	// certificates carry none.
	Names []string
	// Rule says that the caller judges the identity of the certificate itself. It
	// may then be one that no host name can be compared with: without DNS names
	// and IP addresses. When Names has a SPIFFE id, that must be carried all the
	// same.
	Rule bool
}

// check returns an error that says what the certificate carries and what was
// wanted, if it is not for w.
func (w Want) check(leaf *x509.Certificate) error {
	var names []string
	ids := 0
	for _, name := range w.Names {
		switch {
		case name == "":
			continue
		case isSPIFFE(name):
			ids++
		default:
			name = WithoutZone(name)
		}
		if Carries(leaf, name) {
			return nil
		}
		names = append(names, name)
	}
	nameless := len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0
	if nameless && w.Rule && ids == 0 {
		return nil
	}
	if len(names) == 0 {
		return fmt.Errorf("no name or address that the server's certificate must carry")
	}
	return &nameError{leaf, names}
}

// sni returns the DNS name that the client tells the server, "" for none.
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

func isSPIFFE(name string) bool { return strings.HasPrefix(name, "spiffe://") }

// Carries reports whether a certificate carries a name: a DNS name or an IP
// address, as crypto/x509 compares them, or a SPIFFE id.
func Carries(leaf *x509.Certificate, name string) bool {
	if isSPIFFE(name) {
		return spiffeID(leaf) == name
	}
	return leaf.VerifyHostname(name) == nil
}

// WithoutZone returns a host without the zone of an IPv6 address
// ("fe80::1%eth0"), which has a meaning on one machine alone.
func WithoutZone(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() != "" {
		return ip.WithZone("").String()
	}
	return host
}

// A nameError says that a certificate is for somebody else. It is an
// [x509.HostnameError] too.
type nameError struct {
	leaf  *x509.Certificate
	names []string // what was wanted, at least one
}

func (e *nameError) Error() string {
	text := fmt.Sprintf("the server's certificate does not carry %s: it is for %s", strings.Join(e.names, " or "), For(e.leaf))
	if spiffeID(e.leaf) != "" && !slices.ContainsFunc(e.names, isSPIFFE) {
		text += "; rpcnet.DialConfig.ServerNames accepts it by its SPIFFE id"
	}
	return text
}

func (e *nameError) Unwrap() error {
	return x509.HostnameError{Certificate: e.leaf, Host: e.names[0]}
}

// maxTold is how many names of a certificate an error tells.
const maxTold = 4

// For returns in words whom a certificate is for, cut to a length for logs.
func For(leaf *x509.Certificate) string {
	_, names := Identity([]*x509.Certificate{leaf})
	if id := spiffeID(leaf); id != "" {
		names = append([]string{id}, names...)
	}
	switch n := len(names); {
	case n == 0:
		return "nobody (no DNS name, no IP address and no SPIFFE id)"
	case n > maxTold:
		names = append(names[:maxTold:maxTold], fmt.Sprintf("%d more", n-maxTold))
	}
	return loglimit.Cut(strings.Join(names, ", "))
}
