package credentials_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

func TestDevCASurvivesStorage(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	key, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := credentials.ParseDevCA(ca.CertPEM(), key, "ca.pem", "ca_key.pem")
	if err != nil {
		t.Fatal(err)
	}
	a, b := source(t, testkit.Issue(t, ca, credentials.Leaf{})), source(t, testkit.Issue(t, again, credentials.Leaf{}))
	if s, c := handshake(t, a.ServerConfig(alpn), b.ClientConfig("localhost", alpn)); s.err != nil || c.err != nil {
		t.Error(s.err, c.err)
	}
}

func TestParseDevCARefusesWhatIsNoAuthority(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	key, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	leaf := testkit.Issue(t, ca, credentials.Leaf{})
	other, err := testkit.NewCA(t).KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cert, key []byte
		want      string
	}{
		{nil, key, `CA file "ca.pem": holds no PEM block`},
		{ca.CertPEM(), nil, `CA key file "ca_key.pem": holds no PEM block`},
		{ca.CertPEM(), other, `does not fit the certificate in "ca.pem"`},
		{leaf.Cert, leaf.Key, "not one of an authority"},
	} {
		if _, err := credentials.ParseDevCA(c.cert, c.key, "ca.pem", "ca_key.pem"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

func TestIssueRefusesWhatIsNoHost(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	for _, h := range []string{"", "localhost:61000", "http://localhost", "spiffe://", "a b"} {
		if _, err := ca.Issue(credentials.Leaf{Hosts: []string{h}}); err == nil || !strings.Contains(err.Error(), "host") {
			t.Errorf("host %q: error %v", h, err)
		}
	}
}

func TestIssuedCertificatesAreBackdatedAndLastAYear(t *testing.T) {
	t.Parallel()
	s := source(t, testkit.Issue(t, testkit.NewCA(t), credentials.Leaf{}))
	leaf := s.ClientConfig("localhost", nil).Certificates[0].Leaf
	if left := time.Until(leaf.NotAfter); left < 364*24*time.Hour || left > 366*24*time.Hour {
		t.Errorf("valid for %v, want a year", left)
	}
	if age := time.Since(leaf.NotBefore); age < 59*time.Minute {
		t.Errorf("valid since %v, want an hour", age)
	}
}
