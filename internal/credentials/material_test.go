package credentials_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

// write stores b in dir, under the names it returns.
func write(t testing.TB, dir string, b credentials.Bundle) credentials.Files {
	t.Helper()
	f := credentials.Files{Cert: filepath.Join(dir, "node.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	for path, data := range map[string][]byte{f.Cert: b.Cert, f.Key: b.Key, f.CA: b.CA} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestOpenFilesSaysInOneLineWhatIsWrong(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	good := testkit.Issue(t, ca, credentials.Leaf{})
	other := testkit.Issue(t, ca, credentials.Leaf{})
	cases := []struct {
		name  string
		spoil func(b *credentials.Bundle)
		files func(f *credentials.Files)
		want  []string
	}{
		{name: "missing certificate", files: func(f *credentials.Files) { os.Remove(f.Cert) }, want: []string{"certificate file", "node.pem", "no such file"}},
		{name: "missing key", files: func(f *credentials.Files) { os.Remove(f.Key) }, want: []string{"private key file", "key.pem", "no such file"}},
		{name: "missing CA", files: func(f *credentials.Files) { os.Remove(f.CA) }, want: []string{"CA file", "ca.pem", "no such file"}},
		{name: "a folder", files: func(f *credentials.Files) { f.CA = filepath.Dir(f.CA) }, want: []string{"CA file", "is a directory"}},
		{name: "no name", files: func(f *credentials.Files) { f.Key = "" }, want: []string{"no private key file is named"}},
		{name: "no PEM in certificate", spoil: func(b *credentials.Bundle) { b.Cert = []byte("hello") }, want: []string{"node.pem", "no PEM block"}},
		{name: "no PEM in key", spoil: func(b *credentials.Bundle) { b.Key = nil }, want: []string{"key.pem", "no PEM block"}},
		{name: "CA without certificates", spoil: func(b *credentials.Bundle) { b.CA = good.Key }, want: []string{"ca.pem", "no certificate"}},
		{name: "certificate in the key file", spoil: func(b *credentials.Bundle) { b.Key = good.Cert }, want: []string{"key.pem", "no private key"}},
		{name: "garbage certificate", spoil: func(b *credentials.Bundle) {
			b.Cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
		}, want: []string{"node.pem", "certificate 1 is malformed"}},
		{name: "garbage key", spoil: func(b *credentials.Bundle) {
			b.Key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
		}, want: []string{"key.pem", "malformed"}},
		{name: "encrypted key", spoil: func(b *credentials.Bundle) {
			b.Key = pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
		}, want: []string{"key.pem", "encrypted"}},
		{name: "key of another certificate", spoil: func(b *credentials.Bundle) { b.Key = other.Key }, want: []string{"key.pem", "does not fit the certificate", "node.pem"}},
		{name: "expired", spoil: func(b *credentials.Bundle) {
			*b = testkit.Issue(t, ca, credentials.Leaf{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
		}, want: []string{"node.pem", "expired on 20"}},
		{name: "not yet valid", spoil: func(b *credentials.Bundle) {
			*b = testkit.Issue(t, ca, credentials.Leaf{NotBefore: time.Now().Add(time.Hour)})
		}, want: []string{"node.pem", "not valid before 20", "clock"}},
		{name: "too large", spoil: func(b *credentials.Bundle) { b.CA = bytes.Repeat([]byte("#"), 1<<20+1) }, want: []string{"ca.pem", "larger than"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := good
			if c.spoil != nil {
				c.spoil(&b)
			}
			f := write(t, t.TempDir(), b)
			if c.files != nil {
				c.files(&f)
			}
			s, err := credentials.OpenFiles(f, 0, quiet())
			if err == nil {
				s.Close()
				t.Fatal("opened without an error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of more than one line: %q", err)
			}
		})
	}
}

func TestSourceAcceptsTheFormsOfKeysInUse(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edPub, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edDER, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		t.Fatal(err)
	}
	params := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5, 43, 129, 4, 0, 34}})
	cases := map[string]struct {
		pub, priv any
		key       []byte
	}{
		"SEC 1 after parameters": {ec.Public(), ec, append(params, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ecDER})...)},
		"PKCS 1":                 {r.Public(), r, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(r)})},
		"Ed25519 in PKCS 8":      {edPub, ed, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: edDER})},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			self := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "self"}, NotAfter: time.Now().Add(time.Hour)}
			der, err := x509.CreateCertificate(rand.Reader, self, self, c.pub, c.priv)
			if err != nil {
				t.Fatal(err)
			}
			cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
			s, err := credentials.NewSource(credentials.Bundle{Cert: cert, Key: c.key, CA: cert}, quiet())
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
		})
	}
}

func FuzzNewSource(f *testing.F) {
	ca, err := credentials.NewDevCA()
	if err != nil {
		f.Fatal(err)
	}
	b := testkit.Issue(f, ca, credentials.Leaf{})
	f.Add(b.Cert, b.Key, b.CA)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), b.Key, b.CA)
	f.Add([]byte{}, []byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"), []byte{})
	f.Fuzz(func(t *testing.T, cert, key, authorities []byte) {
		s, err := credentials.NewSource(credentials.Bundle{Cert: cert, Key: key, CA: authorities}, quiet())
		if (s == nil) != (err != nil) {
			t.Fatalf("source %v, error %v", s, err)
		}
		if s != nil {
			s.Close()
		}
	})
}
