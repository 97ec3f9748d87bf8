package credentials_test

import (
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

func TestAHostWithoutItsZone(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"fe80::1%eth0": "fe80::1", "::1%1": "::1", "fe80::1": "fe80::1", "10.0.0.7": "10.0.0.7", "a.example": "a.example", "a%b": "a%b", "": "",
	} {
		if got := credentials.WithoutZone(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestWhomACertificateIsFor(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	for _, c := range []struct {
		hosts []string
		want  string
	}{
		{[]string{"a.example", "10.0.0.7", "spiffe://prod.example/a"}, "spiffe://prod.example/a, a.example, 10.0.0.7"},
		{[]string{"a", "b", "c", "d", "e", "f"}, "a, b, c, d, 2 more"},
		{[]string{}, "nobody (no DNS name, no IP address and no SPIFFE id)"},
	} {
		s := source(t, testkit.Issue(t, ca, credentials.Leaf{Hosts: c.hosts}))
		if got := credentials.For(s.Chain()[0]); got != c.want {
			t.Errorf("%q: for %q, want %q", c.hosts, got, c.want)
		}
	}
}
