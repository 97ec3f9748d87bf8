package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
)

// healed waits for the end of a partition whose side was named, unlike one that
// a busy machine made the node suspect.
func healed(t testing.TB, h *history) (healed cluster.Event) {
	t.Helper()
	eventually(t, func() error {
		for _, e := range h.Events(cluster.KindPartitionHealed, "") {
			if healed = e; e.Partition.Side != "unknown" {
				return nil
			}
		}
		return fmt.Errorf("%s does not know that the partition is over:\n%s", h.Node.Self().Name, lines(h.All()))
	})
	return healed
}

func TestAPartitionIsNamedOnBothSidesAndHeals(t *testing.T) {
	t.Parallel()
	f := newField(t, 7, cluster.Config{Partition: cluster.PartitionConfig{OnMinority: func(cluster.Partition) bool { return false }, Stable: time.Second}})
	for i, h := range f.nodes {
		if err := h.Node.SetTags(cluster.Tags{"zone": map[bool]string{true: "a", false: "b"}[i < 5]}); err != nil {
			t.Fatal(err)
		}
	}
	f.calm()
	f.net.Split(f.side(5, 7))
	for i, h := range f.nodes {
		h.Wait(t, cluster.KindPartitionSuspected, "")
		p := h.Wait(t, cluster.KindPartitionDetected, "").Partition
		want := "majority"
		if i >= 5 {
			want = "minority"
		}
		if p.Side != want || p.Expected != 7 {
			t.Errorf("n%02d is told: %v", i, p)
		}
		if i < 5 && p.Common != "zone=b" {
			t.Errorf("n%02d: lost %v have %q in common", i, p.Lost, p.Common)
		}
		eventually(t, func() error {
			if got := h.Node.Assigns(); got != (i < 5) {
				return fmt.Errorf("n%02d assigns: %v", i, got)
			}
			return nil
		})
		if _, in := h.Node.Partition(); !in {
			t.Errorf("n%02d does not know that it is in a partition", i)
		}
	}
	f.net.Heal()
	f.whole()
	for i, h := range f.nodes {
		e := healed(t, h)
		if len(e.Partition.Missing) > 0 || e.Duration <= 0 {
			t.Errorf("n%02d: %v", i, e)
		}
		if !h.Node.Assigns() {
			t.Errorf("n%02d does not assign after the heal", i)
		}
	}
	for _, name := range []string{"n05", "n06"} {
		if e := f.nodes[0].Wait(t, cluster.KindNodeRecovered, name); e.Was.State == cluster.StateAlive {
			t.Errorf("%v", e)
		}
	}
	// The same boots came back: nobody joined anew.
	for _, h := range f.nodes {
		for _, e := range h.Events(cluster.KindNodeJoined, "") {
			if e.Time.After(h.Events(cluster.KindPartitionDetected, "")[0].Time) {
				t.Errorf("%s: %v", h.Node.Self().Name, e)
			}
		}
	}
}

// A split outlasts ForgetAfter: nobody takes it for healed, and the smaller side
// does not assign again before it is.
func TestASplitThatOutlastsForgetAfterStaysOne(t *testing.T) {
	t.Parallel()
	f := newField(t, 5, cluster.Config{Partition: cluster.PartitionConfig{OnMinority: func(cluster.Partition) bool { return false }, Stable: time.Second, ForgetAfter: 7 * time.Second}})
	f.calm()
	f.net.Split(f.side(3, 5))
	for _, h := range f.nodes {
		h.Wait(t, cluster.KindPartitionDetected, "")
	}
	for _, h := range f.nodes[3:] {
		eventually(t, func() error {
			if h.Node.Assigns() {
				return fmt.Errorf("%s assigns", h.Node.Self().Name)
			}
			return nil
		})
	}
	time.Sleep(9 * time.Second) // the time in which nothing must happen
	for _, h := range f.nodes {
		for _, e := range h.Events(cluster.KindPartitionHealed, "") {
			if e.Partition.Side != "unknown" {
				t.Errorf("%s: %v", h.Node.Self().Name, e)
			}
		}
	}
	for _, h := range f.nodes[3:] {
		if h.Node.Assigns() {
			t.Errorf("%s assigns while the split lasts", h.Node.Self().Name)
		}
	}
	f.net.Heal()
	f.whole()
	for _, h := range f.nodes {
		if e := healed(t, h); len(e.Partition.Missing) > 0 {
			t.Errorf("%s: %v", h.Node.Self().Name, e)
		}
		if !h.Node.Assigns() {
			t.Errorf("%s does not assign after the heal", h.Node.Self().Name)
		}
	}
}

// Nodes that are closed while they are cut off are no reason to take the
// partition for lasting, though their endpoints go on without them.
func TestAPartitionEndsWhenTheLostAreKnownToBeGone(t *testing.T) {
	t.Parallel()
	f := newField(t, 5, cluster.Config{Partition: cluster.PartitionConfig{Stable: time.Second}})
	f.calm()
	f.net.Split(f.side(3, 5))
	for _, h := range f.nodes {
		h.Wait(t, cluster.KindPartitionDetected, "")
	}
	for _, h := range f.nodes[3:] {
		h.Node.Close()
	}
	f.net.Heal()
	for _, h := range f.nodes[:3] {
		// If a slow machine finds one of them gone long before the other, the picture of the
		// other alone is told in between.
		if p := healed(t, h).Partition; len(p.Returned) > 0 || len(p.Missing) == 0 || p.Expected != 3 {
			t.Errorf("%s: %v", h.Node.Self().Name, p)
		}
	}
}

// OnMinority may shut the node down: Close does not wait for it.
func TestOnMinorityMayCloseTheNode(t *testing.T) {
	t.Parallel()
	self := make(chan *cluster.Node, 1)
	cfg := cluster.Config{Partition: cluster.PartitionConfig{Stable: time.Second}}
	f := newField(t, 2, cfg)
	f.cfg.Partition.OnMinority = func(cluster.Partition) bool {
		(<-self).Close()
		return true
	}
	last := f.add()
	self <- last.Node
	f.whole()
	f.calm()
	f.net.Split(f.side(2, 3))
	select {
	case <-last.Node.Done():
	case <-time.After(20 * time.Second):
		t.Error("the node does not close")
	}
}

// Trap: two sides of a healed split never look for each other when nothing is
// gossiped.
func TestAQuietClusterHealsAfterItsDeadWereReaped(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{Detection: cluster.DetectionConfig{DeadGossipTime: 100 * time.Millisecond}, Discovery: cluster.DiscoveryConfig{ReconnectInterval: 300 * time.Millisecond}})
	f.net.Split(f.side(0, 2))
	for _, h := range f.nodes {
		h.Sees(t, 2)
	}
	time.Sleep(time.Second) // memberlist forgets the dead meanwhile
	f.net.Heal()
	f.whole()
}

func TestSeedsAreLookedUpAgainWhenTheyMove(t *testing.T) {
	t.Parallel()
	old := listen(t, "127.0.0.1:0")
	port := netip.MustParseAddrPort(old.Addr().String()).Port()
	var mu sync.Mutex
	where := "127.0.0.1"
	resolve := func(_ context.Context, host string) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		if host != "seed.example" {
			return nil, errors.New("no such host")
		}
		return []string{where}, nil
	}
	d := join(t, old, cluster.Config{Name: "director"})
	w := join(t, listen(t, "127.0.0.1:0"), cluster.Config{
		Name: "worker", Seeds: []string{fmt.Sprintf("seed.example:%d", port)}, Discovery: cluster.DiscoveryConfig{Resolve: resolve, SeedInterval: 500 * time.Millisecond},
	})
	w.Sees(t, 2)
	d.Node.Close()
	old.Close()
	w.Wait(t, cluster.KindNodeFailed, "director")
	creds, err := shared().Credentials("127.0.0.2", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	moved, err := rpcnet.Listen(fmt.Sprintf("127.0.0.2:%d", port), creds, &rpcnet.EndpointConfig{Logger: quiet()})
	if err != nil {
		t.Skipf("this machine has no second loopback address: %v", err)
	}
	defer moved.Close()
	mu.Lock()
	where = "127.0.0.2"
	mu.Unlock()
	d2 := join(t, moved, cluster.Config{Name: "director"})
	w.Sees(t, 2)
	d2.Sees(t, 2)
}

func TestAMembersFileBringsANodeBackWithoutItsSeed(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/members.json"
	a := start(t, "a")
	b := start(t, "b", a)
	ep := listen(t, "127.0.0.1:0")
	c := join(t, ep, cluster.Config{Name: "c", Seeds: addrs(a), Discovery: cluster.DiscoveryConfig{MembersFile: file}})
	c.Sees(t, 3)
	b.Sees(t, 3)
	eventually(t, func() error { return cluster.MembersFileHas(file, addrs(b)[0]) })
	c.Node.Close()
	a.Node.Close() // the only seed
	c = join(t, ep, cluster.Config{Name: "c", Seeds: addrs(a), Discovery: cluster.DiscoveryConfig{MembersFile: file}})
	c.Sees(t, 2)
	b.Sees(t, 2)
}

// Without seeds the file of members is all there is: it is tried until somebody answers.
func TestAMembersFileWithoutSeedsIsTriedUntilSomebodyAnswers(t *testing.T) {
	t.Parallel()
	ep := listen(t, "127.0.0.1:0")
	addr := ep.Addr().String()
	ep.Close()
	file := t.TempDir() + "/members.json"
	text := fmt.Sprintf(`{"version":1,"cluster":"rpcnet","members":[{"name":"late","addr":%q}]}`, addr)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	early := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "early", Discovery: cluster.DiscoveryConfig{MembersFile: file, SeedInterval: 500 * time.Millisecond}})
	select {
	case <-early.Node.Joined():
	default:
		t.Error("a node without seeds waits for somebody")
	}
	late := join(t, listen(t, addr), cluster.Config{Name: "late"})
	early.Sees(t, 2)
	late.Sees(t, 2)
}

func TestLeaveDuringAPartitionIsSeenAsLeftWhereItCanBe(t *testing.T) {
	t.Parallel()
	f := newField(t, 5, cluster.Config{})
	f.net.Split(f.side(3, 5))
	for _, h := range f.nodes[:3] {
		h.Sees(t, 3)
	}
	for _, h := range f.nodes[3:] {
		h.Sees(t, 2)
	}
	if err := f.nodes[4].Node.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.nodes[3].Wait(t, cluster.KindNodeLeft, "n04")
	f.net.Heal()
	for _, h := range f.nodes[:4] {
		h.Sees(t, 4)
	}
	// Where it was heard to leave it stays so, whatever the others say.
	if m, _ := f.nodes[3].Node.Lookup("n04"); m.State != cluster.StateLeft {
		t.Errorf("n03 sees %v %v", m, m.State)
	}
	if es := f.nodes[3].Events(cluster.KindNodeFailed, "n04"); len(es) > 0 {
		t.Errorf("n03: %v", es)
	}
	// The others buried it before, which gossip does not take back for the dead.
	for _, h := range f.nodes[:3] {
		if m, _ := h.Node.Lookup("n04"); m.State != cluster.StateFailed && m.State != cluster.StateLeft {
			t.Errorf("%s sees %v %v", h.Node.Self().Name, m, m.State)
		}
	}
}

func TestLeaveAndRestartAtOnceIsLeftAndJoined(t *testing.T) {
	t.Parallel()
	f := newField(t, 3, cluster.Config{LeaveDelay: time.Millisecond})
	ep := f.nodes[2].Node.Endpoint()
	if err := f.nodes[2].Node.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg := f.cfg
	cfg.Name, cfg.Seeds = "n02", addrs(f.nodes[0])
	f.nodes[2] = joinContext(t, f.net.Context(t.Context()), ep, cfg)
	f.whole()
	for _, h := range f.nodes[:2] {
		h.Wait(t, cluster.KindNodeLeft, "n02")
		if es := h.Events(cluster.KindNodeFailed, ""); len(es) > 0 {
			t.Errorf("%v", es)
		}
	}
}

func TestASubscriberThatDoesNotReadGetsTheWholeViewInstead(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	a.Sees(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, resume, resynced := make(chan struct{}), make(chan struct{}), make(chan cluster.Event)
	done := make(chan error, 1)
	go func() {
		last, n := uint64(0), 0
		var err error
		for e := range a.Node.Watch(ctx) {
			if n++; n == 1 {
				close(first)
				<-resume // does not read for long
			}
			switch {
			case e.Initial:
			case e.Kind == cluster.KindResync:
				resynced <- e
			case last != 0 && e.Seq != last+1 && err == nil:
				err = fmt.Errorf("event %d after %d", e.Seq, last)
			}
			last = e.Seq
		}
		done <- err
	}()
	<-first
	for i := range 1200 {
		if err := a.Node.SetTags(cluster.Tags{"i": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	close(resume)
	e := <-resynced
	if len(e.Members) != 2 || e.Members[0].Tags["i"] != "1199" {
		t.Errorf("resync with %v", e.Members)
	}
	for i := range 10 {
		if err := a.Node.SetTags(cluster.Tags{"j": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	// The other node was not held up by any of this.
	eventually(t, func() error {
		if m, _ := b.Node.Lookup("a"); m.Tags["j"] != "9" {
			return fmt.Errorf("b sees %v", m.Tags)
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if es := b.Events(cluster.KindNodeFailed, ""); len(es) > 0 {
		t.Errorf("%v", es)
	}
}

func TestEvidenceOfThoseWhoRouteCausesEachEventOnce(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	a.Sees(t, 2)
	m := b.Node.Self()
	if !a.Node.Suspect("b", m.Boot, 9.5) || a.Node.Suspect("b", m.Boot, 0) {
		t.Error("the first suspicion counts, the second does not")
	}
	if e := a.Wait(t, cluster.KindNodeSuspected, "b"); e.Cause != "phi" || e.Phi != 9.5 || e.Member.State != cluster.StateSuspect {
		t.Errorf("%v", e)
	}
	if !a.Node.Recover("b", m.Boot) || a.Node.Recover("b", m.Boot) {
		t.Error("the first recovery counts, the second does not")
	}
	a.Wait(t, cluster.KindNodeRecovered, "b")
	if !a.Node.ReportUnreachable("b", m.Boot) || a.Node.ReportUnreachable("b", m.Boot) {
		t.Error("the first report counts, the second does not")
	}
	if e := a.Wait(t, cluster.KindNodeFailed, "b"); e.Cause != "refused" {
		t.Errorf("%v", e)
	}
	// It answers probes all the same, and is taken back.
	eventually(t, func() error {
		if n := len(a.Events(cluster.KindNodeRecovered, "b")); n != 2 {
			return fmt.Errorf("%d NodeRecovered", n)
		}
		return nil
	})
	a.Sees(t, 2)
	// And a real death after a report is not told twice.
	b.Node.Close()
	a.Node.ReportUnreachable("b", m.Boot)
	eventually(t, func() error {
		if gone := a.Node.Gone(); len(gone) != 1 || gone[0].State != cluster.StateFailed {
			return fmt.Errorf("gone: %v", gone)
		}
		return nil
	})
	eventually(t, func() error {
		if cluster.Listed(a.Node, m.ID()) {
			return errors.New("memberlist still holds it alive")
		}
		return nil
	})
	if es := a.Events(cluster.KindNodeFailed, "b"); len(es) != 2 {
		t.Errorf("%d NodeFailed:\n%s", len(es), lines(es))
	}
	if a.Node.Suspect("nobody", "x", 1) || a.Node.Suspect("a", a.Node.Self().Boot, 1) {
		t.Error("an unknown node, or this node itself, became suspect")
	}
}
