package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

var all = []string{certs.CA, certs.CAKey, certs.Cert, certs.Key}

func makeSet(t *testing.T, dir string, hosts ...string) []certs.File {
	t.Helper()
	files, err := certs.Make(dir, hosts)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	for _, name := range all {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		m[name] = data
	}
	return m
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMakeWritesAUsableSetWithKeysForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "certs")
	for _, f := range makeSet(t, dir, "node.example.org", "10.0.0.7") {
		if f.Kept {
			t.Errorf("%s kept in an empty folder", f.Path)
		}
	}
	for name, want := range map[string]fs.FileMode{certs.CAKey: 0o600, certs.Key: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), want)
		}
	}
	s, err := credentials.OpenFiles(credentials.Files{Cert: filepath.Join(dir, certs.Cert), Key: filepath.Join(dir, certs.Key), CA: filepath.Join(dir, certs.CA)}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certs.Cert), filepath.Join(dir, certs.Key))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "node.example.org", "10.0.0.7"} {
		if err := pair.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if key, ok := pair.PrivateKey.(*ecdsa.PrivateKey); !ok || key.Params().Name != "P-256" {
		t.Errorf("key of type %T, want ECDSA P-256", pair.PrivateKey)
	}
}

func TestMakeOverwritesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeSet(t, dir)
	before := contents(t, dir)
	for _, f := range makeSet(t, dir) {
		if !f.Kept {
			t.Errorf("%s not reported as kept", f.Path)
		}
	}
	for name, data := range contents(t, dir) {
		if !bytes.Equal(data, before[name]) {
			t.Errorf("%s has changed", name)
		}
	}
}

func TestMakeSignsANewNodeCertificateWithTheAuthorityThatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeSet(t, dir)
	before := contents(t, dir)
	remove(t, dir, certs.Cert, certs.Key)
	files := makeSet(t, dir, "other.example.org")
	for i, kept := range []bool{true, true, false, false} {
		if files[i].Kept != kept {
			t.Errorf("%s: kept %v, want %v", files[i].Path, files[i].Kept, kept)
		}
	}
	after := contents(t, dir)
	if !bytes.Equal(before[certs.CA], after[certs.CA]) || bytes.Equal(before[certs.Cert], after[certs.Cert]) {
		t.Error("want the old authority and a new node certificate")
	}
}

func TestMakeNeedsNoAuthorityKeyWhenTheRestIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeSet(t, dir)
	remove(t, dir, certs.CAKey)
	if files := makeSet(t, dir); len(files) != 7 {
		t.Errorf("%d files reported, want the 7 that are there", len(files))
	}
}

func TestMakeSaysWhatToRemove(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		remove []string
		hosts  []string
		want   string
	}{
		{"authority without key", []string{certs.CAKey, certs.Cert, certs.Key}, nil, "ca_key.pem is not"},
		{"key without authority", []string{certs.CA, certs.Cert, certs.Key}, nil, "ca.pem is not"},
		{"certificate without key", []string{certs.Key}, nil, "test_key.pem is not"},
		{"key without certificate", []string{certs.Cert}, nil, "test_cert.pem is not"},
		{"certificate without authority", []string{certs.CA, certs.CAKey}, nil, "ca.pem is not"},
		{"another host", nil, []string{"example.org"}, `not for host "example.org": remove test_cert.pem and test_key.pem`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			makeSet(t, dir)
			remove(t, dir, c.remove...)
			if _, err := certs.Make(dir, c.hosts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestPresentSeesAnyFileOfTheSet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if certs.Present(dir) || certs.Present(filepath.Join(dir, "absent")) {
		t.Error("an empty or absent folder is said to hold certificates")
	}
	makeSet(t, dir)
	remove(t, dir, certs.CA, certs.CAKey, certs.Cert)
	if !certs.Present(dir) {
		t.Error("a key alone is overlooked")
	}
}

func TestFindPrefersTheFirstFolderThatHoldsAny(t *testing.T) {
	t.Parallel()
	empty, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	makeSet(t, first)
	makeSet(t, second)
	if got := certs.Find(empty, first, second); got != first {
		t.Errorf("found %s, want %s", got, first)
	}
	if got := certs.Find(empty, t.TempDir()); got != empty {
		t.Errorf("found %s, want %s", got, empty)
	}
}

func TestCertificatesStateTheRoleOfTheirHolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeSet(t, dir)
	files, err := certs.Add(dir, certs.Leaf{Name: "worker-a", Role: "worker", Hosts: []string{"10.0.0.7"}})
	if err != nil || len(files) != 4 || !files[0].Kept || files[2].Kept || files[2].Path != filepath.Join(dir, "worker-a_cert.pem") {
		t.Fatalf("%v, %v", files, err)
	}
	for name, want := range map[string]struct {
		id     string
		usages int
		host   string
	}{
		"test":     {"spiffe://rpcnet.test/rpcnet/node/test", 2, "localhost"},
		"worker-a": {"spiffe://rpcnet.test/rpcnet/worker/worker-a", 2, "10.0.0.7"},
		"client":   {"spiffe://rpcnet.test/rpcnet/client/client", 1, ""},
		"admin":    {"spiffe://rpcnet.test/rpcnet/admin/admin", 1, ""},
	} {
		cert, key := certs.Files(filepath.Join(dir, name))
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		leaf := pair.Leaf
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != want.id || len(leaf.ExtKeyUsage) != want.usages {
			t.Errorf("%s: %v with usages %v, want %+v", name, leaf.URIs, leaf.ExtKeyUsage, want)
		}
		if want.host != "" && leaf.VerifyHostname(want.host) != nil || want.host == "" && len(leaf.DNSNames)+len(leaf.IPAddresses) > 0 {
			t.Errorf("%s is for %v and %v, want %q", name, leaf.DNSNames, leaf.IPAddresses, want.host)
		}
	}
	again, err := certs.Add(dir, certs.Leaf{Name: "worker-a", Role: "worker"})
	if err != nil || !again[2].Kept {
		t.Errorf("%v, %v", again, err)
	}
}

func TestAddSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeSet(t, dir)
	for _, c := range []struct {
		leaf certs.Leaf
		want string
	}{
		{certs.Leaf{Name: "x", Role: "emperor"}, "want one of node, worker"},
		{certs.Leaf{Name: "", Role: "node"}, "want 1 to 64"},
		{certs.Leaf{Name: "../x", Role: "node"}, "want 1 to 64"},
		{certs.Leaf{Name: "a/b", Role: "node"}, "does not belong"},
		{certs.Leaf{Name: "ca", Role: "node"}, "the authority's"},
		{certs.Leaf{Name: "x", Role: "client", Hosts: []string{"a"}}, "only those that serve have hosts"},
		{certs.Leaf{Name: "admin", Role: "worker"}, "does not state the role worker: remove admin_cert.pem"},
	} {
		if _, err := certs.Add(dir, c.leaf); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.leaf, err, c.want)
		}
	}
}

// Several programs may make the certificates of one folder at a time.
func TestMakersOfOneFolderDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var makers sync.WaitGroup
	for i := range 8 {
		makers.Go(func() {
			if _, err := certs.Make(dir, nil); err != nil {
				t.Error(err)
			}
			if _, err := certs.Add(dir, certs.Leaf{Name: fmt.Sprint("worker-", i%2), Role: "worker"}); err != nil {
				t.Error(err)
			}
		})
	}
	makers.Wait()
	makeSet(t, dir)
}
