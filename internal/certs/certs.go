// Package certs makes development certificates on disk: a certificate authority,
// and certificates for nodes, clients and administrators, each with an identity
// and a role of its own. It serves the command "rpcnet certs" and the example.
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
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/link"
)

// The names of the files in a folder of development certificates. Cert and Key
// are those of the node certificate.
const (
	CA    = "ca.pem"
	CAKey = "ca_key.pem"
	Cert  = "test_cert.pem"
	Key   = "test_key.pem"
)

// Domain is the trust domain of the SPIFFE ids that are made.
const Domain = "rpcnet.test"

// Roles are what a certificate can say of its holder.
var Roles = []string{"node", "worker", "director", "client", "admin"}

// A Leaf is what a certificate is to say. Its files are Name_cert.pem and
// Name_key.pem.
type Leaf struct {
	Name  string   // letters, digits, '-' and '.'
	Role  string   // one of [Roles]
	Hosts []string // of a node, besides [link.DevHosts]
}

// Files returns the names of a leaf's files: certificate and key.
func Files(name string) (cert, key string) { return name + "_cert.pem", name + "_key.pem" }

// id returns the SPIFFE id that states the role, as rpcnet.Roles reads it.
func (l Leaf) id() string { return "spiffe://" + Domain + "/rpcnet/" + l.Role + "/" + l.Name }

func (l Leaf) check() error {
	switch {
	case !slices.Contains(Roles, l.Role):
		return fmt.Errorf("role %q: want one of %s", l.Role, strings.Join(Roles, ", "))
	case l.Name == "" || len(l.Name) > 64 || strings.HasPrefix(l.Name, "."):
		return fmt.Errorf("name %q: want 1 to 64 letters, digits, '-' and '.'", l.Name)
	case l.Name == "ca":
		return errors.New(`name "ca": that is the authority's`)
	case len(l.Hosts) > 0 && !l.serves():
		return fmt.Errorf("role %s with hosts: nobody dials a holder of it", l.Role)
	}
	for _, r := range l.Name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
		default:
			return fmt.Errorf("name %q: %q does not belong there: want letters, digits, '-' and '.'", l.Name, r)
		}
	}
	return nil
}

// serves reports whether others dial a holder of the role.
func (l Leaf) serves() bool { return l.Role != "client" && l.Role != "admin" }

// A File is one of the files, as [Make] or [Add] left it.
type File struct {
	Path string
	Kept bool // it was there before, and is as it was
}

// Make sees to it that dir holds an authority and three certificates signed by
// it: one for all nodes of a machine, in [Cert] and [Key], for [link.DevHosts]
// and the hosts given besides; one of a client; one of an administrator. All are
// ECDSA P-256, keys readable by their owner alone. What is there is used and
// never overwritten. What is there and is of no use (half a pair, a certificate
// that has expired or lacks one of the hosts) is an error that says what to
// remove.
func Make(dir string, hosts []string) ([]File, error) {
	return add(dir, Leaf{"test", "node", hosts}, Leaf{"client", "client", nil}, Leaf{"admin", "admin", nil})
}

// Add is [Make] for one certificate, and the authority if there is none.
func Add(dir string, l Leaf) ([]File, error) { return add(dir, l) }

// add makes what is missing. Another process may be doing the same in the same
// folder: what looks half made is looked at again for a second.
func add(dir string, leaves ...Leaf) (files []File, err error) {
	for _, l := range leaves {
		if err := l.check(); err != nil {
			return nil, err
		}
	}
	const looks, pause = 20, 50 * time.Millisecond
	for range looks {
		files, err = addOnce(dir, leaves)
		if !errors.Is(err, fs.ErrExist) && !errors.As(err, new(halfError)) {
			break
		}
		time.Sleep(pause)
	}
	return files, err
}

// A halfError says that one file of two is there.
type halfError struct{ error }

func addOnce(dir string, leaves []Leaf) ([]File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	have := make([]bool, len(leaves))
	complete := true
	for i, l := range leaves {
		var err error
		cert, key := Files(l.Name)
		if have[i], err = pair(dir, cert, key); err != nil {
			return nil, err
		}
		complete = complete && have[i]
	}
	signed := "" // a certificate that is there
	if i := slices.Index(have, true); i >= 0 {
		signed, _ = Files(leaves[i].Name)
	}
	files, err := authority(dir, complete, signed)
	if err != nil {
		return nil, err
	}
	for i, l := range leaves {
		if have[i] {
			err = check(dir, l)
		} else {
			err = issue(dir, l)
		}
		if err != nil {
			return nil, err
		}
		cert, key := Files(l.Name)
		files = append(files, File{filepath.Join(dir, cert), have[i]}, File{filepath.Join(dir, key), have[i]})
	}
	return files, nil
}

// authority sees to it that dir holds an authority that can sign, or one
// without its key if complete says that nothing is to be signed. signed is a
// certificate of it that is there, if any.
func authority(dir string, complete bool, signed string) ([]File, error) {
	haveCA, err := exists(dir, CA)
	if err != nil {
		return nil, err
	}
	haveKey, err := exists(dir, CAKey)
	if err != nil {
		return nil, err
	}
	switch {
	case complete && haveCA:
		// Nothing is to be signed.
	case haveCA != haveKey:
		present, absent := CA, CAKey
		if haveKey {
			present, absent = CAKey, CA
		}
		return nil, halfError{fmt.Errorf("%s is there and %s is not: put it back, or remove the first to make a new authority",
			filepath.Join(dir, present), filepath.Join(dir, absent))}
	case signed != "" && !haveCA:
		return nil, fmt.Errorf("%s is there and %s is not: put it back, or remove the certificates and their keys to make new ones",
			filepath.Join(dir, signed), filepath.Join(dir, CA))
	}
	if !haveCA {
		if err := newCA(dir); err != nil {
			return nil, err
		}
	}
	files := []File{{filepath.Join(dir, CA), haveCA}}
	if haveKey || !haveCA {
		files = append(files, File{filepath.Join(dir, CAKey), haveCA})
	}
	return files, nil
}

// Find returns the first of dirs that holds any of the files of [Make], or else the
// first of all.
func Find(dirs ...string) string {
	for _, dir := range dirs {
		if Present(dir) {
			return dir
		}
	}
	return dirs[0]
}

// Present reports whether dir holds any file of the authority or the node.
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
	return false, halfError{fmt.Errorf("%s is there and %s is not: remove the first to make both anew", filepath.Join(dir, a), filepath.Join(dir, b))}
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

func issue(dir string, l Leaf) error {
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
	leaf := link.Leaf{CommonName: l.Name, Hosts: []string{l.id()}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if l.serves() {
		leaf.Hosts = slices.Concat(leaf.Hosts, link.DevHosts, l.Hosts)
		leaf.Usages = append(leaf.Usages, x509.ExtKeyUsageServerAuth)
	}
	b, err := ca.Issue(leaf)
	if err != nil {
		return err
	}
	certName, keyName := Files(l.Name)
	if err := write(dir, keyName, b.Key, 0o600); err != nil {
		return err
	}
	return write(dir, certName, b.Cert, 0o644)
}

// write makes a file that is not there yet, whole: nobody sees a part of it.
func write(dir, name string, data []byte, perm fs.FileMode) error {
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(perm), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), filepath.Join(dir, name))
}

// check says what is wrong with a certificate that is kept.
func check(dir string, l Leaf) error {
	certName, keyName := Files(l.Name)
	path := filepath.Join(dir, certName)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	again := fmt.Sprintf("remove %s and %s to make new ones", certName, keyName)
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
	if !covers(cert, l.id()) && l.Name != "test" { // which older folders have without a role
		return fmt.Errorf("%s is there and does not state the role %s: %s", path, l.Role, again)
	}
	for _, h := range l.Hosts {
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
