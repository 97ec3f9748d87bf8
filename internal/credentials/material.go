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

// Files are the paths of the TLS material of a node: three PEM files.
type Files struct {
	Cert string // the node's certificate, then any intermediates
	Key  string // the private key of the certificate, without a passphrase
	CA   string // the authorities whose certificates are accepted from peers
}

// A Bundle is the TLS material of a node in PEM, as [Files] hold it. It contains the
// private key: it is never logged.
type Bundle struct {
	Cert, Key, CA []byte
}

// equal reports whether both hold the same bytes.
func (b Bundle) equal(o Bundle) bool {
	return bytes.Equal(b.Cert, o.Cert) && bytes.Equal(b.Key, o.Key) && bytes.Equal(b.CA, o.CA)
}

// maxFile is the limit of one PEM file in bytes. The bundle of all public authorities
// is about 250 KiB. A larger file is a mistake, such as the path of a disk image, and
// is not read to its end.
const maxFile = 1 << 20

// read returns the content of the files. Its error is one line that says which file
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

// readPart reads the file that holds what, for errors: "certificate", "private key",
// "CA".
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

// readFile reads a file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1)) // one byte more tells that it is too large
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes: not a PEM file of certificates or of a key", maxFile)
	}
	return data, err
}

// A material is one consistent set of what TLS needs: key and certificate fit
// together, and the certificate was valid when the set was made. It is immutable, and
// safe for concurrent use.
type material struct {
	cert  tls.Certificate
	chain []*x509.Certificate // of cert
	pool  *x509.CertPool      // the authorities that are accepted
	// What peers with the same authorities would say of cert, as a server's and as
	// a client's; nil if they accept it.
	asServer, asClient error
}

// parse makes a material of b. Its error is one line and says which part is wrong, by
// the names in f, and in what way. It fails if a part cannot be parsed, if the key is
// not that of the certificate, or if the certificate is not valid at the time now.
// That peers will not accept the certificate is no error: see material.problems.
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
	// tls.X509KeyPair compares them too, but does not say which file is wrong.
	if pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("private key file %q: the key does not fit the certificate in %q", f.Key, f.Cert)
	}
	// The validity of the intermediates is checked by verify, and is no error here: a
	// peer may have others.
	if now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("certificate file %q: expired on %s", f.Cert, utc(leaf.NotAfter))
	}
	if now.Before(leaf.NotBefore) {
		return nil, fmt.Errorf("certificate file %q: not valid before %s: is this machine's clock right?", f.Cert, utc(leaf.NotBefore))
	}
	// The chain is sent as it stands in the file, the leaf first.
	m := &material{cert: tls.Certificate{PrivateKey: key, Leaf: leaf}, chain: chain, pool: x509.NewCertPool()}
	for _, c := range chain {
		m.cert.Certificate = append(m.cert.Certificate, c.Raw)
	}
	for _, c := range authorities {
		m.pool.AddCert(c)
	}
	// Computed once for each set, and not at each handshake.
	m.asServer = m.verify(x509.ExtKeyUsageServerAuth, now)
	m.asClient = m.verify(x509.ExtKeyUsageClientAuth, now)
	return m, nil
}

// utc formats a time for errors and logs.
func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// parseCertificates returns all certificates of a PEM file, at least one. It skips
// blocks of other types, such as the key or parameters that tools write to the same
// file. One malformed certificate makes the whole file bad: the others might be
// accepted without the one that matters.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	blocks := 0 // of any type, for the error
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
	// Most often the paths of key and certificate were swapped.
	case len(certs) == 0:
		return nil, errors.New("holds no certificate (no PEM block of type CERTIFICATE)")
	}
	return certs, nil
}

// parseKey returns the first private key of a PEM file. It skips other blocks, such
// as the parameters that openssl writes before an EC key. An encrypted key is an
// error: a node starts without a person who types a passphrase.
func parseKey(data []byte) (crypto.Signer, error) {
	blocks := 0
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		blocks++
		switch {
		// PKCS #8 has a type of its own for encrypted keys, the older forms a header
		// (RFC 1421).
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, errors.New("the key is encrypted: store it without a passphrase")
		case block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY"):
			return parseKeyDER(block.Bytes)
		}
	}
	// As above: two ways to give the wrong file.
	if blocks == 0 {
		return nil, errors.New("holds no PEM block")
	}
	return nil, errors.New("holds no private key (no PEM block of type PRIVATE KEY)")
}

// parseKeyDER accepts the forms in use, regardless of the type of the block: PKCS #8
// (RFC 5958), SEC 1 (RFC 5915) for elliptic curves and PKCS #1 (RFC 8017) for RSA. A
// key that TLS 1.3 cannot use is an error.
func parseKeyDER(der []byte) (crypto.Signer, error) {
	// PKCS #8 names the algorithm of the key, and can hold any: X25519 and others are
	// no keys for signatures.
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
