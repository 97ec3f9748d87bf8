package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// What a peer may show of itself. The limits are checked before anything is
// verified: verification takes milliseconds for each candidate of an issuer.
const (
	// maxChain is how many certificates a peer may show. A chain of a public
	// authority has two to four.
	maxChain = 8
	// maxTwins is how many of the issuers among them may have the subject of
	// another one, as one has that was renewed or that two authorities have
	// signed. Each doubles the paths that verification tries: with eight
	// certificates and one twin it checks 13 signatures at most.
	maxTwins = 1
	// maxChainBytes is the size of all of them together. A certificate with an
	// RSA key has about 1.5 KiB, one with a post-quantum key about 6 KiB.
	maxChainBytes = 64 << 10
	// maxNames is how many names the peer's own certificate may carry.
	maxNames = 256
	// maxName is the length of one of them, in bytes, that of a SPIFFE id (the
	// SPIFFE-ID standard, section 2.3).
	maxName = 2048
)

// MaxHandshake is how many bytes a peer may send until its handshake is done: its
// certificates and 16 KiB of everything else.
const MaxHandshake = maxChainBytes + 16<<10

// checkSize returns an error if a peer shows more than is verified: see the limits
// above. The certificates are given leaf first.
func checkSize(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return fmt.Errorf("the peer shows no certificate")
	}
	if len(chain) > maxChain {
		return fmt.Errorf("the peer shows %d certificates, at most %d are looked at", len(chain), maxChain)
	}
	size, subjects := len(chain[0].Raw), map[string]bool{}
	for _, c := range chain[1:] {
		size += len(c.Raw)
		subjects[string(c.RawSubject)] = true
	}
	if len(chain)-1 > len(subjects)+maxTwins {
		return fmt.Errorf("the peer shows %d certificates of issuers with %d subjects, at most %d may be there twice", len(chain)-1, len(subjects), maxTwins)
	}
	if size > maxChainBytes {
		return fmt.Errorf("the peer shows %d bytes of certificates, at most %d are looked at", size, maxChainBytes)
	}
	return checkNames(chain[0])
}

// checkNames returns an error if a peer's own certificate carries more or longer names
// than are compared and logged.
func checkNames(leaf *x509.Certificate) error {
	n := len(leaf.DNSNames) + len(leaf.IPAddresses) + len(leaf.URIs) + len(leaf.EmailAddresses)
	if n > maxNames {
		return fmt.Errorf("the peer's certificate carries %d names, at most %d are looked at", n, maxNames)
	}
	longest := len(leaf.Subject.CommonName)
	for _, name := range leaf.DNSNames {
		longest = max(longest, len(name))
	}
	for _, u := range leaf.URIs {
		longest = max(longest, len(u.String()))
	}
	if longest > maxName {
		return fmt.Errorf("the peer's certificate carries a name of %d bytes, at most %d are looked at", longest, maxName)
	}
	return nil
}

// verify checks the certificates that a peer shows against the authorities in roots,
// as crypto/tls does. There must not be too many of them. There must be a chain from
// the first to an authority, all of it valid at the time now, and the first for
// usage. If want is not nil, the first must carry what it says. verify returns the
// chain.
func verify(shown []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, want *Want, now time.Time) ([]*x509.Certificate, error) {
	if err := checkSize(shown); err != nil {
		return nil, err
	}
	opts := x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	}
	for _, c := range shown[1:] {
		opts.Intermediates.AddCert(c)
	}
	chains, err := shown[0].Verify(opts)
	if err == nil && want != nil {
		err = want.check(shown[0])
	}
	if err != nil {
		return nil, &tls.CertificateVerificationError{UnverifiedCertificates: shown, Err: err}
	}
	return chains[0], nil
}

// agreed returns an error if the peer has not negotiated a protocol (ALPN), which
// crypto/tls accepts: RFC 7301 leaves it to the application.
func agreed(alpn []string, cs *tls.ConnectionState) error {
	if len(alpn) > 0 && cs.NegotiatedProtocol == "" {
		return fmt.Errorf("the peer negotiates no application protocol, want one of %q", alpn)
	}
	return nil
}
