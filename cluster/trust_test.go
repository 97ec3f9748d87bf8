package cluster_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

func TestRecordedPacketsPlayedBackHaveNoEffect(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{Detection: cluster.DetectionConfig{DeadGossipTime: 100 * time.Millisecond}})
	type packet struct {
		to string
		b  []byte
	}
	var mu sync.Mutex
	var recorded []packet
	f.net.Tap(func(_, to string, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		recorded = append(recorded, packet{to, append([]byte(nil), b...)})
	})
	// A life worth recording: a change of tags, a fifth node that joins, leaves
	// and fails in turn.
	if err := f.nodes[1].Node.SetTags(cluster.Tags{"v": "1"}); err != nil {
		t.Fatal(err)
	}
	f.add()
	f.whole()
	f.nodes[4].Node.Close()
	for _, h := range f.nodes[:4] {
		h.Wait(t, cluster.KindNodeFailed, "n04")
	}
	if err := f.nodes[1].Node.SetTags(cluster.Tags{"v": "2"}); err != nil {
		t.Fatal(err)
	}
	for _, h := range f.nodes[:4] {
		eventually(t, func() error {
			if m, _ := h.Node.Lookup("n01"); m.Tags["v"] != "2" {
				return fmt.Errorf("%v", m.Tags)
			}
			return nil
		})
	}
	// Until memberlist has forgotten n04, everywhere and for good.
	for calm := time.Now(); time.Since(calm) < time.Second; time.Sleep(5 * time.Millisecond) {
		for _, h := range f.nodes[:4] {
			if m, _ := h.Node.Lookup("n04"); m.State.Present() {
				calm = time.Now()
			}
		}
	}
	f.net.Tap(nil)
	before := make([]int, 4)
	for i, h := range f.nodes[:4] {
		before[i] = len(h.Events(cluster.KindNodeJoined, "")) + len(h.Events(cluster.KindNodeUpdated, "")) + len(h.Events(cluster.KindNodeFailed, "")) + len(h.Events(cluster.KindNodeRecovered, ""))
	}
	out, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	sent := map[string]int{}
	mu.Lock()
	defer mu.Unlock()
	for range 2 {
		for i, p := range recorded {
			to, err := net.ResolveUDPAddr("udp", p.to)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := out.WriteTo(p.b, to); err != nil {
				t.Fatal(err)
			}
			sent[p.to]++
			if i%50 == 0 {
				time.Sleep(time.Millisecond) // not to overrun the socket's buffer
			}
		}
	}
	if len(recorded) < 100 {
		t.Fatalf("only %d packets recorded", len(recorded))
	}
	for i, h := range f.nodes[:4] {
		eventually(t, func() error {
			if got, want := f.tally[i].get("packet_replayed"), sent[addrs(h)[0]]*9/10; got < want {
				return fmt.Errorf("n%02d has counted %d replayed packets of %d", i, got, want)
			}
			return nil
		})
		after := len(h.Events(cluster.KindNodeJoined, "")) + len(h.Events(cluster.KindNodeUpdated, "")) + len(h.Events(cluster.KindNodeFailed, "")) + len(h.Events(cluster.KindNodeRecovered, ""))
		if after != before[i] {
			t.Errorf("n%02d has had events from the past:\n%s", i, lines(h.All()))
		}
		h.Sees(t, 4)
	}
}

func TestNodesOfAnotherClusterAreNotHeard(t *testing.T) {
	t.Parallel()
	m := &tally{}
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a", Cluster: "prod", Metrics: m.metrics()})
	_, err := cluster.Join(t.Context(), listen(t, "127.0.0.1:0"), &cluster.Config{
		Name: "b", Cluster: "test", Seeds: addrs(a), Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: time.Second}, Logger: quiet(),
	})
	if err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("got %v", err)
	}
	eventually(t, func() error {
		if m.get("hello_cluster") == 0 {
			return errors.New("not counted")
		}
		return nil
	})
	if es := a.Events(cluster.KindNodeJoined, ""); len(es) > 0 || len(a.Node.Members()) != 1 {
		t.Errorf("%v", es)
	}
}

func TestAnEvictedMemberStaysOut(t *testing.T) {
	t.Parallel()
	f := newField(t, 3, cluster.Config{})
	bad := f.nodes[2].Node.Self()
	for _, h := range f.nodes[:2] {
		if !h.Node.Evict(bad.Name, bad.Boot) {
			t.Error("not evicted")
		}
		if e := h.Wait(t, cluster.KindNodeFailed, "n02"); e.Cause != "evicted" {
			t.Errorf("%v", e)
		}
	}
	for i := range 2 {
		eventually(t, func() error {
			if f.tally[i].get("packet_unknown_sender") == 0 {
				return errors.New("its packets are not refused")
			}
			return nil
		})
	}
	for _, h := range f.nodes[:2] {
		h.Sees(t, 2)
		if es := h.Events(cluster.KindNodeRecovered, "n02"); len(es) > 0 {
			t.Errorf("%v", es)
		}
	}
}

func TestVerifyNodeKeepsANameForItsCertificate(t *testing.T) {
	t.Parallel()
	verify := func(_ rpcnet.Peer, name string) error {
		if strings.HasPrefix(name, "director") {
			return errors.New("this certificate is no director's")
		}
		return nil
	}
	m := &tally{}
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a", VerifyNode: verify, Metrics: m.metrics()})
	_, err := cluster.Join(t.Context(), listen(t, "127.0.0.1:0"), &cluster.Config{
		Name: "director-9", Seeds: addrs(a), Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: time.Second}, Logger: quiet(),
	})
	if err == nil || m.get("hello_node") == 0 || len(a.Node.Members()) != 1 {
		t.Errorf("%v, %v", err, a.Node.Members())
	}
	b := start(t, "b", a)
	b.Sees(t, 2)
}

func TestANodeWithAnExpiredCertificateIsRefused(t *testing.T) {
	t.Parallel()
	authority, err := credentials.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	issue := func(l credentials.Leaf) *rpcnet.Endpoint {
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
	a := join(t, issue(credentials.Leaf{}), cluster.Config{Name: "a"})
	end := time.Now().Add(2 * time.Second)
	expired := issue(credentials.Leaf{NotBefore: end.Add(-24 * time.Hour), NotAfter: end})
	time.Sleep(time.Until(end.Add(time.Second))) // certificates count in seconds
	_, err = cluster.Join(t.Context(), expired, &cluster.Config{
		Name: "old", Seeds: addrs(a), Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: 500 * time.Millisecond}, Logger: quiet(),
	})
	if err == nil {
		t.Error("it joined")
	}
	// Nor does it get in by being dialled.
	b := join(t, expired, cluster.Config{Name: "old"})
	_, err = cluster.Join(t.Context(), issue(credentials.Leaf{}), &cluster.Config{
		Name: "c", Seeds: addrs(b), Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: 500 * time.Millisecond}, Logger: quiet(),
	})
	if err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("dialling it: %v", err)
	}
	if len(a.Node.Members()) != 1 || len(b.Node.Members()) != 1 {
		t.Errorf("%v, %v", a.Node.Members(), b.Node.Members())
	}
}
