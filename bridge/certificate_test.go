package bridge_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

// holding returns a client with a certificate of its own from the site's authority.
func (s *site) holding(leaf credentials.Leaf) *http.Client {
	s.t.Helper()
	bundle, err := s.ca.Issue(leaf)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(bundle.Cert, bundle.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	c := s.client(true, true)
	c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{cert}
	return c
}

// A certificate for clients calls, and an administrator's sees everything, without a token.
func TestRolesOfCertificates(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	clientOnly := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for name, c := range map[string]struct {
		leaf    credentials.Leaf
		metrics int
	}{
		"for clients alone":   {credentials.Leaf{Usages: clientOnly}, 403},
		"of a client":         {credentials.Leaf{Hosts: []string{"spiffe://test/rpcnet/client/a"}, Usages: clientOnly}, 403},
		"of a worker":         {credentials.Leaf{Hosts: []string{"spiffe://test/rpcnet/worker/a"}}, 403},
		"of an administrator": {credentials.Leaf{Hosts: []string{"spiffe://test/rpcnet/admin/a"}}, 200},
	} {
		client := s.holding(c.leaf)
		q := post("Echo", `{}`)
		q.token = ""
		if status, body := s.ask(client, q); status != 200 {
			t.Errorf("a certificate %s: a call is %d %s, want 200", name, status, body)
		}
		// A token that comes with a certificate is not looked at.
		for _, token := range []string{"", adminToken} {
			if status, body := s.ask(client, request{"GET", "/metrics", "", nil, token, ""}); status != c.metrics {
				t.Errorf("a certificate %s with the token %q: metrics are %d %s, want %d", name, token, status, body, c.metrics)
			}
		}
	}
}

// A connection that outlives its certificate calls nothing more.
func TestExpiredCertificatesEndWithTheirTime(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	q := post("Echo", `{}`)
	q.token = ""
	client := s.holding(credentials.Leaf{NotAfter: time.Now().Add(10 * time.Second)})
	if status, body := s.ask(client, q); status != 200 {
		t.Fatalf("before: %d %s", status, body)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, _ := s.ask(client, q)
		if status == 401 {
			return
		}
		if status != 200 || time.Now().After(deadline) {
			t.Fatalf("after: %d, want 401", status)
		}
	}
}
