package cluster_test

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
)

// warns waits for a warning with all of the texts.
func (b *logbook) warns(t testing.TB, texts ...string) {
	t.Helper()
	eventuallyWithin(t, 5*time.Second, func() error {
		lines := b.since(0)
		if !slices.ContainsFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "WARN") && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(l, text) })
		}) {
			return fmt.Errorf("no warning with %q in\n%s", texts, strings.Join(lines, "\n"))
		}
		return nil
	})
}

// carrying returns an endpoint at addr whose certificate carries hosts.
func carrying(t testing.TB, addr string, hosts ...string) *rpcnet.Endpoint {
	t.Helper()
	creds, err := shared().Credentials(hosts...)
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen(addr, creds, &rpcnet.EndpointConfig{Logger: quiet()})
	if err != nil {
		t.Skipf("this machine has no address %s: %v", addr, err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}

// Every host has the same private address, of a bridge for containers (consul
// #1959): each node advertises the address that leads to the other.
func TestFieldAContainerBridgeOnEveryHost(t *testing.T) {
	t.Parallel()
	w := newWire(t, func(w *wire, namespace string) {
		w.ip("-n " + namespace + " link add docker0 type bridge")
		w.ip("-n " + namespace + " addr add 172.17.0.1/16 dev docker0")
		w.ip("-n " + namespace + " link set docker0 up")
	})
	w.ip("-n " + w.one + " addr add 10.199.8.1/24 dev " + w.one)
	w.ip("-n " + w.two + " addr add 10.199.8.2/24 dev " + w.two)
	dir := certDir(t, "10.199.8.1", "10.199.8.2", "172.17.0.1")
	begun := time.Now()
	a := launch(t, childConfig{Dir: dir, Name: "a", LogFile: dir + "/a.log", Listen: "0.0.0.0:7001"}, "ip", "netns", "exec", w.one)
	b := launch(t, childConfig{Dir: dir, Name: "b", LogFile: dir + "/b.log", Listen: "0.0.0.0:7001", Seeds: []string{"10.199.8.1:7001"}}, "ip", "netns", "exec", w.two)
	for _, p := range []*process{a, b} {
		for name, addr := range map[string]string{"a": "10.199.8.1:7001", "b": "10.199.8.2:7001"} {
			if e := p.within(t, 8*time.Second, cluster.KindNodeJoined, name); e.Member.Addr != addr {
				t.Errorf("%s sees %s at %s, want %s", p.name, name, e.Member.Addr, addr)
			}
		}
	}
	situation(t, "a container bridge: every host has 172.17.0.1", "both see each other at the address of the wire in < 8s", time.Since(begun))
}

// Link-local addresses mean something with their zone alone, which differs from
// host to host (grpc #14371).
func TestFieldLinkLocalAddressesWithZones(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.ip("-n " + w.one + " addr add fe80::71/64 dev " + w.one + " nodad")
	w.ip("-n " + w.two + " addr add fe80::72/64 dev " + w.two + " nodad")
	dir := certDir(t, "fe80::71", "fe80::72")
	seed := fmt.Sprintf("[fe80::71%%%s]:7001", w.two)
	begun := time.Now()
	a := launch(t, childConfig{Dir: dir, Name: "a", LogFile: dir + "/a.log", Listen: fmt.Sprintf("[fe80::71%%%s]:7001", w.one)}, "ip", "netns", "exec", w.one)
	b := launch(t, childConfig{Dir: dir, Name: "b", LogFile: dir + "/b.log", Listen: fmt.Sprintf("[fe80::72%%%s]:7001", w.two), Seeds: []string{seed}}, "ip", "netns", "exec", w.two)
	if e := a.within(t, 8*time.Second, cluster.KindNodeJoined, "b"); e.Member.Addr != fmt.Sprintf("[fe80::72%%%s]:7001", w.one) {
		t.Errorf("a sees b at %s", e.Member.Addr)
	}
	if e := b.within(t, 8*time.Second, cluster.KindNodeJoined, "a"); e.Member.Addr != seed {
		t.Errorf("b sees a at %s", e.Member.Addr)
	}
	took := time.Since(begun)
	time.Sleep(1500 * time.Millisecond) // several probes
	for _, p := range []*process{a, b} {
		// A machine under load may miss a probe, but not the answer to the next.
		suspected, recovered := p.Events(cluster.KindNodeSuspected, ""), p.Events(cluster.KindNodeRecovered, "")
		if failed := p.Events(cluster.KindNodeFailed, ""); len(failed) > 0 || len(suspected) > len(recovered)+1 {
			t.Errorf("%s: %v", p.name, slices.Concat(suspected, failed))
		}
	}
	b.signal(t, syscall.SIGTERM)
	a.within(t, 8*time.Second, cluster.KindNodeLeft, "b")
	situation(t, "link-local IPv6 addresses with zones in Listen and Seeds", "both see each other with their own zone in < 8s", took)
}

// A worker on all interfaces with certificates for localhost advertises the
// address that leads to its seed, which the certificate carries.
func TestFieldAllInterfacesWithCertificatesForLocalhost(t *testing.T) {
	t.Parallel()
	book := &logbook{}
	director := start(t, "director")
	worker := join(t, carrying(t, "0.0.0.0:0", "localhost", "127.0.0.1", "::1"), cluster.Config{
		Name: "worker", Seeds: addrs(director), Logger: slog.New(book),
	})
	director.Sees(t, 2)
	worker.Sees(t, 2)
	if self := worker.Node.Self(); !strings.HasPrefix(self.Addr, "127.0.0.1:") {
		t.Errorf("it advertises %s", self.Addr)
	}
	if lines := book.since(0); slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "this node's certificate") }) {
		t.Errorf("it complains of its certificate: %v", lines)
	}
	situation(t, "a worker on 0.0.0.0 with certificates for localhost", "advertises 127.0.0.1", worker.Node.Self().Addr)
}

// An address that others cannot reach is told by whom the node has joined.
func TestFieldAnAddressThatNobodyAnswersAtIsTold(t *testing.T) {
	t.Parallel()
	ep := listen(t, "127.0.0.1:0")
	wrong := fmt.Sprint("127.0.0.2:", portOf(t, ep.Addr().String()))
	if l, err := net.Listen("tcp", wrong); err != nil {
		t.Skipf("this machine has no second loopback address: %v", err)
	} else {
		l.Close()
	}
	books := []*logbook{{}, {}}
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a", Logger: slog.New(books[0])})
	join(t, ep, cluster.Config{Name: "b", Advertise: wrong, Seeds: addrs(a)})
	books[0].warns(t, "b@", wrong, "Config.Advertise")
	// And the other way round: the seed advertises what nobody can reach.
	join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "c", Seeds: []string{ep.Addr().String()}, Logger: slog.New(books[1])})
	books[1].warns(t, "b@", wrong, "Config.Advertise")
	situation(t, "an address that peers cannot reach", "told by both who dial and who are dialled", "told")
}

// A worker on ::1 and a director on 127.0.0.1: told at once, and a clean leave is
// one.
func TestFieldFamiliesThatDifferAreToldAndLeaveCleanly(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6 loopback address: %v", err)
	} else {
		l.Close()
	}
	books := []*logbook{{}, {}}
	director := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "director", Logger: slog.New(books[0])})
	worker := join(t, listen(t, "[::1]:0"), cluster.Config{Name: "worker", Seeds: addrs(director), Logger: slog.New(books[1]), LeaveDelay: 100 * time.Millisecond})
	director.Sees(t, 2)
	books[0].warns(t, "family", "worker@", "[::]")
	books[1].warns(t, "family", "director@", "[::]")
	begun := time.Now()
	if err := worker.Node.Leave(t.Context()); err != nil {
		t.Errorf("leaving: %v", err)
	}
	director.Wait(t, cluster.KindNodeLeft, "worker")
	if es := director.Events(cluster.KindNodeFailed, ""); len(es) > 0 {
		t.Errorf("a clean leave was told as %v", es)
	}
	situation(t, "worker on ::1, director on 127.0.0.1", "the families are named at Warn; the leave is a leave", time.Since(begun))
}

// within waits for an event no longer than d.
func (p *process) within(t testing.TB, d time.Duration, kind cluster.Kind, name string) (e cluster.Event) {
	t.Helper()
	eventuallyWithin(t, d, func() error {
		es := p.Events(kind, name)
		if len(es) == 0 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Errorf("process %s has no %v of %q:\n%s\nlog:\n%s", p.name, kind, name, lines(p.all), p.log())
		}
		e = es[0]
		return nil
	})
	return e
}

// log returns what the process has logged, if it has a file for it.
func (p *process) log() string {
	b, err := os.ReadFile(p.logFile)
	if err != nil {
		return "none"
	}
	return string(b)
}
