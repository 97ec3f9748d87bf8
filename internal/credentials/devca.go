package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"
)

// DevHosts are the names in a certificate that is issued without any: those of the
// machine as seen from itself.
var DevHosts = []string{"localhost", "127.0.0.1", "::1"}

// How long certificates for development are valid. They renew themselves in no way:
// a year is long enough to forget them, and short enough to be noticed.
const (
	devCALife   = 10 * 365 * 24 * time.Hour
	devLeafLife = 365 * 24 * time.Hour
	devBackdate = time.Hour // against clocks that are a little behind
)

// A DevCA is a certificate authority for laptops and tests: ECDSA P-256, valid for ten
// years. Its key lies in memory, or in a file, without protection: anyone who reads
// it can be any node. It is immutable and safe for concurrent use.
type DevCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte // cert
}

// NewDevCA makes a new authority with a new key. It can sign the certificates of
// nodes, and none of other authorities (path length 0).
func NewDevCA() (*DevCA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{Organization: []string{"rpcnet"}, CommonName: "rpcnet development CA"},
		NotBefore:             now.Add(-devBackdate),
		NotAfter:              now.Add(devCALife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &DevCA{cert: cert, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// ParseDevCA returns the authority with the given certificate and key in PEM. It fails
// if they do not belong together, if the certificate is not that of an authority, or
// if it has expired. The errors call the parts certName and keyName.
func ParseDevCA(cert, key []byte, certName, keyName string) (*DevCA, error) {
	certs, err := parseCertificates(cert)
	if err != nil {
		return nil, fmt.Errorf("CA file %q: %w", certName, err)
	}
	signer, err := parseKey(key)
	if err != nil {
		return nil, fmt.Errorf("CA key file %q: %w", keyName, err)
	}
	ca := &DevCA{cert: certs[0], pem: cert}
	var ok bool
	if ca.key, ok = signer.(*ecdsa.PrivateKey); !ok {
		return nil, fmt.Errorf("CA key file %q: want an ECDSA key", keyName)
	}
	// What would fail later, at the first handshake, and say less.
	switch {
	case !ca.key.PublicKey.Equal(ca.cert.PublicKey):
		return nil, fmt.Errorf("CA key file %q: the key does not fit the certificate in %q", keyName, certName)
	case !ca.cert.IsCA:
		return nil, fmt.Errorf("CA file %q: the certificate is not one of an authority", certName)
	case time.Now().After(ca.cert.NotAfter):
		return nil, fmt.Errorf("CA file %q: expired on %s", certName, utc(ca.cert.NotAfter))
	}
	return ca, nil
}

// CertPEM returns the certificate of the authority in PEM. It must not be changed.
func (ca *DevCA) CertPEM() []byte { return ca.pem }

// KeyPEM returns the private key of the authority in PEM (PKCS #8).
func (ca *DevCA) KeyPEM() ([]byte, error) { return encodeKey(ca.key) }

// A Leaf says what a certificate contains. The zero value is the certificate of a node
// on this machine.
type Leaf struct {
	// Hosts are DNS names, IP addresses and SPIFFE ids (spiffe://...). Default
	// [DevHosts].
	Hosts []string
	// NotBefore and NotAfter limit its validity. Default: from an hour ago until a
	// year from now.
	NotBefore, NotAfter time.Time
	// Usages are its extended key usages. Default: server and client authentication.
	Usages []x509.ExtKeyUsage
	// CommonName is that of the subject. Default "rpcnet node".
	CommonName string
}

// Issue makes a key and a certificate for it, and returns them with the authority's
// certificate: all that a node needs. It fails if one of l.Hosts is not a name that a
// certificate can carry.
func (ca *DevCA) Issue(l Leaf) (Bundle, error) {
	now := time.Now()
	// What is not given has the values of a node's certificate.
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{"rpcnet"}, CommonName: "rpcnet node"},
		NotBefore:    now.Add(-devBackdate),
		NotAfter:     now.Add(devLeafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	// Usually both usages: a node of a cluster is a server and a client.
	if l.CommonName != "" {
		template.Subject.CommonName = l.CommonName
	}
	if !l.NotBefore.IsZero() {
		template.NotBefore = l.NotBefore
	}
	if !l.NotAfter.IsZero() {
		template.NotAfter = l.NotAfter
	}
	if l.Usages != nil {
		template.ExtKeyUsage = l.Usages
	}
	if l.Hosts == nil { // an empty list is a certificate without names, for tests
		l.Hosts = DevHosts
	}
	for _, h := range l.Hosts {
		if err := addHost(template, h); err != nil {
			return Bundle{}, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Bundle{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return Bundle{}, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Bundle{}, err
	}
	return Bundle{Cert: encode("CERTIFICATE", der), Key: keyPEM, CA: ca.pem}, nil
}

// addHost adds h to the names of its kind: addresses, URIs and DNS names stand in
// fields of their own, and verification looks in the one that fits. It refuses what no
// verification would find, such as a name with a port.
func addHost(c *x509.Certificate, h string) error {
	if ip := net.ParseIP(h); ip != nil {
		c.IPAddresses = append(c.IPAddresses, ip)
		return nil
	}
	if strings.HasPrefix(h, "spiffe://") {
		// The trust domain is required (the SPIFFE-ID standard, section 2).
		u, err := url.Parse(h)
		if err != nil || u.Host == "" {
			return fmt.Errorf("host %q: not a SPIFFE id, such as spiffe://example.org/worker", h)
		}
		c.URIs = append(c.URIs, u)
		return nil
	}
	if h == "" {
		return errors.New("an empty host: want a DNS name, an IP address or a SPIFFE id")
	}
	// x509.CreateCertificate accepts any text here. '*' is for wildcards, '_' occurs in
	// the names of services.
	for _, r := range h {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.', r == '_', r == '*':
		default:
			return fmt.Errorf("host %q: %q does not belong in a name: want a DNS name, an IP address (neither with a port) or a SPIFFE id", h, r)
		}
	}
	c.DNSNames = append(c.DNSNames, h)
	return nil
}

// serial returns a number of 127 random bits. RFC 5280 (section 4.1.2.2) demands a
// positive, unique number of at most 20 octets.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] &= 0x7f // the sign
	return new(big.Int).SetBytes(b)
}

// encode returns one PEM block.
func encode(typ string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
}

// encodeKey returns a private key in PEM (PKCS #8).
func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode("PRIVATE KEY", der), nil
}
