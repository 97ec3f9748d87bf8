package cluster_test

import (
	"fmt"
	"strings"
	"testing"
)

// inOrder checks that n has printed the lines, each after the one before.
func (n *node) inOrder(want ...string) {
	n.t.Helper()
	i := 0
	for _, l := range n.lines() {
		if i < len(want) && strings.Contains(l, want[i]) {
			i++
		}
	}
	if i < len(want) {
		n.t.Errorf("%s: %q is missing, or comes before %q", n.name, want[i], want[max(i-1, 0)])
	}
}

func TestBasic(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director := f.startDirector()
	director.await("🚀 Director ready")
	a, b := f.startWorker("worker-a"), f.startWorker("worker-b")
	director.await("2 workers available")
	// Long enough for the pool to be shown meanwhile.
	const tokens = 30
	client := f.startClient(fmt.Sprint("TOKENS=", tokens), "TOKEN_INTERVAL=200ms")
	serving := client.await("🔄 worker confirmed connection").text
	label := "worker-a"
	if !strings.Contains(serving, label) {
		label = "worker-b"
	}

	// The counts are the truth, while the stream lives and after it.
	director.await("   - "+label, "(1 connections)")
	client.await("✅ stream completed")
	client.ended(0)
	if tally := client.tokens(tokens, 0); tally.Switches != 0 {
		t.Errorf("%d switches without a failure", tally.Switches)
	}
	director.await("2 workers available")
	director.await("   - worker-a at "+a.addr, "(0 connections)")
	director.await("   - worker-b at "+b.addr, "(0 connections)")

	certs := fmt.Sprintf("📁 Loading certificates from %q and %q", certDir+"/test_cert.pem", certDir+"/test_key.pem")
	director.inOrder(
		"🎯 Starting Director at "+f.director,
		certs,
		"✅ Director registered itself in cluster",
		"✅ Cluster enabled - Director is now discoverable",
		"🔄 Load balancing strategy: LeastConnections",
		"🚀 Director ready - listening on "+f.director,
		"⚠️  No workers available",
		"📊 Worker pool status: 2 workers available",
		"📨 client requesting worker assignment",
		"✅ assigned worker to client",
	)
	director.inOrder("🧮 compute answered", "🧮 compute answered")
	director.none("compute failed")
	for _, w := range []*node{a, b} {
		w.inOrder(
			fmt.Sprintf("👷 Starting Worker '%s' at %s", w.name, w.addr),
			certs,
			fmt.Sprintf("🔌 Binding server to %s...", w.addr),
			"✅ Server bound successfully to "+w.addr,
			fmt.Sprintf("🌐 Enabling cluster, connecting to director at %s...", f.director),
			"✅ Cluster enabled, connected to director",
			fmt.Sprintf("🏷️  Tagging worker with role=worker and label=%s...", w.name),
			fmt.Sprintf("✅ Worker '%s' joined cluster with role=worker, label=%s", w.name, w.name),
			fmt.Sprintf("🚀 Worker '%s' is running and ready to handle requests", w.name),
		)
		if w.name == label {
			w.inOrder(
				fmt.Sprintf("🎬 [%s] Streaming handler invoked", w.name),
				"✅ received inference request from client (direct connection)",
			)
		}
	}
	client.inOrder(
		"📡 Starting Client - connecting to director at "+f.director,
		"🔍 asking director for worker assignment",
		"✅ connected to director",
		"🔀 director assigned worker - establishing direct connection",
		"✅ direct connection established to worker",
		"📤 creating request stream",
		"🔌 calling generate on worker",
		"🌊 stream opened successfully, starting to consume responses",
		"🔄 worker confirmed connection",
		`📦 received token (sequence=1, text="token-1", total=1)`,
		`📦 received token (sequence=2, text="token-2", total=2)`,
		"✅ stream completed",
	)
}

func TestTheSameSeedGivesTheSameTextOnAnyWorker(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.startPair()
	for range 2 {
		client := f.startClient("TOKENS=20", "TOKEN_INTERVAL=1ms", "SEED=42")
		client.ended(0)
		client.tokens(20, 42)
	}
}

func TestEachProgramStopsAtOnceWhenItIsAsked(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, a, b := f.startPair()
	client := f.startClient("TOKENS=0", "TOKEN_INTERVAL=10ms")
	client.awaitToken(3)
	for _, n := range []*node{client, a, b, director} {
		n.Stop()
		n.ended(0)
	}
	client.tokens(0, 0)
}
