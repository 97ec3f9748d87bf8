package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
)

// situation logs what a field test has measured.
func situation(t testing.TB, what string, bound, measured any) {
	t.Helper()
	t.Logf("field | %s | %v | %v", what, bound, measured)
}

// A names is a resolver whose answers change; a name without one never answers.
type names struct {
	mu    sync.Mutex
	known map[string][]string
}

func (d *names) set(host string, ips ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string][]string{}
	}
	d.known[host] = ips
}

func (d *names) resolve(ctx context.Context, host string) ([]string, error) {
	d.mu.Lock()
	ips, ok := d.known[host]
	d.mu.Unlock()
	if !ok {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if len(ips) == 0 {
		return nil, errors.New("no such host")
	}
	return ips, nil
}

func portOf(t testing.TB, addr string) uint16 {
	t.Helper()
	return netip.MustParseAddrPort(addr).Port()
}

// listenAll returns an endpoint on each of the addresses 127.0.0.1, 127.0.0.2 and
// so on, all of one port.
func listenAll(t testing.TB, count int) (eps []*rpcnet.Endpoint, port uint16) {
	t.Helper()
	if l, err := net.Listen("tcp", "127.0.0.2:0"); err != nil {
		t.Skipf("this machine has no second loopback address: %v", err)
	} else {
		l.Close()
	}
	var hosts []string
	for i := range count {
		hosts = append(hosts, fmt.Sprintf("127.0.0.%d", i+1))
	}
	creds, err := shared().Credentials(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		addr := "127.0.0.1:0"
		eps = nil
		for _, host := range hosts {
			if len(eps) > 0 {
				addr = fmt.Sprintf("%s:%d", host, port)
			}
			ep, err := rpcnet.Listen(addr, creds, &rpcnet.EndpointConfig{Logger: quiet()})
			if err != nil {
				break
			}
			t.Cleanup(func() { ep.Close() })
			eps = append(eps, ep)
			port = portOf(t, eps[0].Addr().String())
		}
		if len(eps) == count {
			return eps, port
		}
	}
	t.Fatalf("no port is free at all of %v", hosts)
	return nil, 0
}

func joined(n *cluster.Node) bool {
	select {
	case <-n.Joined():
		return true
	default:
		return false
	}
}

// One of two names never answers (consul #2140).
func TestFieldADeadNameOfASeedCostsNothing(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	var dns names
	dns.set("lives.example", "127.0.0.1")
	port := portOf(t, a.Node.Self().Addr)
	for _, wait := range []bool{true, false} {
		begun := time.Now()
		b := join(t, listen(t, "127.0.0.1:0"), cluster.Config{
			Name: fmt.Sprint("b", wait), Discovery: cluster.DiscoveryConfig{WaitForSeed: wait, Resolve: dns.resolve},
			Seeds: []string{fmt.Sprint("dead.example:", port), fmt.Sprint("lives.example:", port)},
		})
		took := time.Since(begun)
		if !joined(b.Node) || took > 3*time.Second {
			t.Errorf("with WaitForSeed %v: joined %v, after %v", wait, joined(b.Node), took)
		}
		situation(t, fmt.Sprintf("one of two seed names never answers in DNS, WaitForSeed %v", wait), "joined in < 3s", took)
	}
}

// A resolver that ignores its context holds up neither Join nor Close.
func TestFieldAResolverThatHangsIsLeftBehind(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hangs := func(context.Context, string) ([]string, error) {
		<-release
		return nil, errors.New("too late")
	}
	begun := time.Now()
	_, err := cluster.Join(t.Context(), listen(t, "127.0.0.1:0"), &cluster.Config{
		Name: "b", Seeds: []string{"hangs.example:1"}, Discovery: cluster.DiscoveryConfig{Resolve: hangs, WaitForSeed: true, JoinTimeout: 200 * time.Millisecond}, Logger: quiet(),
	})
	if err == nil || !strings.Contains(err.Error(), "hangs.example:1") {
		t.Errorf("the error does not say which seed hangs: %v", err)
	}
	took := time.Since(begun)
	if took > 4*time.Second {
		t.Errorf("Join and Close took %v", took)
	}
	situation(t, "a resolver that ignores its context", "Join fails in < 4s", took)
}

// The seeds behind a name are replaced while the old ones live (consul #22753):
// the new ones begin a cluster of their own, which the old nodes find.
func TestFieldIslandsOfOneNameFindEachOther(t *testing.T) {
	t.Parallel()
	eps, port := listenAll(t, 4)
	var dns names
	dns.set("seeds.example", "127.0.0.1", "127.0.0.2")
	cfg := cluster.Config{ // one of the names never answers
		Seeds:     []string{fmt.Sprint("dead.example:", port), fmt.Sprint("seeds.example:", port)},
		Discovery: cluster.DiscoveryConfig{Resolve: serveNames(t, &dns), SeedInterval: 200 * time.Millisecond},
	}
	var all []*history
	for i, ep := range eps[:2] {
		cfg.Name = fmt.Sprint("old", i)
		all = append(all, join(t, ep, cfg))
	}
	for _, h := range all {
		h.Sees(t, 2)
	}
	dns.set("seeds.example", "127.0.0.3", "127.0.0.4")
	begun := time.Now()
	for i, ep := range eps[2:] {
		// The new ones do not know a name that changes: only the old can find them.
		all = append(all, join(t, ep, cluster.Config{Name: fmt.Sprint("new", i), Seeds: addrs(all[2:]...)}))
	}
	for _, h := range all {
		h.Sees(t, 4)
	}
	situation(t, "two seeds behind a name replaced while the old ones live, SeedInterval 200ms (default 5s)", "one cluster in < 20s", time.Since(begun))
}

// A name that stands for the node alone is no join, which is told, and asked
// again; so that nodes that start one after another find each other.
func TestFieldANameOfOneselfAloneIsNoJoin(t *testing.T) {
	t.Parallel()
	eps, port := listenAll(t, 2)
	var dns names
	dns.set("seeds.example", "127.0.0.1")
	book := &logbook{}
	cfg := cluster.Config{Seeds: []string{fmt.Sprint("seeds.example:", port)}, Discovery: cluster.DiscoveryConfig{Resolve: dns.resolve, SeedInterval: 200 * time.Millisecond}}
	cfg.Name, cfg.Logger = "a", slog.New(book)
	a := join(t, eps[0], cfg)
	if joined(a.Node) {
		t.Error("it joined itself")
	}
	if !slices.ContainsFunc(book.since(0), func(l string) bool {
		return strings.HasPrefix(l, "WARN") && strings.Contains(l, "this node alone") && strings.Contains(l, "ExpectNodes")
	}) {
		t.Errorf("it does not say so at Warn: %v", book.since(0))
	}
	begun := time.Now()
	b := join(t, eps[1], cluster.Config{Name: "b"})
	dns.set("seeds.example", "127.0.0.1", "127.0.0.2")
	for _, h := range []*history{a, b} {
		h.Sees(t, 2)
		<-h.Node.Joined()
	}
	situation(t, "a name that stands for oneself alone", "told, not joined; joined when it stands for another", time.Since(begun))
}

// Joined is closed however the node has got to see another.
func TestFieldJoinedTellsTheTruthWheneverItHappens(t *testing.T) {
	t.Parallel()
	gone := listen(t, "127.0.0.1:0")
	gone.Close()
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a", Seeds: []string{gone.Addr().String()}})
	if joined(a.Node) {
		t.Fatal("joined nobody")
	}
	b := start(t, "b", a) // a's own seed never answers
	a.Sees(t, 2)
	b.Sees(t, 2)
	select {
	case <-a.Node.Joined():
	case <-time.After(5 * time.Second):
		t.Error("it sees another member and has not joined")
	}
	situation(t, "another node joins through one whose own seed never answers", "Joined closed", joined(a.Node))
}

// A first start: all have the same seeds, and none takes itself for the cluster
// before all are there.
func TestFieldAFirstStartWaitsForTheExpectedNodes(t *testing.T) {
	t.Parallel()
	const count = 3
	eps, port := listenAll(t, count)
	var dns names
	dns.set("seeds.example", "127.0.0.1", "127.0.0.2", "127.0.0.3")
	cfg := cluster.Config{
		Seeds: []string{fmt.Sprint("seeds.example:", port)}, Discovery: cluster.DiscoveryConfig{Resolve: dns.resolve, SeedInterval: 200 * time.Millisecond}, ExpectNodes: count,
	}
	var all []*history
	for i, ep := range eps {
		for _, h := range all {
			h.Sees(t, i)
			if joined(h.Node) || h.Node.Assigns() {
				t.Errorf("with %d of %d nodes %s has joined (%v), assigns (%v)", i, count, h.Node.Self().Name, joined(h.Node), h.Node.Assigns())
			}
		}
		cfg.Name = fmt.Sprint("n", i)
		all = append(all, join(t, ep, cfg))
	}
	for _, h := range all {
		h.Sees(t, count)
		if !joined(h.Node) || !h.Node.Assigns() {
			t.Errorf("%s sees %d nodes and has joined (%v), assigns (%v)", h.Node.Self().Name, count, joined(h.Node), h.Node.Assigns())
		}
	}
	all[2].Node.Close()
	all[0].Wait(t, cluster.KindNodeFailed, "n2")
	if !joined(all[0].Node) || !all[0].Node.Assigns() {
		t.Error("what was joined once is not any more")
	}
	one := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "one", Seeds: []string{"nobody.example:1"}, ExpectNodes: 1,
		Discovery: cluster.DiscoveryConfig{Resolve: func(context.Context, string) ([]string, error) { return nil, errors.New("no such host") }}})
	if !joined(one.Node) {
		t.Error("a node that may be the only one has not joined")
	}
	situation(t, "a first start of 3 nodes with the same name", "none joined or assigns before 3 are in view", "none did")
}

// A seed that turns out to be the node itself, by an address that it does not
// advertise, is told with what to set.
func TestFieldASeedThatIsOneselfIsTold(t *testing.T) {
	t.Parallel()
	creds, err := shared().Credentials("127.0.0.1", "127.0.0.2")
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("0.0.0.0:0", creds, &rpcnet.EndpointConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	port := portOf(t, ep.Addr().String())
	book := &logbook{}
	_, err = cluster.Join(t.Context(), ep, &cluster.Config{
		Name: "a", Advertise: "127.0.0.2", Seeds: []string{fmt.Sprint("127.0.0.1:", port)}, Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: time.Second}, Logger: slog.New(book),
	})
	if err == nil || !strings.Contains(err.Error(), "this node itself") || !strings.Contains(err.Error(), "Config.Advertise") {
		t.Errorf("got %v", err)
	}
	if !slices.ContainsFunc(book.since(0), func(l string) bool { return strings.HasPrefix(l, "WARN") && strings.Contains(l, "this node itself") }) {
		t.Errorf("no warning in %v", book.since(0))
	}
	situation(t, "a seed that is the node itself", "an error and a warning that say what to set", err)
}

// Two nodes that claim one address do not join, and both say what to set.
func TestFieldTwoNodesWithOneAddressAreTold(t *testing.T) {
	t.Parallel()
	books := []*logbook{{}, {}}
	claim := "192.0.2.1:7001"
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a", Advertise: claim, Logger: slog.New(books[0])})
	_, err := cluster.Join(t.Context(), listen(t, "127.0.0.1:0"), &cluster.Config{
		Name: "b", Advertise: claim, Seeds: []string{a.Node.Endpoint().Addr().String()}, Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: time.Second}, Logger: slog.New(books[1]),
	})
	if err == nil || !strings.Contains(err.Error(), claim) || !strings.Contains(err.Error(), "Config.Advertise") {
		t.Errorf("got %v", err)
	}
	for i, b := range books {
		if !slices.ContainsFunc(b.since(0), func(l string) bool {
			return strings.HasPrefix(l, "WARN") && strings.Contains(l, claim) && strings.Contains(l, "Config.Advertise")
		}) {
			t.Errorf("node %d does not warn: %v", i, b.since(0))
		}
	}
	situation(t, "two nodes that claim one address", "an error and a warning on either side that say what to set", err)
}
