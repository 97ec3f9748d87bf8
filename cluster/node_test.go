package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func TestNodesFindEachOtherThroughASeed(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	c := start(t, "c", b)
	for _, h := range []*history{a, b, c} {
		h.Sees(t, 3)
	}
	e := a.Wait(t, cluster.KindNodeJoined, "c")
	if e.Member.Addr != c.Node.Self().Addr || e.Member.Boot != c.Node.Self().Boot {
		t.Errorf("a saw %v join, want %v", e.Member, c.Node.Self())
	}
	names := []string{}
	for _, m := range a.Node.Members() {
		names = append(names, m.Name)
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("members %v, want them sorted by name", names)
	}
}

func TestTagsReachEveryMember(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "b", Seeds: addrs(a), Tags: cluster.Tags{"role": "worker", "zone": "a"}})
	if e := a.Wait(t, cluster.KindNodeJoined, "b"); e.Member.Tags["zone"] != "a" {
		t.Errorf("b joined with %v", e.Member.Tags)
	}
	if err := b.Node.UpdateTags(cluster.Tags{"zone": "b", "gpu": "h100"}); err != nil {
		t.Fatal(err)
	}
	if got := b.Node.Self().Tags; got["gpu"] != "h100" {
		t.Errorf("own view right after the change: %v", got)
	}
	e := a.Wait(t, cluster.KindNodeUpdated, "b")
	if want := (cluster.Tags{"role": "worker", "zone": "b", "gpu": "h100"}); !e.Member.Tags.Equal(want) || e.Was.Tags["zone"] != "a" {
		t.Errorf("update from %v to %v", e.Was.Tags, e.Member.Tags)
	}
	ms, err := a.Node.NodesWith("gpu, zone in (b,c)")
	if err != nil || len(ms) != 1 || ms[0].Name != "b" {
		t.Errorf("NodesWith: %v, %v", ms, err)
	}
	if err := b.Node.RemoveTags("gpu", "absent"); err != nil {
		t.Fatal(err)
	}
	if err := b.Node.SetTags(cluster.Tags{"role": "idle"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if m, _ := a.Node.Lookup("b"); !m.Tags.Equal(cluster.Tags{"role": "idle"}) {
			return fmt.Errorf("a sees %v", m.Tags)
		}
		return nil
	})
}

func TestLeaveIsSeenAsLeftAndNotAsFailed(t *testing.T) {
	t.Parallel()
	hs := startMany(t, 4)
	if err := hs[2].Node.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, 3} {
		hs[i].Wait(t, cluster.KindNodeLeft, "n02")
		hs[i].Sees(t, 3)
		if es := hs[i].Events(cluster.KindNodeFailed, ""); len(es) > 0 {
			t.Errorf("n%02d: %v", i, es)
		}
		if gone := hs[i].Node.Gone(); len(gone) != 1 || gone[0].State != cluster.StateLeft {
			t.Errorf("n%02d: gone %v", i, gone)
		}
	}
	if err := hs[2].Node.SetTags(nil); err != cluster.ErrStopped {
		t.Errorf("SetTags after Leave: %v", err)
	}
}

func TestCloseIsSeenAsACrashOnce(t *testing.T) {
	t.Parallel()
	hs := startMany(t, 5)
	hs[4].Node.Close()
	for _, h := range hs[:4] {
		if e := h.Wait(t, cluster.KindNodeFailed, "n04"); e.Cause != "detected" {
			t.Errorf("cause %v", e.Cause)
		}
	}
	for _, h := range hs[:4] {
		h.Sees(t, 4)
		if es := h.Events(cluster.KindNodeFailed, ""); len(es) != 1 {
			t.Errorf("%s has %d NodeFailed:\n%s", h.Node.Self().Name, len(es), lines(es))
		}
	}
}

func TestAClosedNodeJoinsAgainOnTheSameEndpoint(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	start(t, "c", a)
	ep := listen(t, "127.0.0.1:0")
	b := join(t, ep, cluster.Config{Name: "b", Seeds: addrs(a), Tags: cluster.Tags{"life": "1"}})
	first := b.Node.Self()
	a.Sees(t, 3)
	b.Node.Close()
	b2 := join(t, ep, cluster.Config{Name: "b", Seeds: addrs(a), Tags: cluster.Tags{"life": "2"}})
	e := a.Wait(t, cluster.KindNodeFailed, "b")
	if e.Cause != "replaced" || e.Member.Boot != first.Boot {
		t.Errorf("old life: %v", e)
	}
	eventually(t, func() error {
		if m, _ := a.Node.Lookup("b"); m.Boot != b2.Node.Self().Boot || m.Tags["life"] != "2" {
			return fmt.Errorf("a has %v with %v", m, m.Tags)
		}
		return nil
	})
	a.Sees(t, 3)
	b2.Sees(t, 3)
	if es := a.Events(cluster.KindNodeUpdated, "b"); len(es) > 0 {
		t.Errorf("a restart must not be an update: %v", es)
	}
}

func TestAWorkerStartedBeforeItsSeedJoinsWhenTheSeedIsUp(t *testing.T) {
	t.Parallel()
	seed := listen(t, "127.0.0.1:0")
	addr := seed.Addr().String()
	seed.Close()
	w := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "worker", Seeds: []string{addr}})
	select {
	case <-w.Node.Joined():
		t.Fatal("joined without a seed")
	default:
	}
	d := join(t, listen(t, addr), cluster.Config{Name: "director"})
	w.Sees(t, 2)
	d.Sees(t, 2)
	<-w.Node.Joined()
}

func TestWaitForSeedFailsWhenNoSeedAnswers(t *testing.T) {
	t.Parallel()
	ep := listen(t, "127.0.0.1:0")
	gone := listen(t, "127.0.0.1:0")
	gone.Close()
	_, err := cluster.Join(t.Context(), ep, &cluster.Config{Name: "w", Seeds: []string{gone.Addr().String()}, Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: 300 * time.Millisecond}, Logger: quiet()})
	if err == nil || !strings.Contains(err.Error(), gone.Addr().String()) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
	// The endpoint is free again.
	join(t, ep, cluster.Config{Name: "w"})
}

func TestANodeOfAnotherAuthorityIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	other, err := rpctest.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := other.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	_, err = cluster.Join(t.Context(), ep, &cluster.Config{Name: "stranger", Seeds: addrs(a), Discovery: cluster.DiscoveryConfig{WaitForSeed: true, JoinTimeout: 500 * time.Millisecond}, Logger: quiet()})
	if err == nil {
		t.Fatal("a stranger joined")
	}
	if ms := a.Node.Members(); len(ms) != 1 {
		t.Errorf("a sees %v", ms)
	}
}
