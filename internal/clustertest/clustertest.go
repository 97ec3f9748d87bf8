// Package clustertest has what the tests of packages cluster and workers share:
// nodes on the loopback interface that keep their events, and ways to wait for
// them. Every helper fails the test itself if something goes wrong.
//
// The nodes are real: they use sockets and the clock of the system. So a test never
// asserts a state at once. It waits for it with [History.Wait], [History.Sees] or
// [Eventually], which have long limits for machines that are busy and return as soon
// as the state is there. What can be decided without network or clock is tested by
// the scenario files of cluster/internal/members instead.
//
// Helpers end a test with Fatal, so call them from the goroutine that runs it.
package clustertest

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
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// CA returns the authority that signs all certificates of one test binary. It
// makes it at the first call, because keys cost time. It panics if that fails, since
// there is no test to blame.
var CA = sync.OnceValue(func() *rpctest.DevCA {
	ca, err := rpctest.NewDevCA()
	if err != nil {
		panic(err)
	}
	return ca
})

// Listen returns an endpoint at addr that is closed when the test ends. Its
// certificate is for loopback addresses, and it logs nothing: nodes log by [Quiet].
func Listen(t testing.TB, addr string) *rpcnet.Endpoint {
	t.Helper()
	creds, err := CA().Credentials()
	if err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen(addr, creds, &rpcnet.EndpointConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	return ep
}

// Quiet returns the logger of nodes in tests. It discards everything, or writes
// everything to standard error if the variable CLUSTER_TEST_LOG is set. The output
// of a test is not used, because nodes still log while they end.
func Quiet() *slog.Logger {
	if os.Getenv("CLUSTER_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// A History is a node with all events that its Watch has yielded. One goroutine
// for each node collects them until the node is closed. Its methods are safe for
// concurrent use.
type History struct {
	Node *cluster.Node
	mu   sync.Mutex      // guards all
	all  []cluster.Event // in the order of their Seq; only grows
}

// Join makes a node on ep that is closed when the test ends. Its logger is Quiet
// unless cfg has another. The test's context bounds joining, and not the life
// of the node.
func Join(t testing.TB, ep *rpcnet.Endpoint, cfg cluster.Config) *History {
	t.Helper()
	return JoinContext(t, t.Context(), ep, cfg)
}

// JoinContext makes a node as Join does, with a context of the caller, such as that
// of a faults.Network.
func JoinContext(t testing.TB, ctx context.Context, ep *rpcnet.Endpoint, cfg cluster.Config) *History {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = Quiet()
	}
	n, err := cluster.Join(ctx, ep, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := &History{Node: n}
	done := make(chan struct{})
	// Watch has no end of its own here: it ends when the node is closed, and then all
	// events up to that have been kept.
	go func() {
		defer close(done)
		for e := range n.Watch(context.Background()) {
			h.mu.Lock()
			h.all = append(h.all, e)
			h.mu.Unlock()
		}
	}()
	// The collector ends before the test does, so that Main finds no leak.
	t.Cleanup(func() { n.Close(); <-done })
	return h
}

// Start makes an endpoint on a free port and a node that joins through seeds. Without
// seeds the node is the first of a cluster.
func Start(t testing.TB, name string, seeds ...*History) *History {
	t.Helper()
	return Join(t, Listen(t, "127.0.0.1:0"), cluster.Config{Name: name, Seeds: Addrs(seeds...)})
}

// Addrs returns the addresses of nodes, in the form of Config.Seeds.
func Addrs(hs ...*History) (as []string) {
	for _, h := range hs {
		as = append(as, h.Node.Self().Addr)
	}
	return as
}

// StartMany makes n nodes, each of which joins through an earlier one, and waits
// until each sees all. They are called n00, n01 and so on. The seeds form a binary
// tree, so that a node hears of most others by gossip.
func StartMany(t testing.TB, n int) []*History {
	t.Helper()
	hs := make([]*History, n)
	for i := range hs {
		// The first has none. An earlier node has an address already, which a later one
		// does not.
		var seeds []*History
		if i > 0 {
			seeds = hs[i/2 : i/2+1]
		}
		hs[i] = Start(t, fmt.Sprintf("n%02d", i), seeds...)
	}
	for _, h := range hs {
		h.Sees(t, n)
	}
	return hs
}

// All returns a copy of all events so far, with the initial ones of the subscription.
func (h *History) All() []cluster.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// Events returns the events of a kind about the member called name so far, or
// about any member if name is empty. It leaves out the initial events of the
// subscription.
func (h *History) Events(kind cluster.Kind, name string) (es []cluster.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e.Kind == kind && !e.Initial && (name == "" || e.Member.Name == name) {
			es = append(es, e)
		}
	}
	return es
}

// Wait returns the first event of a kind about the member called name. It waits
// for it as long as Eventually does. An event that came before the call counts, so
// there is no race between what causes it and the call. If none comes, the test fails
// with all events there were.
func (h *History) Wait(t testing.TB, kind cluster.Kind, name string) cluster.Event {
	t.Helper()
	var found []cluster.Event
	Eventually(t, func() error {
		if found = h.Events(kind, name); len(found) == 0 {
			return fmt.Errorf("%s has no %v of %q; it has:\n%s", h.Node.Self().Name, kind, name, Lines(h.All()))
		}
		return nil
	})
	return found[0]
}

// Lines returns the events as text, one on each line, with the second and the
// millisecond of each.
func Lines(es []cluster.Event) string {
	var b strings.Builder
	for _, e := range es {
		fmt.Fprintf(&b, "%s %d %v\n", e.Time.Format("05.000"), e.Seq, e)
	}
	return b.String()
}

// Sees waits until the node sees exactly n members, all of them alive. The node
// itself is one of them.
func (h *History) Sees(t testing.TB, n int) {
	t.Helper()
	Eventually(t, func() error {
		ms := h.Node.Members()
		if len(ms) != n || slices.ContainsFunc(ms, func(m cluster.Member) bool { return m.State != cluster.StateAlive }) {
			return fmt.Errorf("%s sees %v, want %d alive", h.Node.Self().Name, ms, n)
		}
		return nil
	})
}

// Within polls cond until it is true, for up to 10 s. what says what was expected.
// [Eventually] is better if the state can say why it is not as wanted.
func Within(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// Eventually polls until f returns nil, for 20 s at most. f says in its error what it
// saw, which is what a failing test shows.
func Eventually(t testing.TB, f func() error) {
	t.Helper()
	EventuallyWithin(t, 20*time.Second, f)
}

// EventuallyWithin polls, every 5 ms, until f returns nil, for up to d. It fails the test with
// the last error of f. It is for what needs another time than Eventually gives, such as
// the end of a partition.
func EventuallyWithin(t testing.TB, d time.Duration, f func() error) {
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
