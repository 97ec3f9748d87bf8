package cluster_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/faults"
)

// A tally counts what Metrics are given.
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

// metrics returns the Metrics that count in m.
func (m *tally) metrics() *cluster.Metrics {
	return &cluster.Metrics{
		Probe:       func(_ time.Duration, ok bool) { m.add(fmt.Sprint("probe ", ok)) },
		Fallback:    func() { m.add("fallback") },
		HealthScore: func(s int) { m.mu.Lock(); m.health = s; m.mu.Unlock() },
		Packet:      func(direction, kind string, _ int) { m.add("packet " + direction + " " + kind) },
		Stream:      func(direction, kind string) { m.add("stream " + direction + " " + kind) },
		Refused:     m.add,
		QueueDepth:  func(queue string, _ int) { m.add("depth " + queue) },
		Kept:        func(what string, _, _ int) { m.add("kept " + what) },
		Event:       func(k cluster.Kind, c string) { m.add("event " + k.String() + c) },
	}
}

// A field is a cluster on a network with faults.
type field struct {
	t     testing.TB
	net   faults.Network
	cfg   cluster.Config // of every node, but for name and seeds
	nodes []*history
	tally []*tally
	made  int // nodes so far
}

// newField makes n nodes n00.. that see each other. Partitions are judged after
// a second of calm instead of ten. Suspicions last longer than by default, so
// that a machine that runs other tests at the same time makes no false deaths:
// how fast things go is not for these tests to say, but for the benchmark.
func newField(t testing.TB, n int, cfg cluster.Config) *field {
	t.Helper()
	f := &field{t: t, cfg: cfg}
	if f.cfg.Partition.Baseline == 0 {
		f.cfg.Partition.Baseline = time.Second
	}
	if f.cfg.Detection.SuspicionMult == 0 {
		f.cfg.Detection.ProbeInterval, f.cfg.Detection.ProbeTimeout, f.cfg.Detection.SuspicionMult = 300*time.Millisecond, 250*time.Millisecond, 6
	}
	for range n {
		f.add()
	}
	f.whole()
	return f
}

// add makes a node that joins through any of the others.
func (f *field) add() *history {
	f.t.Helper()
	if len(f.nodes) == 0 {
		return f.addThrough()
	}
	return f.addThrough(f.nodes[rand.N(len(f.nodes))])
}

func (f *field) addThrough(seeds ...*history) *history {
	f.t.Helper()
	cfg, m := f.cfg, &tally{}
	cfg.Name, cfg.Metrics, cfg.Seeds = fmt.Sprintf("n%02d", f.made), m.metrics(), addrs(seeds...)
	f.made++
	h := joinContext(f.t, f.net.Context(f.t.Context()), listen(f.t, "127.0.0.1:0"), cfg)
	f.nodes, f.tally = append(f.nodes, h), append(f.tally, m)
	return h
}

// kill is the death of a node's process, as others see it.
func (f *field) kill(i int) (name string) {
	h := f.nodes[i]
	h.Node.Close()
	h.Node.Endpoint().Close()
	f.nodes, f.tally = slices.Delete(f.nodes, i, i+1), slices.Delete(f.tally, i, i+1)
	return h.Node.Self().Name
}

// close ends all nodes before the test ends.
func (f *field) close() {
	var wg sync.WaitGroup
	for _, h := range f.nodes {
		wg.Go(func() {
			h.Node.Close()
			h.Node.Endpoint().Close()
		})
	}
	wg.Wait()
	f.nodes, f.tally = nil, nil
}

// whole waits until every node sees all.
func (f *field) whole() {
	f.t.Helper()
	for _, h := range f.nodes {
		h.Sees(f.t, len(f.nodes))
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
		if es := h.Events(kind, ""); len(es) > 0 {
			f.t.Errorf("%s has %v:\n%s", h.Node.Self().Name, kind, lines(es))
		}
	}
}

// calm waits until everybody counts everybody as stable.
func (f *field) calm() {
	f.t.Helper()
	for _, h := range f.nodes {
		eventually(f.t, func() error {
			if n := cluster.Expected(h.Node); n != len(f.nodes) {
				return fmt.Errorf("%s expects %d nodes", h.Node.Self().Name, n)
			}
			return nil
		})
	}
}

func TestNodesThatJoinOneAfterAnotherThroughAnyMemberSeeEachOther(t *testing.T) {
	t.Parallel()
	f := newField(t, 8, cluster.Config{})
	f.none(cluster.KindNodeFailed)
}

func TestNodesThatJoinThroughOneSeedSeeEachOther(t *testing.T) {
	t.Parallel()
	f := newField(t, 1, cluster.Config{})
	for range 9 {
		f.addThrough(f.nodes[0])
	}
	f.whole()
	f.none(cluster.KindNodeFailed)
}

func TestTagsThatChangeAllTheTimeReachEverybody(t *testing.T) {
	t.Parallel()
	f := newField(t, 5, cluster.Config{})
	f.changeTags(2 * time.Second)
	f.none(cluster.KindNodeFailed)
}

// changeTags changes the tags of a node ten times a second, to as large ones as
// there may be, and returns how long after the last change everybody has it.
func (f *field) changeTags(d time.Duration) time.Duration {
	f.t.Helper()
	var tags cluster.Tags
	var last time.Time
	for i, end := 0, time.Now().Add(d); time.Now().Before(end); i++ {
		time.Sleep(100 * time.Millisecond)
		tags = cluster.Tags{"i": fmt.Sprint(i), "fill": strings.Repeat("x", 250)}
		tags["more"] = strings.Repeat("x", cluster.MaxTagsSize-tags.Size()-len("more")-3)
		if tags.Size() != cluster.MaxTagsSize {
			f.t.Fatalf("%d bytes of tags", tags.Size())
		}
		if err := f.nodes[1].Node.SetTags(tags); err != nil {
			f.t.Fatal(err)
		}
		last = time.Now()
	}
	for _, h := range f.nodes {
		eventually(f.t, func() error {
			if m, _ := h.Node.Lookup("n01"); !m.Tags.Equal(tags) {
				return fmt.Errorf("%s sees number %s, not %s", h.Node.Self().Name, m.Tags["i"], tags["i"])
			}
			return nil
		})
	}
	return time.Since(last)
}

func TestThirtyPercentKilledAtOnceFailOnceEach(t *testing.T) {
	t.Parallel()
	f := newField(t, 7, cluster.Config{})
	for _, h := range f.nodes[5:] {
		h.Node.Close()
	}
	for _, h := range f.nodes[:5] {
		h.Sees(t, 5)
		for _, name := range []string{"n05", "n06"} {
			h.Wait(t, cluster.KindNodeFailed, name)
			if n := failures(h, name); n != 1 {
				t.Errorf("%s has %d NodeFailed of %s that were not taken back", h.Node.Self().Name, n, name)
			}
		}
	}
}

// failures counts the NodeFailed of a member that no NodeRecovered took back. A
// machine that starves a test causes false deaths, which are; the real one is
// told once.
func failures(h *history, name string) int {
	n := len(h.Events(cluster.KindNodeFailed, name))
	for _, e := range h.Events(cluster.KindNodeRecovered, name) {
		if e.Was.State == cluster.StateFailed {
			n--
		}
	}
	return n
}

func TestARestartAtTheSameAddressIsReplacedAndNeverUpdated(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{})
	slow := 0 // restarts that took as long as gossip needs to find a node dead
	for round := range 5 {
		old := f.nodes[3].Node
		closed := time.Now()
		old.Close()
		cfg := f.cfg
		cfg.Name, cfg.Seeds = "n03", addrs(f.nodes[round%3])
		f.nodes[3] = joinContext(t, f.net.Context(t.Context()), old.Endpoint(), cfg)
		for _, h := range f.nodes { // the number alone may be that with the old life
			eventually(t, func() error {
				if m, _ := h.Node.Lookup("n03"); m.Boot != f.nodes[3].Node.Self().Boot {
					return fmt.Errorf("%s sees %v", h.Node.Self().Name, m)
				}
				return nil
			})
		}
		if time.Since(closed) > 800*time.Millisecond {
			slow++
		}
		f.whole()
	}
	for _, h := range f.nodes[:3] {
		eventually(t, func() error {
			if n := len(h.Events(cluster.KindNodeFailed, "n03")); n != 5 {
				return fmt.Errorf("%s has %d NodeFailed, want 5", h.Node.Self().Name, n)
			}
			return nil
		})
		detected := slices.DeleteFunc(h.Events(cluster.KindNodeFailed, "n03"), func(e cluster.Event) bool { return e.Cause == "replaced" })
		if len(detected) > slow {
			t.Errorf("%d restarts were slow, and these were not seen as such: %v", slow, detected)
		}
		if es := h.Events(cluster.KindNodeUpdated, ""); len(es) > 0 {
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
	a.Sees(t, 2)
	young := start(t, "twin", a)
	for _, h := range []*history{a, old, young} {
		h.Sees(t, 3)
		e := h.Wait(t, cluster.KindNameConflict, "twin")
		if e.Member.Boot != young.Node.Self().Boot || e.Was.Boot != old.Node.Self().Boot {
			t.Errorf("%s: %v", h.Node.Self().Name, e)
		}
		if m, _ := h.Node.Lookup("twin"); m.Boot != young.Node.Self().Boot {
			t.Errorf("%s prefers %v", h.Node.Self().Name, m)
		}
		if es := h.Events(cluster.KindNodeFailed, ""); len(es) > 0 {
			t.Errorf("%v", es)
		}
	}
}

func TestARestartAtAnotherAddressIsNoConflict(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	a.Sees(t, 2)
	b.Node.Close()
	b.Node.Endpoint().Close()
	b2 := start(t, "b", a)
	if e := a.Wait(t, cluster.KindNodeFailed, "b"); e.Member.Boot == b2.Node.Self().Boot {
		t.Errorf("%v", e)
	}
	a.Sees(t, 2)
	if es := append(a.Events(cluster.KindNameConflict, ""), b2.Events(cluster.KindNameConflict, "")...); len(es) > 0 {
		t.Errorf("%v", es)
	}
}

func TestLossOfThirtyPercentFailsNobody(t *testing.T) {
	t.Parallel()
	f := newField(t, 6, cluster.Config{})
	f.net.Loss(0.3)
	time.Sleep(3 * time.Second) // the time in which nothing must happen
	f.none(cluster.KindNodeFailed)
}

func TestALinkCutInOneDirectionFailsNobody(t *testing.T) {
	t.Parallel()
	f := newField(t, 4, cluster.Config{})
	from, to := f.nodes[0].Node.Self().Addr, f.nodes[1].Node.Self().Addr
	f.net.CutPackets(func(a, b string) bool { return a == from && b == to })
	eventually(t, func() error { // probes of n01 go through others
		if f.tally[0].get("probe true") < 10 {
			return errors.New("no probes")
		}
		return nil
	})
	f.net.Cut(func(a, b string) bool { return a == from && b == to || a == to && b == from })
	time.Sleep(2 * time.Second) // the time in which nothing must happen
	f.none(cluster.KindNodeFailed)
}

func TestWithoutPacketsStreamsKeepTheClusterTogether(t *testing.T) {
	t.Parallel()
	f := newField(t, 3, cluster.Config{Detection: cluster.DetectionConfig{PushPullInterval: time.Second}})
	f.net.CutPackets(func(string, string) bool { return true })
	if err := f.nodes[0].Node.SetTags(cluster.Tags{"news": "1"}); err != nil {
		t.Fatal(err)
	}
	for i, h := range f.nodes[1:] {
		eventually(t, func() error {
			if m, _ := h.Node.Lookup("n00"); m.Tags["news"] != "1" {
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
	f.none(cluster.KindNodeFailed)
}

// Trap: a WriteTo that blocks stops all failure detection.
func TestASocketThatBlocksDoesNotStopFailureDetection(t *testing.T) {
	t.Parallel()
	var slow faults.Network
	a := joinContext(t, slow.Context(t.Context()), listen(t, "127.0.0.1:0"), cluster.Config{Name: "a"})
	b := start(t, "b", a)
	a.Sees(t, 2)
	release := slow.Block()
	defer release()
	b.Node.Close()
	a.Wait(t, cluster.KindNodeFailed, "b")
}

func TestAHundredLivesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	ep := listen(t, "127.0.0.1:0")
	seed := start(t, "seed")
	for i := range 100 {
		n, err := cluster.Join(t.Context(), ep, &cluster.Config{Name: "n", Seeds: addrs(seed), Logger: quiet()})
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
	join(t, ep, cluster.Config{Name: "n", Seeds: addrs(seed)}).Sees(t, 2)
	seed.Sees(t, 2)
}

func TestALateWorkerIsAskedByPackets(t *testing.T) {
	t.Parallel()
	f := newField(t, 2, cluster.Config{})
	asker, asked := f.nodes[0].Node, f.nodes[1].Node.Self()
	eventually(t, func() error { // on a machine that starves the test, not the first one
		if !cluster.Ping(asker, asked) {
			return errors.New("it does not answer")
		}
		return nil
	})
	f.net.CutPackets(func(string, string) bool { return true })
	if cluster.Ping(asker, asked) {
		t.Error("it answers although packets are cut")
	}
	asker.Close()
	if cluster.Ping(asker, asked) {
		t.Error("it answers a node that has stopped")
	}
}
