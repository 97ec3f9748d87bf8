// Package clustertest is what the tests of clusters and of workers share: nodes
// on loopback that keep their events.
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
)

// CA returns one authority for all tests of a process.
var CA = sync.OnceValue(func() *rpcnet.DevCA {
	ca, err := rpcnet.NewDevCA()
	if err != nil {
		panic(err)
	}
	return ca
})

// Listen returns an endpoint on loopback that is closed with the test.
func Listen(t testing.TB, addr string) *rpcnet.Endpoint {
	t.Helper()
	creds, err := CA().Credentials()
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

// Quiet is the logger of nodes in tests: nothing, or everything with
// CLUSTER_TEST_LOG set.
func Quiet() *slog.Logger {
	if os.Getenv("CLUSTER_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// A History is a node of a test and keeps its events.
type History struct {
	Node *cluster.Node
	mu   sync.Mutex
	all  []cluster.Event
}

// Join makes a node on ep; it is closed with the test.
func Join(t testing.TB, ep *rpcnet.Endpoint, cfg cluster.Config) *History {
	t.Helper()
	return JoinContext(t, t.Context(), ep, cfg)
}

// JoinContext is Join with a context, which may carry faults.
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

// Start makes an endpoint and a node that joins through the given ones.
func Start(t testing.TB, name string, seeds ...*History) *History {
	t.Helper()
	return Join(t, Listen(t, "127.0.0.1:0"), cluster.Config{Name: name, Seeds: Addrs(seeds...)})
}

// Addrs returns the addresses of nodes.
func Addrs(hs ...*History) (as []string) {
	for _, h := range hs {
		as = append(as, h.Node.Self().Addr)
	}
	return as
}

// StartMany makes n nodes, each joining through an earlier one.
func StartMany(t testing.TB, n int) []*History {
	t.Helper()
	hs := make([]*History, n)
	for i := range hs {
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

// All returns all events so far.
func (h *History) All() []cluster.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// Events returns the events of a kind about the member of that name ("" any)
// so far, without those that began the subscription.
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

// Wait waits for the first event of a kind about a member.
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

// Lines returns the events one a line.
func Lines(es []cluster.Event) string {
	var b strings.Builder
	for _, e := range es {
		fmt.Fprintf(&b, "%s %d %v\n", e.Time.Format("05.000"), e.Seq, e)
	}
	return b.String()
}

// Sees waits until the node has n members, all alive.
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

// Within polls cond for up to 10 s.
func Within(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// Eventually polls until f returns nil, for 20 s at most.
func Eventually(t testing.TB, f func() error) {
	t.Helper()
	EventuallyWithin(t, 20*time.Second, f)
}

// EventuallyWithin is Eventually with another time.
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
