package cluster_test

import (
	"bytes"
	"compress/lzw"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/extend"
)

// The attacks on membership of docs/security.md, played with real connections and
// packets against real nodes. Each asserts a bound that is wide for a loaded
// machine and that an unprotected node misses by far, and logs what was measured:
//
//	go test -v -run TestAttack ./cluster/... | grep -o 'redteam | .*'

func redteam(t testing.TB, attack, bound, measured string) {
	t.Helper()
	t.Logf("redteam | %s | %s | %s", attack, bound, measured)
}

// attacked starts a node that keeps count.
func attacked(t testing.TB, cfg cluster.Config) (*history, *tally) {
	t.Helper()
	counts := &tally{}
	cfg.Name, cfg.Cluster, cfg.Metrics = "victim", attackedCluster, counts.metrics()
	return join(t, listen(t, "127.0.0.1:0"), cfg), counts
}

func TestAttack01CountersThatOverflowTheWindow(t *testing.T) {
	h, counts := attacked(t, cluster.Config{})
	a := newAttacker(t, listen(t, "127.0.0.1:0"), h, "attacker@1")
	for _, counter := range []uint64{math.MaxUint64 - 1, math.MaxUint64, math.MaxInt64, math.MaxUint64 - 1024} {
		if err := a.send(a.seal(1, counter, []byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.answered(5 * time.Second); err != nil {
		t.Fatalf("after counters at the end of their range: %v", err)
	}
	took := endsWithin(t, "Shutdown", 10*time.Second, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		h.Node.Endpoint().Shutdown(ctx)
	})
	redteam(t, "counters 2^64-2 and 2^64-1", "packets answered after it, Shutdown in 10 s",
		fmt.Sprintf("%d refused, answered, Shutdown in %v", counts.get("packet_counter"), took.Round(time.Millisecond)))
}

func TestAttack01AnIncarnationThatCannotBeRefuted(t *testing.T) {
	h, _ := attacked(t, cluster.Config{})
	b := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "b", Cluster: attackedCluster, Seeds: addrs(h)})
	h.Sees(t, 2)
	b.Sees(t, 2)
	a := newAttacker(t, listen(t, "127.0.0.1:0"), h, "attacker@1")
	id := b.Node.Self().ID()
	for range 5 {
		a.tell(pack(3, "Incarnation", uint32(math.MaxUint32), "Node", id, "From", "x@1"))
		a.tell(dead(id, "x@1", math.MaxUint32))
	}
	if err := a.answered(5 * time.Second); err != nil { // it has seen them
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second) // suspicion, last call
	failed := h.Events(cluster.KindNodeFailed, "b")
	if len(failed) > 0 || len(h.Node.Members()) != 2 {
		t.Errorf("a node that lives was buried:\n%s", lines(failed))
	}
	redteam(t, "a node suspected at incarnation 2^32-1", "0 NodeFailed in 4 s", fmt.Sprintf("%d NodeFailed", len(failed)))
}

func TestAttack06EventsThatNobodyReads(t *testing.T) {
	// Not parallel: it measures the memory of the process.
	h, _ := attacked(t, cluster.Config{})
	before := heap()
	const sessions, each, changes = 10, 150, 600
	spec := &rpcnet.Spec{Procedure: "/cluster.v1.Admin/Events", Shape: codegen.ShapeServerStream}
	reader := listen(t, "127.0.0.1:0")
	streams := 0
	for range sessions {
		conn, err := reader.Dial(t.Context(), h.Node.Self().Addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for range each {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			s, err := conn.NewStream(ctx, spec)
			if err != nil {
				continue
			}
			defer s.Close()
			if s.Send([]byte{}) == nil && s.CloseSend() == nil {
				streams++
			}
		}
	}
	for i := range changes {
		if err := h.Node.SetTags(cluster.Tags{"a": strings.Repeat("x", 200), "b": fmt.Sprint(strings.Repeat("x", 200), i)}); err != nil {
			t.Fatal(err)
		}
	}
	took := int64(heap()-before) >> 20
	const limit = 100
	if took > limit {
		t.Errorf("%d streams and %d changes take %d MiB, want %d at most", streams, changes, took, limit)
	}
	redteam(t, fmt.Sprintf("%d streams of events that nobody reads, %d changes of tags", streams, changes),
		fmt.Sprintf("%d MiB", limit), fmt.Sprintf("%d MiB", took))
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func TestAttack06StreamsOfEventsAreFew(t *testing.T) {
	h, _ := attacked(t, cluster.Config{})
	conn, err := listen(t, "127.0.0.1:0").Dial(t.Context(), h.Node.Self().Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch := func() error { // until the first event, and then on
		first := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		go func() {
			admin := cluster.Admin{Transport: conn}
			for _, err := range admin.Events(ctx) {
				select {
				case first <- err:
				default:
				}
			}
		}()
		select {
		case err := <-first:
			return err
		case <-time.After(5 * time.Second):
			return errNotYet
		}
	}
	served := 0
	for ; served < 100; served++ {
		if err = watch(); err != nil {
			break
		}
	}
	if served != 16 || rpcnet.CodeOf(err) != rpcnet.CodeResourceExhausted || !strings.Contains(err.Error(), "16") {
		t.Errorf("after %d streams: %v", served, err)
	}
	redteam(t, "streams of events by one certificate", "16", fmt.Sprint(served))
}

// bomb is a compressed message that unpacks to 40 MiB.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w := lzw.NewWriter(&b, lzw.LSB, 8)
	w.Write(make([]byte, 40<<20-1024))
	w.Close()
	return pack(9, "Algo", 0, "Buf", b.Bytes())
})

func TestAttack07PacketsThatUnpack(t *testing.T) {
	h, counts := attacked(t, cluster.Config{})
	a := newAttacker(t, listen(t, "127.0.0.1:0"), h, "attacker@1")
	sent := 0
	for range 100 {
		if err := a.tell(bomb()); err != nil {
			t.Fatal(err)
		}
		sent += len(bomb())
		time.Sleep(2 * time.Millisecond) // not to overrun the socket
	}
	start := time.Now()
	if err := a.answered(8 * time.Second); err != nil {
		t.Errorf("after %d KiB of compressed packets: %v", sent>>10, err)
	}
	redteam(t, fmt.Sprintf("100 compressed packets, %d KiB", sent>>10), "a ping is answered within 8 s",
		fmt.Sprintf("within %v, %d refused", time.Since(start).Round(time.Millisecond), counts.get("packet_large")))
}

func TestAttack07PingsForAThirdParty(t *testing.T) {
	h, _ := attacked(t, cluster.Config{})
	b := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "b", Cluster: attackedCluster, Seeds: addrs(h)})
	h.Sees(t, 2)
	b.Sees(t, 2)
	a := newAttacker(t, listen(t, "127.0.0.1:0"), h, "attacker@1")
	third, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var hit atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for buf := make([]byte, 64<<10); ; {
			n, _, err := third.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			hit.Add(int64(n))
		}
	})
	defer wg.Wait()
	defer third.Close()
	target := third.LocalAddr().(*net.UDPAddr).AddrPort()
	ip, port, own := target.Addr().AsSlice(), int(target.Port()), a.addr()
	id := b.Node.Self().ID()
	var pings [][]byte // one for b at the third party, one from the attacker as if it were there
	for i := range 4 {
		pings = append(pings, pack(1, "SeqNo", i, "Target", ip, "Port", port, "Node", id,
			"SourceAddr", own.Addr().AsSlice(), "SourcePort", int(own.Port()), "SourceNode", a.id))
		pings = append(pings, pack(0, "SeqNo", i, "Node", a.victim.id, "SourceAddr", ip, "SourcePort", port, "SourceNode", a.id))
	}
	for range 100 {
		for _, p := range pings {
			a.tell(p)
		}
	}
	if err := a.answered(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if n := hit.Load(); n > 0 {
		t.Errorf("%d bytes were sent to an address that the attacker chose", n)
	}
	redteam(t, "800 pings to and from a third party's address", "0 bytes to it", fmt.Sprintf("%d bytes", hit.Load()))
}

func TestAttack08DialsByHearsay(t *testing.T) {
	h, _ := attacked(t, cluster.Config{})
	a := newAttacker(t, listen(t, "127.0.0.1:0"), h, "attacker@1")
	third, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	var dials atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := third.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			c.Close()
		}
	})
	defer wg.Wait()
	defer third.Close()
	port := third.Addr().(*net.TCPAddr).Port
	start := time.Now()
	for i := range 4000 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), uint16(port))
		id := fmt.Sprintf("dead%d@1", i)
		a.tell(invented(id, at), dead(id, a.id, 1))
		if i%20 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	time.Sleep(time.Until(start.Add(5 * time.Second)))
	const limit = 1500 // 400 at once and 200 a second
	n := dials.Load()
	if n > limit {
		t.Errorf("%d connections to third parties in 5 s, want %d at most", n, limit)
	}
	redteam(t, "4000 invented nodes at a third party's addresses, said to be dead", fmt.Sprintf("%d connections to them in 5 s", limit), fmt.Sprint(n))
}

// invented is gossip of a node that is not.
func invented(id string, at netip.AddrPort) []byte {
	meta := gossip.Meta{Key: [gossip.KeySize]byte{1, 2}}
	return pack(4, "Incarnation", 1, "Node", id, "Addr", at.Addr().AsSlice(), "Port", int(at.Port()),
		"Meta", meta.Append(nil), "Vsn", []byte{1, 5, 2, 0, 0, 0})
}

// issued returns an endpoint with a certificate of an authority.
func issued(t testing.TB, authority *credentials.DevCA, l credentials.Leaf) *rpcnet.Endpoint {
	t.Helper()
	b, err := authority.Issue(l)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"test_cert.pem": b.Cert, "test_key.pem": b.Key, "ca.pem": b.CA} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", fileCredentials(dir), &rpcnet.EndpointConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}

func newAuthority(t testing.TB) *credentials.DevCA {
	t.Helper()
	authority, err := credentials.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func TestAttack10AClientIsNoMember(t *testing.T) {
	authority := newAuthority(t)
	node := issued(t, authority, credentials.Leaf{})
	h := join(t, node, cluster.Config{Name: "victim", Cluster: attackedCluster})
	hosts := []string{"127.0.0.1", "localhost"}
	client := issued(t, authority, credentials.Leaf{Hosts: hosts, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	named := issued(t, authority, credentials.Leaf{Hosts: append(hosts, "spiffe://example/rpcnet/client/c")}) // good for servers too
	for what, ep := range map[string]*rpcnet.Endpoint{"for clients alone": client, "that says client": named} {
		_, err := cluster.Join(t.Context(), ep, &cluster.Config{
			Name: "c", Cluster: attackedCluster, Seeds: addrs(h), Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: 500 * time.Millisecond}, Logger: quiet(),
		})
		if err == nil {
			t.Errorf("a node with a certificate %s has joined", what)
		}
	}
	// Nor does a node join through a client that pretends to be one.
	pretender := join(t, named, cluster.Config{Name: "p", Cluster: attackedCluster})
	_, err := cluster.Join(t.Context(), issued(t, authority, credentials.Leaf{}), &cluster.Config{
		Name: "n", Cluster: attackedCluster, Seeds: addrs(pretender), Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: 500 * time.Millisecond}, Logger: quiet(),
	})
	if err == nil || !strings.Contains(err.Error(), "may not be used as node") {
		t.Errorf("joining through a client: %v", err)
	}
	if es := h.Events(cluster.KindNodeJoined, ""); len(es) > 0 || len(h.Node.Members()) != 1 {
		t.Errorf("shown: %s", lines(es))
	}
	redteam(t, "clients' certificates that join, and are joined", "0 members", fmt.Sprintf("%d members", len(h.Node.Members())-1))
}

// written counts what is logged.
type written struct{ n atomic.Int64 }

func (w *written) Write(b []byte) (int, error) {
	w.n.Add(int64(len(b)))
	return len(b), nil
}

func TestAttack11LinesOfTheLog(t *testing.T) {
	authority := newAuthority(t)
	log := &written{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := join(t, issued(t, authority, credentials.Leaf{}), cluster.Config{Name: "victim", Cluster: attackedCluster, Logger: logger})
	long := "spiffe://example/" + strings.Repeat("x", 1_900) // a longer one does not get through the handshake
	ep := issued(t, authority, credentials.Leaf{Hosts: []string{"127.0.0.1", long}})
	a := newAttacker(t, ep, h, "attacker@1")
	before, start := log.n.Load(), time.Now()
	for i := range 100 { // hellos that are refused, and packets and gossip that are noted
		conn, _, err := extend.Dial(t.Context(), ep, h.Node.Self().Addr, gossip.ALPN, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("GET / HTTP/1.1"))
		conn.Close()
		for j := range 10 {
			id := fmt.Sprintf("x%d-%d@1", i, j)
			a.tell(pack(8, "no", "sense"))
			a.tell(invented(id, a.addr()), dead(id, strings.Repeat("y", 90)+"@1", 1))
			a.tell(pack(4, "Incarnation", 1, "Node", id, "Meta", bytes.Repeat([]byte("z"), 500)))
		}
	}
	time.Sleep(500 * time.Millisecond)
	took := time.Since(start)
	rate := float64(log.n.Load()-before) / took.Seconds() / 1024
	const limit = 150
	if rate > limit {
		t.Errorf("%.0f KiB of log a second, want %d at most", rate, limit)
	}
	redteam(t, "100 hellos with a name of 1.9 KB, 3000 packets that are noted", fmt.Sprintf("%d KiB of log a second", limit), fmt.Sprintf("%.0f KiB a second", rate))
}

func TestAttack13AClusterWithoutANameIsToldSo(t *testing.T) {
	for _, c := range []struct {
		name  string
		seeds []string
		want  string
	}{{"", []string{"127.0.0.1:9"}, "WARN"}, {"", nil, "INFO"}, {"mine", []string{"127.0.0.1:9"}, ""}} {
		var out logbook
		n, err := cluster.Join(t.Context(), listen(t, "127.0.0.1:0"), &cluster.Config{
			Name: "a", Cluster: c.name, Seeds: c.seeds, Logger: slog.New(&out),
		})
		if err != nil {
			t.Fatal(err)
		}
		n.Close()
		out.mu.Lock() // the endpoint may still log what it refuses
		said := slices.DeleteFunc(slices.Clone(out.lines), func(line string) bool { return !strings.Contains(line, "Config.Cluster") })
		out.mu.Unlock()
		if len(said) > 1 || (len(said) == 1) != (c.want != "") || !strings.HasPrefix(strings.Join(said, ""), c.want) {
			t.Errorf("cluster %q with seeds %v: %q, want one line at %q", c.name, c.seeds, said, c.want)
		}
	}
	redteam(t, "a cluster that has no name of its own", "told once at Join", "told")
}

// Nothing that a peer does holds up the end of a node.
func TestAttack01CloseDuringEachAttack(t *testing.T) {
	for name, attack := range map[string]func(t testing.TB, a *attacker, i int) error{
		"counters": func(_ testing.TB, a *attacker, i int) error {
			return a.send(a.seal(1, math.MaxUint64-1+uint64(i%2), []byte("x")))
		},
		"compressed": func(_ testing.TB, a *attacker, _ int) error { return a.tell(bomb()) },
		"pings": func(_ testing.TB, a *attacker, i int) error {
			at := a.addr()
			return a.tell(pack(1, "SeqNo", i, "Target", at.Addr().AsSlice(), "Port", int(at.Port()), "Node", a.id, "Nack", 1,
				"SourceAddr", at.Addr().AsSlice(), "SourcePort", int(at.Port()), "SourceNode", a.id))
		},
		"invented": func(_ testing.TB, a *attacker, i int) error {
			id := fmt.Sprintf("x%d@1", i)
			return a.tell(invented(id, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), 9)), dead(id, a.id, 1))
		},
		"streams": func(t testing.TB, a *attacker, i int) error { // that say nothing after the hello, or announce much
			conn, err := a.hello(t, 'S')
			if err != nil {
				return err
			}
			t.Cleanup(func() { conn.Close() })
			if i%2 == 0 {
				_, err = conn.Write([]byte("\x06\x83\xa5Nodes\xcd\x4e\x20\xacUserStateLen\x00\xa4Join\xc3"))
			}
			return err
		},
		"hellos": func(t testing.TB, a *attacker, i int) error {
			conn, _, err := extend.Dial(t.Context(), a.ep, a.victim.addr, gossip.ALPN, nil)
			if err == nil {
				t.Cleanup(func() { conn.Close() })
			}
			return err
		},
		"controls": func(_ testing.TB, a *attacker, i int) error {
			a.next++
			return a.send(a.seal(2, a.next, []byte("l")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := attacked(t, cluster.Config{LeaveDelay: 100 * time.Millisecond})
			a := newAttacker(t, listen(t, "127.0.0.1:0"), h, "attacker@1")
			stop := make(chan struct{})
			var wg sync.WaitGroup
			defer wg.Wait()
			defer close(stop)
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if err := attack(t, a, i); err != nil {
						time.Sleep(10 * time.Millisecond) // the node has gone
					} else if i%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
			time.Sleep(500 * time.Millisecond)
			ep := h.Node.Endpoint()
			took := endsWithin(t, "Shutdown", 10*time.Second, func() {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				if err := ep.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
			redteam(t, "Shutdown with 2 s to drain, under attack by "+name, "10 s", took.Round(time.Millisecond).String())
		})
	}
}
