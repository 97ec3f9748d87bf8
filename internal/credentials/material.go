package credentials

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// Files name the TLS material of a node: three PEM files.
type Files struct {
	Cert string // the node's certificate, then any intermediates
	Key  string // the private key of the certificate
	CA   string // the authorities whose certificates are accepted from peers
}

// A Bundle is the TLS material of a node in PEM, as [Files] hold it.
type Bundle struct {
	Cert, Key, CA []byte
}

func (b Bundle) equal(o Bundle) bool {
	return bytes.Equal(b.Cert, o.Cert) && bytes.Equal(b.Key, o.Key) && bytes.Equal(b.CA, o.CA)
}

// maxFile is the limit, in bytes, of one PEM file. The bundle of all public
// authorities is about 250 KiB.
const maxFile = 1 << 20

// read returns the content of the files, or one line that says which one
// cannot be read and why.
func (f Files) read() (b Bundle, err error) {
	if b.Cert, err = readPart("certificate", f.Cert); err != nil {
		return Bundle{}, err
	}
	if b.Key, err = readPart("private key", f.Key); err != nil {
		return Bundle{}, err
	}
	if b.CA, err = readPart("CA", f.CA); err != nil {
		return Bundle{}, err
	}
	return b, nil
}

func readPart(what, path string) ([]byte, error) {
	if path == "" {
		return nil, fmt.Errorf("no %s file is named", what)
	}
	data, err := readFile(path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err // the path stands in the line already
		}
		return nil, fmt.Errorf("%s file %q: %w", what, path, err)
	}
	return data, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes: not a PEM file of certificates or of a key", maxFile)
	}
	return data, err
}

// A material is one consistent set of what TLS needs. It is immutable.
type material struct {
	cert  tls.Certificate
	chain []*x509.Certificate // of cert
	pool  *x509.CertPool
	// What peers with the same authorities would say of cert, as a server's and as
	// a client's; nil if they accept it.
	asServer, asClient error
}

// parse makes a material of b. Its errors are one line each and say which part
// is wrong, by the names in f, and in what way.
func (b Bundle) parse(f Files, now time.Time) (*material, error) {
	chain, err := parseCertificates(b.Cert)
	if err != nil {
		return nil, fmt.Errorf("certificate file %q: %w", f.Cert, err)
	}
	key, err := parseKey(b.Key)
	if err != nil {
		return nil, fmt.Errorf("private key file %q: %w", f.Key, err)
	}
	authorities, err := parseCertificates(b.CA)
	if err != nil {
		return nil, fmt.Errorf("CA file %q: %w", f.CA, err)
	}
	leaf := chain[0]
	if pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("private key file %q: the key does not fit the certificate in %q", f.Key, f.Cert)
	}
	if now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("certificate file %q: expired on %s", f.Cert, utc(leaf.NotAfter))
	}
	if now.Before(leaf.NotBefore) {
		return nil, fmt.Errorf("certificate file %q: not valid before %s: is this machine's clock right?", f.Cert, utc(leaf.NotBefore))
	}
	m := &material{cert: tls.Certificate{PrivateKey: key, Leaf: leaf}, chain: chain, pool: x509.NewCertPool()}
	for _, c := range chain {
		m.cert.Certificate = append(m.cert.Certificate, c.Raw)
	}
	for _, c := range authorities {
		m.pool.AddCert(c)
	}
	m.asServer = m.verify(x509.ExtKeyUsageServerAuth, now)
	m.asClient = m.verify(x509.ExtKeyUsageClientAuth, now)
	return m, nil
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// parseCertificates returns all certificates of a PEM file, at least one.
// Blocks of other types are passed over, as in the files that tools write.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	blocks := 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		blocks++
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is malformed: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	switch {
	case blocks == 0:
		return nil, errors.New("holds no PEM block")
	case len(certs) == 0:
		return nil, errors.New("holds no certificate (no PEM block of type CERTIFICATE)")
	}
	return certs, nil
}

// parseKey returns the first private key of a PEM file.
func parseKey(data []byte) (crypto.Signer, error) {
	blocks := 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		blocks++
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("the key is encrypted: store it without a passphrase")
		case block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY"):
			return parseKeyDER(block.Bytes)
		}
	}
	if blocks == 0 {
		return nil, errors.New("holds no PEM block")
	}
	return nil, errors.New("holds no private key (no PEM block of type PRIVATE KEY)")
}

// parseKeyDER accepts the forms in use: PKCS #8, SEC 1 and PKCS #1.
func parseKeyDER(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		switch key := key.(type) {
		case *ecdsa.PrivateKey:
			return key, nil
		case *rsa.PrivateKey:
			return key, nil
		case ed25519.PrivateKey:
			return key, nil
		}
		return nil, fmt.Errorf("a key of type %T is of no use in TLS 1.3: want ECDSA, Ed25519 or RSA", key)
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("the private key is malformed")
}
