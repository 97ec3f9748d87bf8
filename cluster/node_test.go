package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
)

// shared is one authority for all tests of the package.
var shared = sync.OnceValue(func() *rpcnet.DevCA {
	ca, err := rpcnet.NewDevCA()
	if err != nil {
		panic(err)
	}
	return ca
})

// listen returns an endpoint on loopback that is closed with the test.
func listen(t testing.TB, addr string) *rpcnet.Endpoint {
	t.Helper()
	creds, err := shared().Credentials()
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen(addr, creds, rpcnet.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}

// quiet is the logger of nodes in tests: nothing, or everything with
// CLUSTER_TEST_LOG set.
func quiet() *slog.Logger {
	if os.Getenv("CLUSTER_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// A history keeps the events of one node.
type history struct {
	node *cluster.Node
	mu   sync.Mutex
	all  []cluster.Event
}

// join makes a node on ep; it is closed with the test.
func join(t testing.TB, ep *rpcnet.Endpoint, cfg cluster.Config) *history {
	t.Helper()
	return joinContext(t, t.Context(), ep, cfg)
}

func joinContext(t testing.TB, ctx context.Context, ep *rpcnet.Endpoint, cfg cluster.Config) *history {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	n, err := cluster.Join(ctx, ep, cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{node: n}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range n.Watch(context.Background()) {
			h.mu.Lock()
			h.all = append(h.all, e)
			h.mu.Unlock()
		}
	}()
	t.Cleanup(func() { n.Close(); <-done })
	return h
}

// start makes an endpoint and a node that joins through the given ones.
func start(t testing.TB, name string, seeds ...*history) *history {
	t.Helper()
	return join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: name, Seeds: addrs(seeds...)})
}

func addrs(hs ...*history) (as []string) {
	for _, h := range hs {
		as = append(as, h.node.Self().Addr)
	}
	return as
}

// startMany makes n nodes, each joining through an earlier one.
func startMany(t testing.TB, n int) []*history {
	t.Helper()
	hs := make([]*history, n)
	for i := range hs {
		var seeds []*history
		if i > 0 {
			seeds = hs[i/2 : i/2+1]
		}
		hs[i] = start(t, fmt.Sprintf("n%02d", i), seeds...)
	}
	for _, h := range hs {
		h.sees(t, n)
	}
	return hs
}

// events returns the events of a kind about the member of that name ("" any)
// so far, without those that began the subscription.
func (h *history) events(kind cluster.Kind, name string) (es []cluster.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e.Kind == kind && !e.Initial && (name == "" || e.Member.Name == name) {
			es = append(es, e)
		}
	}
	return es
}

// wait waits for the first event of a kind about a member.
func (h *history) wait(t testing.TB, kind cluster.Kind, name string) cluster.Event {
	t.Helper()
	var found []cluster.Event
	eventually(t, func() error {
		if found = h.events(kind, name); len(found) == 0 {
			h.mu.Lock()
			defer h.mu.Unlock()
			return fmt.Errorf("%s has no %v of %q; it has:\n%s", h.node.Self().Name, kind, name, lines(h.all))
		}
		return nil
	})
	return found[0]
}

func lines(es []cluster.Event) string {
	var b strings.Builder
	for _, e := range es {
		fmt.Fprintf(&b, "%s %d %v\n", e.Time.Format("05.000"), e.Seq, e)
	}
	return b.String()
}

// sees waits until the node has n members, all alive.
func (h *history) sees(t testing.TB, n int) {
	t.Helper()
	eventually(t, func() error {
		ms := h.node.Members()
		if len(ms) != n || slices.ContainsFunc(ms, func(m cluster.Member) bool { return m.State != cluster.StateAlive }) {
			return fmt.Errorf("%s sees %v, want %d alive", h.node.Self().Name, ms, n)
		}
		return nil
	})
}

// eventually polls until f returns nil, for 20 s at most.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	eventuallyWithin(t, 20*time.Second, f)
}

func eventuallyWithin(t testing.TB, d time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(d)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestNodesFindEachOtherThroughASeed(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", a)
	c := start(t, "c", b)
	for _, h := range []*history{a, b, c} {
		h.sees(t, 3)
	}
	e := a.wait(t, cluster.NodeJoined, "c")
	if e.Member.Addr != c.node.Self().Addr || e.Member.Boot != c.node.Self().Boot {
		t.Errorf("a saw %v join, want %v", e.Member, c.node.Self())
	}
	names := []string{}
	for _, m := range a.node.Members() {
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
	if e := a.wait(t, cluster.NodeJoined, "b"); e.Member.Tags["zone"] != "a" {
		t.Errorf("b joined with %v", e.Member.Tags)
	}
	if err := b.node.UpdateTags(cluster.Tags{"zone": "b", "gpu": "h100"}); err != nil {
		t.Fatal(err)
	}
	if got := b.node.Self().Tags; got["gpu"] != "h100" {
		t.Errorf("own view right after the change: %v", got)
	}
	e := a.wait(t, cluster.NodeUpdated, "b")
	if want := (cluster.Tags{"role": "worker", "zone": "b", "gpu": "h100"}); !e.Member.Tags.Equal(want) || e.Was.Tags["zone"] != "a" {
		t.Errorf("update from %v to %v", e.Was.Tags, e.Member.Tags)
	}
	ms, err := a.node.NodesWith("gpu, zone in (b,c)")
	if err != nil || len(ms) != 1 || ms[0].Name != "b" {
		t.Errorf("NodesWith: %v, %v", ms, err)
	}
	if err := b.node.RemoveTags("gpu", "absent"); err != nil {
		t.Fatal(err)
	}
	if err := b.node.SetTags(cluster.Tags{"role": "idle"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if m, _ := a.node.Lookup("b"); !m.Tags.Equal(cluster.Tags{"role": "idle"}) {
			return fmt.Errorf("a sees %v", m.Tags)
		}
		return nil
	})
}

func TestLeaveIsSeenAsLeftAndNotAsFailed(t *testing.T) {
	t.Parallel()
	hs := startMany(t, 4)
	if err := hs[2].node.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, 3} {
		hs[i].wait(t, cluster.NodeLeft, "n02")
		hs[i].sees(t, 3)
		if es := hs[i].events(cluster.NodeFailed, ""); len(es) > 0 {
			t.Errorf("n%02d: %v", i, es)
		}
		if gone := hs[i].node.Gone(); len(gone) != 1 || gone[0].State != cluster.StateLeft {
			t.Errorf("n%02d: gone %v", i, gone)
		}
	}
	if err := hs[2].node.SetTags(nil); err != cluster.ErrStopped {
		t.Errorf("SetTags after Leave: %v", err)
	}
}

func TestCloseIsSeenAsACrashOnce(t *testing.T) {
	t.Parallel()
	hs := startMany(t, 5)
	hs[4].node.Close()
	for _, h := range hs[:4] {
		if e := h.wait(t, cluster.NodeFailed, "n04"); e.Cause != cluster.CauseDetected {
			t.Errorf("cause %v", e.Cause)
		}
	}
	for _, h := range hs[:4] {
		h.sees(t, 4)
		if es := h.events(cluster.NodeFailed, ""); len(es) != 1 {
			t.Errorf("%s has %d NodeFailed:\n%s", h.node.Self().Name, len(es), lines(es))
		}
	}
}

func TestAClosedNodeJoinsAgainOnTheSameEndpoint(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	start(t, "c", a)
	ep := listen(t, "127.0.0.1:0")
	b := join(t, ep, cluster.Config{Name: "b", Seeds: addrs(a), Tags: cluster.Tags{"life": "1"}})
	first := b.node.Self()
	a.sees(t, 3)
	b.node.Close()
	b2 := join(t, ep, cluster.Config{Name: "b", Seeds: addrs(a), Tags: cluster.Tags{"life": "2"}})
	e := a.wait(t, cluster.NodeFailed, "b")
	if e.Cause != cluster.CauseReplaced || e.Member.Boot != first.Boot {
		t.Errorf("old life: %v", e)
	}
	eventually(t, func() error {
		if m, _ := a.node.Lookup("b"); m.Boot != b2.node.Self().Boot || m.Tags["life"] != "2" {
			return fmt.Errorf("a has %v with %v", m, m.Tags)
		}
		return nil
	})
	a.sees(t, 3)
	b2.sees(t, 3)
	if es := a.events(cluster.NodeUpdated, "b"); len(es) > 0 {
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
	case <-w.node.Joined():
		t.Fatal("joined without a seed")
	default:
	}
	d := join(t, listen(t, addr), cluster.Config{Name: "director"})
	w.sees(t, 2)
	d.sees(t, 2)
	<-w.node.Joined()
}

func TestWaitForSeedFailsWhenNoSeedAnswers(t *testing.T) {
	t.Parallel()
	ep := listen(t, "127.0.0.1:0")
	gone := listen(t, "127.0.0.1:0")
	gone.Close()
	_, err := cluster.Join(t.Context(), ep, cluster.Config{Name: "w", Seeds: []string{gone.Addr().String()}, WaitForSeed: true,
		JoinTimeout: 300 * time.Millisecond, Logger: quiet()})
	if err == nil || !strings.Contains(err.Error(), gone.Addr().String()) || !strings.Contains(err.Error(), "refused") {
		t.Fatalf("got %v", err)
	}
	// The endpoint is free again.
	join(t, ep, cluster.Config{Name: "w"})
}

func TestANodeOfAnotherAuthorityIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	other, err := rpcnet.NewDevCA()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := other.Credentials()
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, rpcnet.WithLogger(quiet()))
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	_, err = cluster.Join(t.Context(), ep, cluster.Config{Name: "stranger", Seeds: addrs(a), WaitForSeed: true,
		JoinTimeout: 500 * time.Millisecond, Logger: quiet()})
	if err == nil {
		t.Fatal("a stranger joined")
	}
	if ms := a.node.Members(); len(ms) != 1 {
		t.Errorf("a sees %v", ms)
	}
}
