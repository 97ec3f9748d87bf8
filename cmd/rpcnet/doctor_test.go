package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/internal/version"
)

// issueCertificate makes a certificate of the authority of the script, with a day to live.
func issueCertificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: issue NAME HOST AGE")
	}
	age, err := time.ParseDuration(args[2])
	ts.Check(err)
	dir := ts.Value(poolKey{}).(*pool).dir
	authority, err := tls.LoadX509KeyPair(filepath.Join(dir, certs.CA), filepath.Join(dir, certs.CAKey))
	ts.Check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	id, err := url.Parse("spiffe://rpcnet.test/rpcnet/node/" + args[0])
	ts.Check(err)
	made := time.Now().Add(-age)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: made, NotAfter: made.Add(24 * time.Hour),
		DNSNames: []string{args[1]}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, URIs: []*url.URL{id},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, authority.Leaf, key.Public(), authority.PrivateKey)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	certFile, keyFile := certs.Files(args[0])
	ts.Check(os.WriteFile(filepath.Join(dir, certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

// startImpostor listens at an address where a node is expected.
func startImpostor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: impostor NAME [CERTIFICATE]")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
	var config *tls.Config
	if len(args) == 2 {
		cert, key := certs.Files(args[1])
		dir := ts.Value(poolKey{}).(*pool).dir
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, cert), filepath.Join(dir, key))
		ts.Check(err)
		config = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{version.ALPN}}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if config == nil {
				c.Write([]byte("220 mail.example ESMTP\r\n"))
			} else {
				tls.Server(c, config).Handshake()
			}
			c.Close()
		}
	}()
}
