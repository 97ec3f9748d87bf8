package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// A certDir is a directory with a certificate authority and one certificate
// for both sides, which all libraries use.
type certDir string

// makeCertificates makes them anew in dir.
func makeCertificates(dir string) (certDir, error) {
	_, err := certs.Make(dir, nil)
	return certDir(dir), err
}

func (c certDir) certificate() string { return filepath.Join(string(c), certs.Cert) }
func (c certDir) key() string         { return filepath.Join(string(c), certs.Key) }
func (c certDir) authority() string   { return filepath.Join(string(c), certs.CA) }

func (c certDir) load() (tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.LoadX509KeyPair(c.certificate(), c.key())
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pem, err := os.ReadFile(c.authority())
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return tls.Certificate{}, nil, errors.New("no certificate in " + c.authority())
	}
	return cert, pool, nil
}

// server returns the configuration of the libraries that take one: TLS 1.3 and
// a certificate of the client.
func (c certDir) server() (*tls.Config, error) {
	cert, pool, err := c.load()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}, err
}

// client is the other side of server.
func (c certDir) client() (*tls.Config, error) {
	cert, pool, err := c.load()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		RootCAs:      pool,
		ServerName:   "localhost",
	}, err
}
