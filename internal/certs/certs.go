// Package certs makes development certificates on disk: a certificate authority
// and one node certificate that all nodes of a machine may share. It serves the
// command "rpcnet certs" and the example.
package certs

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/link"
)

// The names of the files in a folder of development certificates.
const (
	CA    = "ca.pem"
	CAKey = "ca_key.pem"
	Cert  = "test_cert.pem"
	Key   = "test_key.pem"
)

// A File is one of the four files, as [Make] left it.
type File struct {
	Path string
	Kept bool // it was there before, and is as it was
}

// Make sees to it that dir holds an authority and a node certificate signed by
// it, for [link.DevHosts] and the hosts given besides: ECDSA P-256, keys
// readable by their owner alone. What is there is used and never overwritten.
// What is there and is of no use (half a pair, a certificate that has expired
// or lacks one of the hosts) is an error that says what to remove.
func Make(dir string, hosts []string) ([]File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	haveCA, err := exists(dir, CA)
	if err != nil {
		return nil, err
	}
	haveCAKey, err := exists(dir, CAKey)
	if err != nil {
		return nil, err
	}
	haveCert, err := pair(dir, Cert, Key)
	if err != nil {
		return nil, err
	}
	switch {
	case haveCert && haveCA:
		// Complete, with or without the key of the authority.
	case haveCA != haveCAKey:
		present, absent := CA, CAKey
		if haveCAKey {
			present, absent = CAKey, CA
		}
		return nil, fmt.Errorf("%s is there and %s is not: put it back, or remove the first to make a new authority",
			filepath.Join(dir, present), filepath.Join(dir, absent))
	case haveCert:
		return nil, fmt.Errorf("%s is there and %s is not: put it back, or remove %s and %s to make new ones",
			filepath.Join(dir, Cert), filepath.Join(dir, CA), Cert, Key)
	}

	var files []File
	if !haveCA {
		if err := newCA(dir); err != nil {
			return nil, err
		}
	}
	files = append(files, File{filepath.Join(dir, CA), haveCA})
	if haveCAKey || !haveCA {
		files = append(files, File{filepath.Join(dir, CAKey), haveCA})
	}
	if haveCert {
		err = check(dir, hosts)
	} else {
		err = issue(dir, hosts)
	}
	if err != nil {
		return nil, err
	}
	return append(files, File{filepath.Join(dir, Cert), haveCert}, File{filepath.Join(dir, Key), haveCert}), nil
}

// Find returns the first of dirs that holds any of the four files, or else the
// first of all.
func Find(dirs ...string) string {
	for _, dir := range dirs {
		if Present(dir) {
			return dir
		}
	}
	return dirs[0]
}

// Present reports whether dir holds any of the four files.
func Present(dir string) bool {
	return slices.ContainsFunc([]string{CA, CAKey, Cert, Key}, func(name string) bool {
		there, err := exists(dir, name)
		return there || err != nil
	})
}

func exists(dir, name string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// pair reports whether both files are there; one alone is an error.
func pair(dir, a, b string) (bool, error) {
	haveA, err := exists(dir, a)
	if err != nil {
		return false, err
	}
	haveB, err := exists(dir, b)
	if err != nil {
		return false, err
	}
	if haveA == haveB {
		return haveA, nil
	}
	if haveB {
		a, b = b, a
	}
	return false, fmt.Errorf("%s is there and %s is not: remove the first to make both anew", filepath.Join(dir, a), filepath.Join(dir, b))
}

func newCA(dir string) error {
	ca, err := link.NewDevCA()
	if err != nil {
		return err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return err
	}
	if err := write(dir, CAKey, key, 0o600); err != nil {
		return err
	}
	return write(dir, CA, ca.CertPEM(), 0o644)
}

func issue(dir string, hosts []string) error {
	certPath, keyPath := filepath.Join(dir, CA), filepath.Join(dir, CAKey)
	cert, err := os.ReadFile(certPath)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(keyPath)
	if err != nil {
		return err
	}
	ca, err := link.ParseDevCA(cert, key, certPath, keyPath)
	if err != nil {
		return err
	}
	b, err := ca.Issue(link.Leaf{Hosts: slices.Concat(link.DevHosts, hosts)})
	if err != nil {
		return err
	}
	if err := write(dir, Key, b.Key, 0o600); err != nil {
		return err
	}
	return write(dir, Cert, b.Cert, 0o644)
}

// write makes a file that is not there yet.
func write(dir, name string, data []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// check says what is wrong with the node certificate that is kept.
func check(dir string, hosts []string) error {
	path := filepath.Join(dir, Cert)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	again := fmt.Sprintf("remove %s and %s to make new ones", Cert, Key)
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%s holds no PEM block: %s", path, again)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, again)
	}
	if time.Now().After(cert.NotAfter) {
		return fmt.Errorf("%s expired on %s: %s", path, cert.NotAfter.UTC().Format(time.DateOnly), again)
	}
	for _, h := range hosts {
		if !covers(cert, h) {
			return fmt.Errorf("%s is there and is not for host %q: %s", path, h, again)
		}
	}
	return nil
}

func covers(cert *x509.Certificate, host string) bool {
	for _, u := range cert.URIs {
		if u.String() == host {
			return true
		}
	}
	return cert.VerifyHostname(host) == nil
}
