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

// DevHosts are the names of a certificate that is asked for without any: those
// of the machine as seen from itself.
var DevHosts = []string{"localhost", "127.0.0.1", "::1"}

const (
	devCALife   = 10 * 365 * 24 * time.Hour
	devLeafLife = 365 * 24 * time.Hour
	devBackdate = time.Hour // against clocks that are a little behind
)

// A DevCA is a certificate authority for laptops and tests: ECDSA P-256, ten
// years. Its key lies in memory, or in a file, without protection. It is safe
// for concurrent use.
type DevCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// NewDevCA makes a new authority.
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

// ParseDevCA returns the authority whose certificate and key, in PEM, are
// given. The errors speak of certName and keyName.
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

// CertPEM returns the certificate of the authority.
func (ca *DevCA) CertPEM() []byte { return ca.pem }

// KeyPEM returns the private key of the authority.
func (ca *DevCA) KeyPEM() ([]byte, error) { return encodeKey(ca.key) }

// A Leaf says what a certificate is to be. The zero value is the node's of
// [DevCA.Issue].
type Leaf struct {
	// Hosts are DNS names, IP addresses and SPIFFE ids (spiffe://...). Default
	// [DevHosts].
	Hosts []string
	// NotBefore and NotAfter bound its validity. Default: from an hour ago, for
	// a year from now.
	NotBefore, NotAfter time.Time
	// Usages are what it may be used for. Default: as server and as client.
	Usages []x509.ExtKeyUsage
	// CommonName of the subject. Default "rpcnet node".
	CommonName string
}

// Issue makes a key and a certificate for it, and returns them with the
// authority's certificate: all that a node needs.
func (ca *DevCA) Issue(l Leaf) (Bundle, error) {
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{"rpcnet"}, CommonName: "rpcnet node"},
		NotBefore:    now.Add(-devBackdate),
		NotAfter:     now.Add(devLeafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
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
	if l.Hosts == nil {
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

// addHost enters h where verification looks for names of its kind.
func addHost(c *x509.Certificate, h string) error {
	if ip := net.ParseIP(h); ip != nil {
		c.IPAddresses = append(c.IPAddresses, ip)
		return nil
	}
	if strings.HasPrefix(h, "spiffe://") {
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

// serial returns a number of 127 random bits, as RFC 5280 (4.1.2.2) wants:
// positive, unique, at most 20 octets.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func encode(typ string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode("PRIVATE KEY", der), nil
}
