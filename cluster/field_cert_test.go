package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/clustertest"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

// loopback resolves every name to this machine.
func loopback(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }

// TestFieldTheCertificateAgainstWhatIsAdvertised: Join says what other nodes will
// refuse, and what to change.
func TestFieldTheCertificateAgainstWhatIsAdvertised(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, advertise string
		hosts           []string
		says            string // of a warning; none: no warning
	}{
		{"for localhost, at another address", "10.0.0.7:1", []string{"localhost", "127.0.0.1"}, "carries neither the address that it advertises nor a name"},
		{"for another name than is advertised", "other.example:1", []string{"a.example"}, "does not carry the name that it advertises"},
		{"a SPIFFE id under no rule", "10.0.0.7:1", []string{"spiffe://prod.example/a"}, "rpcnet.PeerPattern"},
		{"for the address", "10.0.0.7:1", []string{"10.0.0.7"}, ""},
		{"for the name", "a.example:1", []string{"a.example"}, ""},
		{"a SPIFFE id with a role", "10.0.0.7:1", []string{"spiffe://prod.example/rpcnet/node/a"}, ""},
	} {
		creds, err := shared().Credentials(c.hosts...)
		if err != nil {
			t.Fatal(err)
		}
		ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		defer ep.Close()
		book := &logbook{}
		join(t, ep, cluster.Config{Name: "a", Advertise: c.advertise, Discovery: cluster.DiscoveryConfig{Resolve: loopback}, Logger: slog.New(book)}).Node.Close()
		var warnings []string
		for _, line := range book.since(0) {
			if strings.HasPrefix(line, "WARN") {
				warnings = append(warnings, line)
			}
		}
		if want := min(len(c.says), 1); len(warnings) != want || want == 1 && !strings.Contains(warnings[0], c.says) {
			t.Errorf("%s: %q, want %d that says %q", c.name, warnings, want, c.says)
		}
	}
	t.Log("field | a certificate that is not for what the node advertises | one line at the start | 3 of 3, none for 3 good ones")
}

// TestFieldARenewedCertificateHasAnotherName: the others hear by which name a node
// is verified now.
func TestFieldARenewedCertificateHasAnotherName(t *testing.T) {
	t.Parallel()
	ca, err := credentials.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(host string) {
		b, err := ca.Issue(credentials.Leaf{Hosts: []string{host}})
		if err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string][]byte{"cert": b.Cert, "key": b.Key, "ca": b.CA} {
			if err := os.WriteFile(at(name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	node := func(name, seed string) (*clustertest.History, *rpcnet.Endpoint) {
		ep, err := rpcnet.Listen("127.0.0.1:0", rpcnet.CertFiles(at("cert"), at("key"), at("ca")), &rpcnet.EndpointConfig{Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ep.Close() })
		cfg := cluster.Config{Name: name, Discovery: cluster.DiscoveryConfig{Resolve: loopback}}
		if seed != "" {
			cfg.Seeds = []string{seed}
		}
		return join(t, ep, cfg), ep
	}
	write("before.example")
	a, aEp := node("a", "")
	_, port, _ := strings.Cut(aEp.Addr().String(), ":")
	b, _ := node("b", "before.example:"+port)
	verifiedBy := func(by *clustertest.History, of, want string) {
		eventually(t, func() error {
			m, _ := by.Node.Lookup(of)
			if m.ServerName != want {
				return fmt.Errorf("%s is verified by %q, want %q", of, m.ServerName, want)
			}
			return nil
		})
	}
	verifiedBy(a, "b", "before.example")
	write("after.example")
	began := time.Now()
	verifiedBy(a, "b", "after.example")
	verifiedBy(b, "a", "after.example")
	t.Logf("field | a renewed certificate has another name | the others know it within 20s | after %v", time.Since(began).Round(time.Millisecond))
}
