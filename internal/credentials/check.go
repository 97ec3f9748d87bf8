package credentials

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// A node checks its own certificate as its peers will: against its own authorities,
// which as a rule are theirs too. So what would fail at the first connection, far
// away and with a terse alert, is said at start.

// verify checks the material's own certificate, for usage, against its own
// authorities. The text of its errors does not contain the present time, so that the
// same problem has the same text at every look and is logged once.
func (m *material) verify(usage x509.ExtKeyUsage, now time.Time) error {
	_, err := verify(m.chain, m.pool, usage, nil, now)
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch { // the texts of crypto/x509 speak of peers and of the time
	case errors.As(err, &unknown):
		return errAuthority
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return errUsage
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the certificate of %q in its chain is valid from %s to %s only",
			invalid.Cert.Subject, utc(invalid.Cert.NotBefore), utc(invalid.Cert.NotAfter))
	}
	return err
}

// What is most often wrong with a certificate, which problems explains.
var (
	errAuthority = errors.New("it is not signed by an authority of the CA file")
	errUsage     = errors.New("its extended key usage does not allow it")
)

// succeeds returns an error if peers will not accept m for a use for which they
// accept old: a good certificate is not replaced by a worse one. What was wrong with
// old already is no reason to refuse m.
func (m *material) succeeds(old *material, f Files) error {
	for _, use := range []struct { // both uses have the same text
		as       string
		now, was error
	}{{"a server's", m.asServer, old.asServer}, {"a client's", m.asClient, old.asClient}} {
		if use.was == nil && use.now != nil {
			return fmt.Errorf("certificate file %q: peers that have the authorities in %q would not accept it as %s, as they do the one in use: %w",
				f.Cert, f.CA, use.as, use.now)
		}
	}
	return nil
}

// problems returns what peers will not accept of m, each with what to change, in one
// line. serving says that others dial this node: a certificate for clients alone is
// no problem of one that is only a client.
func (m *material) problems(serving bool, f Files) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	asServer, asClient := m.asServer, m.asClient
	// Usage first. Each case clears what it has explained, so that it is not
	// reported a second time below.
	switch {
	case errors.Is(asServer, errUsage) && errors.Is(asClient, errUsage):
		asServer, asClient = nil, nil
		add("this node's certificate is neither for servers nor for clients: no peer will accept it; have it issued with the extended key usages serverAuth and clientAuth")
	case errors.Is(asClient, errUsage):
		asClient = nil
		add("this node's certificate is for servers alone: every dial from here will be refused (\"bad certificate\"), and so it cannot be a member of a cluster; have it issued with the extended key usage clientAuth too")
	case errors.Is(asServer, errUsage):
		asServer = nil
		if serving {
			// A node that only dials needs no certificate for servers.
			add("this node's certificate is for clients alone: whoever dials this endpoint will refuse it, and so it cannot be a member of a cluster; have it issued with the extended key usage serverAuth too")
		}
	}
	// The rest is the same for both uses: it is reported once.
	for _, err := range []error{asServer, asClient} {
		if errors.Is(err, errAuthority) {
			add("this node's certificate is not signed by an authority it accepts itself: peers with the same CA file will refuse it; add its authority to %q, or have it signed by one that is there", f.CA)
			break
		}
		if err != nil {
			add("this node's certificate is not accepted by its own authorities, and so by no peer that has the same: %v", err)
			break
		}
	}
	// Clients compare the name they dialled: without any, none fits.
	if leaf := m.cert.Leaf; serving && len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 && spiffeID(leaf) == "" {
		add("this node's certificate carries no DNS name, no IP address and no SPIFFE id: whoever dials this endpoint will refuse it; have it issued with one as subject alternative name")
	}
	return lines
}
