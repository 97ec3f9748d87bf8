package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/cluster/internal/faults"
)

// A tally is a Metrics that counts.
type tally struct {
	mu     sync.Mutex
	n      map[string]int
	health int
}

func (m *tally) add(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.n == nil {
		m.n = map[string]int{}
	}
	m.n[what]++
}

func (m *tally) get(what string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n[what]
}

func (m *tally) Probe(_ time.Duration, ok bool)        { m.add(fmt.Sprint("probe ", ok)) }
func (m *tally) Fallback()                             { m.add("fallback") }
func (m *tally) HealthScore(s int)                     { m.mu.Lock(); m.health = s; m.mu.Unlock() }
func (m *tally) Packet(direction, kind string, _ int)  { m.add("packet " + direction + " " + kind) }
func (m *tally) Stream(direction, kind string)         { m.add("stream " + direction + " " + kind) }
func (m *tally) Refused(reason string)                 { m.add(reason) }
func (m *tally) Members(cluster.State, int)            {}
func (m *tally) QueueDepth(queue string, _ int)        { m.add("depth " + queue) }
func (m *tally) Event(k cluster.Kind, c cluster.Cause) { m.add("event " + k.String() + c.String()) }

// A field is a cluster on a network with faults.
type field struct {
	t     testing.TB
	net   faults.Network
	cfg   cluster.Config // of every node, but for name and seeds
	nodes []*history
	tally []*tally
}

// newField makes n nodes n00.. that see each other. Partitions are judged after
// a second of calm instead of ten. Suspicions last longer than by default, so
// that a machine that runs other tests at the same time makes no false deaths:
// how fast things go is not for these tests to say, but for the benchmark.
func newField(t testing.TB, n int, cfg cluster.Config) *field {
	t.Helper()
	f := &field{t: t, cfg: cfg}
	if f.cfg.PartitionBaseline == 0 {
		f.cfg.PartitionBaseline = time.Second
	}
	if f.cfg.SuspicionMult == 0 {
		f.cfg.ProbeInterval, f.cfg.ProbeTimeout, f.cfg.SuspicionMult = 300*time.Millisecond, 250*time.Millisecond, 6
	}
	for range n {
		f.add()
	}
	f.whole()
	return f
}

func (f *field) add() *history {
	f.t.Helper()
	cfg, m := f.cfg, &tally{}
	cfg.Name, cfg.Metrics = fmt.Sprintf("n%02d", len(f.nodes)), m
	if len(f.nodes) > 0 {
		cfg.Seeds = addrs(f.nodes[rand.N(len(f.nodes))])
	}
	h := joinContext(f.t, f.net.Context(f.t.Context()), listen(f.t, "127.0.0.1:0"), cfg)
	f.nodes, f.tally = append(f.nodes, h), append(f.tally, m)
	return h
}

// whole waits until every node sees all.
func (f *field) whole() {
	f.t.Helper()
	for _, h := range f.nodes {
		h.sees(f.t, len(f.nodes))
	}
}

// side returns the addresses of the nodes from i to j.
func (f *field) side(i, j int) map[string]bool {
	s := map[string]bool{}
	for _, a := range addrs(f.nodes[i:j]...) {
		s[a] = true
	}
	return s
}

// none fails if any node has an event of the kind.
func (f *field) none(kind cluster.Kind) {
	f.t.Helper()
	for _, h := range f.nodes {
		if es := h.events(kind, ""); len(es) > 0 {
			f.t.Errorf("%s has %v:\n%s", h.node.Self().Name, kind, lines(es))
		}
	}
}

// calm waits until everybody counts everybody as stable.
func (f *field) calm() {
	f.t.Helper()
	for _, h := range f.nodes {
		eventually(f.t, func() error {
			if n := cluster.Expected(h.node); n != len(f.nodes) {
				return fmt.Errorf("%s expects %d nodes", h.node.Self().Name, n)
			}
			return nil
		})
	}
}

func TestNodesThatJoinOneAfterAnotherThroughAnyMemberSeeEachOther(t *testing.T) {
	t.Parallel()
	f := newField(t, 8, cluster.Config{})
	f.none(cluster.NodeFailed)
}

func TestThirtyPercentKilledAtOnceFailOnceEach(t *testing.T) {
	t.Parallel()
	f := newField(t, 7, cluster.Config{})
	for _, h := range f.nodes[5:] {
		h.node.Close()
	}
	for _, h := range f.nodes[:5] {
		h.sees(t, 5)
		for _, name := range []string{"n05", "n06"} {
			h.wait(t, cluster.NodeFailed, name)
			if n := failures(h, name); n != 1 {
				t.Errorf("%s has %d NodeFailed of %s that were not taken back", h.node.Self().Name, n, name)
			}
		}
	}
}

// failures counts the NodeFailed of a member that no NodeRecovered took back. A
// machine that starves a test causes false deaths, which are; the real one is
// told once.
func failures(h *history, name string) int {
	n := len(h.events(cluster.NodeFailed, name))
	for _, e := range h.events(cluster.NodeRecovered, name) {
		if e.Was.State == cluster.StateFailed {
			n--
		}
	}
	return n
}

func TestARestartAtTheSameAddressIsReplacedAndNeverUpdated(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{})
	for round := range 5 {
		old := f.nodes[3].node
		old.Close()
		cfg := f.cfg
		cfg.Name, cfg.Seeds = "n03", addrs(f.nodes[round%3])
		f.nodes[3] = joinContext(t, f.net.Context(t.Context()), old.Endpoint(), cfg)
		for _, h := range f.nodes { // the number alone may be that with the old life
			eventually(t, func() error {
				if m, _ := h.node.Lookup("n03"); m.Boot != f.nodes[3].node.Self().Boot {
					return fmt.Errorf("%s sees %v", h.node.Self().Name, m)
				}
				return nil
			})
		}
		f.whole()
	}
	for _, h := range f.nodes[:3] {
		eventually(t, func() error {
			if n := len(h.events(cluster.NodeFailed, "n03")); n != 5 {
				return fmt.Errorf("%s has %d NodeFailed, want 5", h.node.Self().Name, n)
			}
			return nil
		})
		for _, e := range h.events(cluster.NodeFailed, "n03") {
			if e.Cause != cluster.CauseReplaced {
				t.Errorf("%v", e)
			}
		}
		if es := h.events(cluster.NodeUpdated, ""); len(es) > 0 {
			t.Errorf("a restart was an update: %v", es)
		}
	}
}

// Trap: Join succeeds for a name that memberlist's cluster refuses. Here both
// are members and everybody is told.
func TestTwoLiveNodesOfOneNameAreBothMembersAndAConflict(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	old := start(t, "twin", a)
	a.sees(t, 2)
	young := start(t, "twin", a)
	for _, h := range []*history{a, old, young} {
		h.sees(t, 3)
		e := h.wait(t, cluster.NameConflict, "twin")
		if e.Member.Boot != young.node.Self().Boot || e.Was.Boot != old.node.Self().Boot {
			t.Errorf("%s: %v", h.node.Self().Name, e)
		}
		if m, _ := h.node.Lookup("twin"); m.Boot != young.node.Self().Boot {
			t.Errorf("%s prefers %v", h.node.Self().Name, m)
		}
		if es := h.events(cluster.NodeFailed, ""); len(es) > 0 {
			t.Errorf("%v", es)
		}
	}
}

func TestARestartAtAnotherAddressIsNoConflict(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	a.sees(t, 2)
	b.node.Close()
	b.node.Endpoint().Close()
	b2 := start(t, "b", a)
	if e := a.wait(t, cluster.NodeFailed, "b"); e.Member.Boot == b2.node.Self().Boot {
		t.Errorf("%v", e)
	}
	a.sees(t, 2)
	if es := append(a.events(cluster.NameConflict, ""), b2.events(cluster.NameConflict, "")...); len(es) > 0 {
		t.Errorf("%v", es)
	}
}

func TestLossOfThirtyPercentFailsNobody(t *testing.T) {
	t.Parallel()
	f := newField(t, 6, cluster.Config{})
	f.net.Loss(0.3)
	time.Sleep(5 * time.Second) // the time in which nothing must happen
	f.none(cluster.NodeFailed)
}

func TestALinkCutInOneDirectionFailsNobody(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{})
	from, to := f.nodes[0].node.Self().Addr, f.nodes[1].node.Self().Addr
	f.net.CutPackets(func(a, b string) bool { return a == from && b == to })
	eventually(t, func() error { // probes of n01 go through others
		if f.tally[0].get("probe true") < 30 {
			return errors.New("no probes")
		}
		return nil
	})
	f.net.Cut(func(a, b string) bool { return a == from && b == to || a == to && b == from })
	time.Sleep(3 * time.Second) // the time in which nothing must happen
	f.none(cluster.NodeFailed)
}

func TestWithoutPacketsStreamsKeepTheClusterTogether(t *testing.T) {
	t.Parallel()
	f := newField(t, 3, cluster.Config{PushPullInterval: time.Second})
	f.net.CutPackets(func(string, string) bool { return true })
	if err := f.nodes[0].node.SetTags(cluster.Tags{"news": "1"}); err != nil {
		t.Fatal(err)
	}
	for i, h := range f.nodes[1:] {
		eventually(t, func() error {
			if m, _ := h.node.Lookup("n00"); m.Tags["news"] != "1" {
				return fmt.Errorf("n%02d has not heard", i+1)
			}
			return nil
		})
	}
	eventually(t, func() error {
		if f.tally[0].get("fallback") == 0 {
			return errors.New("the fallback is not counted")
		}
		return nil
	})
	f.none(cluster.NodeFailed)
}

// Trap: a WriteTo that blocks stops all failure detection.
func TestASocketThatBlocksDoesNotStopFailureDetection(t *testing.T) {
	t.Parallel()
	var slow faults.Network
	a := joinContext(t, slow.Context(t.Context()), listen(t, "127.0.0.1:0"), cluster.Config{Name: "a"})
	b := start(t, "b", a)
	a.sees(t, 2)
	release := slow.Block()
	defer release()
	b.node.Close()
	a.wait(t, cluster.NodeFailed, "b")
}

func TestAPartitionIsNamedOnBothSidesAndHeals(t *testing.T) {
	t.Parallel()
	f := newField(t, 7, cluster.Config{OnMinority: cluster.RejectAssignments})
	for i, h := range f.nodes {
		if err := h.node.SetTags(cluster.Tags{"zone": map[bool]string{true: "a", false: "b"}[i < 5]}); err != nil {
			t.Fatal(err)
		}
	}
	f.calm()
	f.net.Split(f.side(5, 7))
	for i, h := range f.nodes {
		h.wait(t, cluster.PartitionSuspected, "")
		p := h.wait(t, cluster.PartitionDetected, "").Partition
		want := cluster.SideMajority
		if i >= 5 {
			want = cluster.SideMinority
		}
		if p.Side != want || p.Expected != 7 {
			t.Errorf("n%02d is told: %v", i, p)
		}
		if i < 5 && p.Common != "zone=b" {
			t.Errorf("n%02d: lost %v have %q in common", i, p.Lost, p.Common)
		}
		eventually(t, func() error {
			if got := h.node.Assigns(); got != (i < 5) {
				return fmt.Errorf("n%02d assigns: %v", i, got)
			}
			return nil
		})
		if _, in := h.node.Partition(); !in {
			t.Errorf("n%02d does not know that it is in a partition", i)
		}
	}
	f.net.Heal()
	f.whole()
	for i, h := range f.nodes {
		e := h.wait(t, cluster.PartitionHealed, "")
		if len(e.Partition.Missing) > 0 || e.Duration <= 0 {
			t.Errorf("n%02d: %v", i, e)
		}
		if !h.node.Assigns() {
			t.Errorf("n%02d does not assign after the heal", i)
		}
	}
	for _, name := range []string{"n05", "n06"} {
		if e := f.nodes[0].wait(t, cluster.NodeRecovered, name); e.Was.State == cluster.StateAlive {
			t.Errorf("%v", e)
		}
	}
	// The same boots came back: nobody joined anew.
	for _, h := range f.nodes {
		for _, e := range h.events(cluster.NodeJoined, "") {
			if e.Time.After(h.events(cluster.PartitionDetected, "")[0].Time) {
				t.Errorf("%s: %v", h.node.Self().Name, e)
			}
		}
	}
}

// Trap: two sides of a healed split never look for each other when nothing is
// gossiped.
func TestAQuietClusterHealsAfterItsDeadWereReaped(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{DeadGossipTime: 100 * time.Millisecond, ReconnectInterval: 300 * time.Millisecond})
	f.net.Split(f.side(0, 2))
	for _, h := range f.nodes {
		h.sees(t, 2)
	}
	time.Sleep(2 * time.Second) // memberlist forgets the dead meanwhile
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
		Name: "worker", Seeds: []string{fmt.Sprintf("seed.example:%d", port)}, Resolve: resolve, SeedInterval: 500 * time.Millisecond,
	})
	w.sees(t, 2)
	d.node.Close()
	old.Close()
	w.wait(t, cluster.NodeFailed, "director")
	creds, err := shared().Credentials("127.0.0.2", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	moved, err := rpcnet.Listen(fmt.Sprintf("127.0.0.2:%d", port), creds, rpcnet.WithLogger(quiet()))
	if err != nil {
		t.Skipf("this machine has no second loopback address: %v", err)
	}
	defer moved.Close()
	mu.Lock()
	where = "127.0.0.2"
	mu.Unlock()
	d2 := join(t, moved, cluster.Config{Name: "director"})
	w.sees(t, 2)
	d2.sees(t, 2)
}

func TestASnapshotBringsANodeBackWithoutItsSeed(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/members.json"
	a := start(t, "a")
	b := start(t, "b", a)
	ep := listen(t, "127.0.0.1:0")
	c := join(t, ep, cluster.Config{Name: "c", Seeds: addrs(a), SnapshotFile: file})
	c.sees(t, 3)
	b.sees(t, 3)
	eventually(t, func() error { return cluster.SnapshotHas(file, addrs(b)[0]) })
	c.node.Close()
	a.node.Close() // the only seed
	c = join(t, ep, cluster.Config{Name: "c", Seeds: addrs(a), SnapshotFile: file})
	c.sees(t, 2)
	b.sees(t, 2)
}

func TestRecordedPacketsPlayedBackHaveNoEffect(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{DeadGossipTime: 100 * time.Millisecond})
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
	if err := f.nodes[1].node.SetTags(cluster.Tags{"v": "1"}); err != nil {
		t.Fatal(err)
	}
	f.add()
	f.whole()
	f.nodes[4].node.Close()
	for _, h := range f.nodes[:4] {
		h.wait(t, cluster.NodeFailed, "n04")
	}
	if err := f.nodes[1].node.SetTags(cluster.Tags{"v": "2"}); err != nil {
		t.Fatal(err)
	}
	for _, h := range f.nodes[:4] {
		eventually(t, func() error {
			if m, _ := h.node.Lookup("n01"); m.Tags["v"] != "2" {
				return fmt.Errorf("%v", m.Tags)
			}
			return nil
		})
	}
	f.net.Tap(nil)
	before := make([]int, 4)
	for i, h := range f.nodes[:4] {
		before[i] = len(h.events(cluster.NodeJoined, "")) + len(h.events(cluster.NodeUpdated, "")) + len(h.events(cluster.NodeFailed, ""))
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
		after := len(h.events(cluster.NodeJoined, "")) + len(h.events(cluster.NodeUpdated, "")) + len(h.events(cluster.NodeFailed, ""))
		if after != before[i] {
			h.mu.Lock()
			t.Errorf("n%02d has had events from the past:\n%s", i, lines(h.all))
			h.mu.Unlock()
		}
		h.sees(t, 4)
	}
}

func TestNodesOfAnotherClusterAreNotHeard(t *testing.T) {
	t.Parallel()
	m := &tally{}
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a", Cluster: "prod", Metrics: m})
	_, err := cluster.Join(t.Context(), listen(t, "127.0.0.1:0"), cluster.Config{
		Name: "b", Cluster: "test", Seeds: addrs(a), WaitForSeed: true, JoinTimeout: 2 * time.Second, Logger: quiet(),
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
	if es := a.events(cluster.NodeJoined, ""); len(es) > 0 || len(a.node.Members()) != 1 {
		t.Errorf("%v", es)
	}
}

func TestAnEvictedMemberStaysOut(t *testing.T) {
	t.Parallel()
	f := newField(t, 3, cluster.Config{})
	bad := f.nodes[2].node.Self()
	for _, h := range f.nodes[:2] {
		if !h.node.Evict(bad.Name, bad.Boot) {
			t.Error("not evicted")
		}
		if e := h.wait(t, cluster.NodeFailed, "n02"); e.Cause != cluster.CauseEvicted {
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
		h.sees(t, 2)
		if es := h.events(cluster.NodeRecovered, "n02"); len(es) > 0 {
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
	a := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "a", VerifyNode: verify, Metrics: m})
	_, err := cluster.Join(t.Context(), listen(t, "127.0.0.1:0"), cluster.Config{
		Name: "director-9", Seeds: addrs(a), WaitForSeed: true, JoinTimeout: 2 * time.Second, Logger: quiet(),
	})
	if err == nil || m.get("hello_node") == 0 || len(a.node.Members()) != 1 {
		t.Errorf("%v, %v", err, a.node.Members())
	}
	b := start(t, "b", a)
	b.sees(t, 2)
}

func TestLeaveDuringAPartitionIsSeenAsLeftWhereItCanBe(t *testing.T) {
	t.Parallel()
	f := newField(t, 5, cluster.Config{})
	f.net.Split(f.side(3, 5))
	for _, h := range f.nodes[:3] {
		h.sees(t, 3)
	}
	for _, h := range f.nodes[3:] {
		h.sees(t, 2)
	}
	if err := f.nodes[4].node.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.nodes[3].wait(t, cluster.NodeLeft, "n04")
	f.net.Heal()
	for _, h := range f.nodes[:4] {
		h.sees(t, 4)
	}
}

func TestLeaveAndRestartAtOnceIsLeftAndJoined(t *testing.T) {
	t.Parallel()
	f := newField(t, 3, cluster.Config{LeaveDelay: time.Millisecond})
	ep := f.nodes[2].node.Endpoint()
	if err := f.nodes[2].node.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	cfg := f.cfg
	cfg.Name, cfg.Seeds = "n02", addrs(f.nodes[0])
	f.nodes[2] = joinContext(t, f.net.Context(t.Context()), ep, cfg)
	f.whole()
	for _, h := range f.nodes[:2] {
		h.wait(t, cluster.NodeLeft, "n02")
		if es := h.events(cluster.NodeFailed, ""); len(es) > 0 {
			t.Errorf("%v", es)
		}
	}
}

func TestASubscriberThatDoesNotReadGetsTheWholeViewInstead(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	a.sees(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, resume, resynced := make(chan struct{}), make(chan struct{}), make(chan cluster.Event)
	done := make(chan error, 1)
	go func() {
		last, n := uint64(0), 0
		var err error
		for e := range a.node.Watch(ctx) {
			if n++; n == 1 {
				close(first)
				<-resume // does not read for long
			}
			switch {
			case e.Initial:
			case e.Kind == cluster.Resync:
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
		if err := a.node.SetTags(cluster.Tags{"i": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	close(resume)
	e := <-resynced
	if len(e.Members) != 2 || e.Members[0].Tags["i"] != "1199" {
		t.Errorf("resync with %v", e.Members)
	}
	for i := range 10 {
		if err := a.node.SetTags(cluster.Tags{"j": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	// The other node was not held up by any of this.
	eventually(t, func() error {
		if m, _ := b.node.Lookup("a"); m.Tags["j"] != "9" {
			return fmt.Errorf("b sees %v", m.Tags)
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if es := b.events(cluster.NodeFailed, ""); len(es) > 0 {
		t.Errorf("%v", es)
	}
}

func TestEvidenceOfThoseWhoRouteCausesEachEventOnce(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	a.sees(t, 2)
	m := b.node.Self()
	if !a.node.Suspect("b", m.Boot, cluster.CausePhi, 9.5) || a.node.Suspect("b", m.Boot, cluster.CauseStream, 0) {
		t.Error("the first suspicion counts, the second does not")
	}
	if e := a.wait(t, cluster.NodeSuspected, "b"); e.Cause != cluster.CausePhi || e.Phi != 9.5 || e.Member.State != cluster.StateSuspect {
		t.Errorf("%v", e)
	}
	if !a.node.Recover("b", m.Boot) || a.node.Recover("b", m.Boot) {
		t.Error("the first recovery counts, the second does not")
	}
	a.wait(t, cluster.NodeRecovered, "b")
	if !a.node.ReportUnreachable("b", m.Boot, cluster.CauseRefused) || a.node.ReportUnreachable("b", m.Boot, cluster.CauseRefused) {
		t.Error("the first report counts, the second does not")
	}
	if e := a.wait(t, cluster.NodeFailed, "b"); e.Cause != cluster.CauseRefused {
		t.Errorf("%v", e)
	}
	// It answers probes all the same, and is taken back.
	eventually(t, func() error {
		if n := len(a.events(cluster.NodeRecovered, "b")); n != 2 {
			return fmt.Errorf("%d NodeRecovered", n)
		}
		return nil
	})
	a.sees(t, 2)
	// And a real death after a report is not told twice.
	b.node.Close()
	a.node.ReportUnreachable("b", m.Boot, cluster.CauseRefused)
	eventually(t, func() error {
		if gone := a.node.Gone(); len(gone) != 1 || gone[0].State != cluster.StateFailed {
			return fmt.Errorf("gone: %v", gone)
		}
		return nil
	})
	eventually(t, func() error {
		if cluster.Listed(a.node, m.ID()) {
			return errors.New("memberlist still holds it alive")
		}
		return nil
	})
	if es := a.events(cluster.NodeFailed, "b"); len(es) != 2 {
		t.Errorf("%d NodeFailed:\n%s", len(es), lines(es))
	}
	if a.node.Suspect("nobody", "x", cluster.CausePhi, 1) || a.node.Suspect("a", a.node.Self().Boot, cluster.CausePhi, 1) {
		t.Error("an unknown node, or this node itself, became suspect")
	}
}

func TestAHundredLivesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	ep := listen(t, "127.0.0.1:0")
	seed := start(t, "seed")
	for i := range 100 {
		n, err := cluster.Join(t.Context(), ep, cluster.Config{Name: "n", Seeds: addrs(seed), Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			if err := n.UpdateTags(cluster.Tags{"i": "x"}); err != nil {
				t.Fatal(err)
			}
		}
		n.Close()
		n.Close()
	}
	join(t, ep, cluster.Config{Name: "n", Seeds: addrs(seed)}).sees(t, 2)
	seed.sees(t, 2)
}
