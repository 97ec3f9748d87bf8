package cluster

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

func leafFor(t *testing.T, hosts ...string) *x509.Certificate {
	t.Helper()
	ca, err := credentials.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ca.Issue(credentials.Leaf{Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	s, err := credentials.NewSource(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.Chain()[0]
}

func TestTheNameThatOthersVerifyANodeBy(t *testing.T) {
	t.Parallel()
	const id = "spiffe://prod.example/worker"
	for _, c := range []struct {
		hosts     []string
		advertise string
		addr      string
		want      string
		ok        bool
	}{
		{[]string{"10.0.0.7"}, "", "10.0.0.7", "", true},
		{[]string{"10.0.0.7", "a.example"}, "", "10.0.0.7", "", true},
		{[]string{"10.0.0.7", "a.example"}, "a.example:1", "10.0.0.7", "a.example", true},
		{[]string{"*.example"}, "a.example", "10.0.0.7", "a.example", true},
		{[]string{"a.example", "b.example"}, "", "10.0.0.7", "a.example", true},
		{[]string{"a.example"}, "other.example:1", "10.0.0.7", "a.example", true},
		{[]string{"a.example"}, "10.0.0.7:1", "10.0.0.7", "a.example", true},
		{[]string{id}, "", "10.0.0.7", id, true},
		{[]string{id, "localhost", "127.0.0.1"}, "", "10.0.0.7", id, true},
		{[]string{"localhost"}, "", "127.0.0.1", "localhost", true},
		{[]string{"localhost", "node.localhost", "127.0.0.1"}, "", "10.0.0.7", "", false},
		{[]string{"*.example"}, "", "10.0.0.7", "", false},
		{[]string{"spiffe://prod.example/" + strings.Repeat("x", gossip.MaxServerName)}, "", "10.0.0.7", "", true},
		{[]string{}, "", "10.0.0.7", "", false},
	} {
		got, ok := ownName(leafFor(t, c.hosts...), c.advertise, netip.MustParseAddr(c.addr))
		if got != c.want || ok != c.ok {
			t.Errorf("%q that advertises %q at %s: %q, %v, want %q, %v", c.hosts, c.advertise, c.addr, got, ok, c.want, c.ok)
		}
	}
}

func TestNamesThatAreGoodAtAnAddress(t *testing.T) {
	t.Parallel()
	const here, there = "10.0.0.7:1", "10.0.0.8:1"
	var told toldNames
	wants := func(addr string, names ...string) {
		t.Helper()
		got := told.wanted("", addr)
		slices.Sort(got[1:])
		if !slices.Equal(got, names) {
			t.Errorf("at %s: %q, want %q", addr, got, names)
		}
	}
	wants(here, "10.0.0.7")
	told.set("a@1", "", here, "a.example")
	told.set("b@1", "", here, "b.example")
	wants(here, "10.0.0.7", "a.example", "b.example")
	told.set("a@1", here, there, "a.example")
	wants(here, "10.0.0.7", "b.example")
	wants(there, "10.0.0.8", "a.example")
	told.set("a@1", there, "", "")
	told.set("b@1", here, here, "")
	wants(here, "10.0.0.7")
	if len(told.at) > 0 {
		t.Errorf("kept of nobody: %v", told.at)
	}
	told.set("a@1", "", here, "a.example")
	told.set(seedPrefix+"seed.example:1", "", here, "seed.example")
	for i := range 10 * maxWantedNames {
		told.set("x@"+strings.Repeat("1", i+1), "", here, strings.Repeat("x", i+1))
	}
	// Those who invent members there crowd nobody out.
	got := told.wanted("a@1", here)
	if !slices.Contains(got, "a.example") || !slices.Contains(got, "seed.example") || len(got) != maxWantedNames+3 {
		t.Errorf("%d names are good for a member at an address with many: %q", len(got), got)
	}
}

// The name takes room in gossip from the tags.
func TestTagsBesideALongName(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("n", 200)
	n := &announcement{n: &Node{advertise: netip.MustParseAddrPort("10.0.0.7:1")}}
	n.serverName.Store(&name)
	tags := Tags{"a": strings.Repeat("x", 250)}
	if err := tags.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := n.fits(tags); err != nil {
		t.Errorf("they fit: %v", err)
	}
	tags["b"] = strings.Repeat("x", 50)
	if err := n.fits(tags); !errors.Is(err, errTagsTooLarge) || !strings.Contains(err.Error(), name) {
		t.Errorf("%v, want errTagsTooLarge and the name", err)
	}
	empty := ""
	n.serverName.Store(&empty)
	if err := n.fits(tags); err != nil {
		t.Errorf("without a name: %v", err)
	}
}
