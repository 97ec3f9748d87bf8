// Package certs makes development certificates on disk: a certificate authority,
// and certificates for nodes, clients and administrators. Each certificate has an
// identity and a role of its own. The command "rpcnet certs", the examples and
// tests use it. It is not for production: the authority's key lies beside the certificates.
//
// A folder holds one authority and a pair of files for each certificate. Files are
// only ever added. Nothing is overwritten or removed, because running programs may
// use them and a key that is gone cannot be made again. Instead an error names the
// files to remove.
//
// Several processes can work in one folder without a lock. A file appears under its
// name when it is complete (write), and the first process to give the name wins. The
// others see that and use what is there. Functions block on the disk and have no state.
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

	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

// The names of the files in a folder of development certificates. Cert and Key
// are those of the node certificate.
const (
	CA    = "ca.pem"
	CAKey = "ca_key.pem"
	Cert  = "test_cert.pem"
	Key   = "test_key.pem"
)

// Domain is the trust domain of the SPIFFE ids in the certificates. The domain
// ".test" is reserved (RFC 6761), so that no real one is the same.
const Domain = "rpcnet.test"

// Roles are the roles that a certificate can state. docs/security.md says what each
// allows.
var Roles = []string{"node", "worker", "director", "client", "admin"}

// A Leaf says what a certificate contains. Its files are Name_cert.pem and
// Name_key.pem.
type Leaf struct {
	Name  string   // 1 to 64 letters, digits, '-' and '.'; the first is not '.'
	Role  string   // one of [Roles]
	Hosts []string // hosts of a node, in addition to [credentials.DevHosts]
}

// Files returns the names of the files of a leaf: the certificate's and the key's.
// Those of the leaf "test" are [Cert] and [Key].
func Files(name string) (cert, key string) { return name + "_cert.pem", name + "_key.pem" }

// id returns the SPIFFE id that states the role, as rpcnet.Roles reads it.
func (l Leaf) id() string { return "spiffe://" + Domain + "/rpcnet/" + l.Role + "/" + l.Name }

// check returns an error if the leaf cannot be made. The name becomes part of a file's
// name and of a URI, so that only characters are allowed that mean themselves in both.
func (l Leaf) check() error {
	switch {
	case !slices.Contains(Roles, l.Role):
		return fmt.Errorf("role %q: want one of %s", l.Role, strings.Join(Roles, ", "))
	case l.Name == "" || len(l.Name) > 64 || strings.HasPrefix(l.Name, "."):
		return fmt.Errorf("name %q: want 1 to 64 letters, digits, '-' and '.'", l.Name)
	case l.Name == "ca": // its key would be the file CAKey
		return errors.New(`name "ca": that is the authority's`)
	case len(l.Hosts) > 0 && !l.serves(): // the hosts would be left out in silence
		return fmt.Errorf("role %s with hosts: only those that serve have hosts", l.Role)
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

// serves reports whether the role is one of a server, which others dial. Only such
// a certificate has hosts and is good for servers. Without that usage its holder is
// never a node, even if it states that role.
func (l Leaf) serves() bool { return l.Role != "client" && l.Role != "admin" }

// A File is one of the files that [Make] or [Add] made or kept. Commands list them
// to the user.
type File struct {
	Path string
	Kept bool // it existed before and is unchanged
}

// Make makes an authority and three certificates signed by it in the folder dir.
// One is for all nodes of a machine, in the files [Cert] and [Key], and names
// [credentials.DevHosts] and hosts. The others are for a client and an administrator. All
// keys are ECDSA P-256, and only their owner can read the files.
//
// Make keeps the files that exist and never overwrites one. If a file exists that
// cannot be used, such as half a pair, an expired certificate or one that lacks a
// host, the error says which files to remove. Several processes can call Make for
// the same folder at once. It makes the folder if there is none. A call lasts up to
// a second if another process is at work.
func Make(dir string, hosts []string) ([]File, error) {
	return add(dir, Leaf{"test", "node", hosts}, Leaf{"client", "client", nil}, Leaf{"admin", "admin", nil})
}

// Add does the same as [Make] for one certificate, and makes the authority if
// there is none. The error also says what is wrong with l.
func Add(dir string, l Leaf) ([]File, error) { return add(dir, l) }

// add makes the files that are missing. If another process makes them at the same
// time, half of a pair can be there for a moment, so add looks again for a second
// before it gives up.
func add(dir string, leaves ...Leaf) (files []File, err error) {
	for _, l := range leaves {
		if err := l.check(); err != nil {
			return nil, err
		}
	}
	const looks, pause = 20, 50 * time.Millisecond // a second in all
	for range looks {
		files, err = addOnce(dir, leaves)
		if !errors.Is(err, fs.ErrExist) && !errors.As(err, new(halfError)) {
			break
		}
		time.Sleep(pause)
	}
	return files, err
}

// A halfError says that one file of a pair exists and the other does not. It is a
// type of its own because it can pass, when another process is about to write
// the other file.
type halfError struct{ error }

// addOnce makes the files that are missing. It returns an error that is
// fs.ErrExist or a halfError if another process makes them at the same time.
func addOnce(dir string, leaves []Leaf) ([]File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// First look at everything: an error must not leave half of the files made.
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
	signed := "" // a certificate that exists: the authority of the folder has signed it
	if i := slices.Index(have, true); i >= 0 {
		signed, _ = Files(leaves[i].Name)
	}
	files, err := authority(dir, complete, signed)
	if err != nil {
		return nil, err
	}
	for i, l := range leaves {
		if have[i] { // also if another process has just made it
			err = check(dir, l)
		} else {
			err = issue(dir, l)
		}
		if err != nil {
			return nil, err
		}
		// What was there before this call is kept, and reported as such.
		cert, key := Files(l.Name)
		files = append(files, File{filepath.Join(dir, cert), have[i]}, File{filepath.Join(dir, key), have[i]})
	}
	return files, nil
}

// authority makes the authority if dir has none. An authority without its key is
// enough if complete says that there is nothing to sign. signed is the name of a
// certificate that exists, or empty. If it exists without its authority, that is
// an error, because a new authority would not verify it.
func authority(dir string, complete bool, signed string) ([]File, error) {
	// Which of the two files exist decides: both, neither, or one.
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
		// There is nothing to sign, so the authority's key can be elsewhere.
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
	// The key is listed if it is in the folder: it was, or newCA has made it.
	files := []File{{filepath.Join(dir, CA), haveCA}}
	if haveKey || !haveCA {
		files = append(files, File{filepath.Join(dir, CAKey), haveCA})
	}
	return files, nil
}

// Find returns the first of dirs that holds a file of the authority or the node.
// If none does, it returns the first one: that is where [Make] should make them.
// There must be at least one.
func Find(dirs ...string) string {
	for _, dir := range dirs {
		if Present(dir) {
			return dir
		}
	}
	return dirs[0]
}

// Present reports whether dir holds a file of the authority or the node.
func Present(dir string) bool {
	// A folder that cannot be read counts: the program that reads it then shows the
	// error, which new certificates elsewhere would hide.
	return slices.ContainsFunc([]string{CA, CAKey, Cert, Key}, func(name string) bool {
		there, err := exists(dir, name)
		return there || err != nil
	})
}

// exists reports whether dir holds a file called name. The error is any but that
// there is none, such as a lack of permission.
func exists(dir, name string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// pair reports whether both files exist. It returns a halfError if only one does,
// since neither a certificate without its key nor a key alone is of use.
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
	if haveB { // from here on a is the one that exists
		a, b = b, a
	}
	return false, halfError{fmt.Errorf("%s is there and %s is not: remove the first to make both anew", filepath.Join(dir, a), filepath.Join(dir, b))}
}

// newCA makes the authority. The key is written first: a process that finds the
// certificate can then sign. If two processes do this at once, the second fails at
// the key with fs.ErrExist, so that key and certificate are of the same process.
func newCA(dir string) error {
	ca, err := credentials.NewDevCA()
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

// issue signs a certificate with the authority of dir and writes its files, the key
// first, for the same reason as newCA.
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
	ca, err := credentials.ParseDevCA(cert, key, certPath, keyPath)
	if err != nil {
		return err
	}
	// The SPIFFE id states the role. All roles may make calls, so that each certificate
	// is good for clients.
	leaf := credentials.Leaf{CommonName: l.Name, Hosts: []string{l.id()}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if l.serves() {
		leaf.Hosts = slices.Concat(leaf.Hosts, credentials.DevHosts, l.Hosts)
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

// write makes a new file. It fails if the file exists. Other processes see the file
// only when it is complete, because it gets its name by a link at the end. A rename
// would replace a file that exists; a link does not.
func write(dir, name string, data []byte, perm fs.FileMode) error {
	f, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // of the temporary name; the link stays
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(perm), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), filepath.Join(dir, name))
}

// check returns an error if the certificate of l that exists cannot be used: it has
// expired, states another role, or lacks a host. It does not verify the signature:
// a program that loads the certificate does, and says more about what is wrong.
func check(dir string, l Leaf) error {
	certName, keyName := Files(l.Name)
	path := filepath.Join(dir, certName)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	// Each error ends with the way out, because check does not replace the files.
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
	if !covers(cert, l.id()) && l.Name != "test" { // older versions made "test" without a role
		return fmt.Errorf("%s is there and does not state the role %s: %s", path, l.Role, again)
	}
	for _, h := range l.Hosts {
		if !covers(cert, h) {
			return fmt.Errorf("%s is there and is not for host %q: %s", path, h, again)
		}
	}
	return nil
}

// covers reports whether a certificate names a host or a URI. A URI must be the same
// byte for byte. A host is compared as TLS does it, so that "*.example" covers.
func covers(cert *x509.Certificate, host string) bool {
	for _, u := range cert.URIs {
		if u.String() == host {
			return true
		}
	}
	return cert.VerifyHostname(host) == nil
}
