package cluster_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/proc"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func TestDirectorRestart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, a, b := f.startPair()
	client := f.startClient("TOKENS=0", "TOKEN_INTERVAL=200ms", "SEED=9")
	client.awaitToken(5)
	director.Kill()
	<-director.Done()
	restarted := time.Now()
	director = f.startDirector()
	director.await("NodeJoined", "worker-")
	director.await("NodeJoined", "worker-")
	t.Logf("both workers were back %v after the director's start (to reach: 5 s)", time.Since(restarted))
	director.await("2 workers available")
	client.skip()
	client.await("📦 received token")
	client.none("⚠️")
	if tally := client.tokens(0, 9); tally.Switches != 0 {
		t.Errorf("%d switches, want none: the stream needs no director", tally.Switches)
	}
	// The client finds the new director when it needs one.
	serving, other := a, b
	if client.find("🔄 worker confirmed connection worker="+b.name) != "" {
		serving, other = b, a
	}
	serving.Kill()
	client.await("🔄 worker confirmed connection", "worker="+other.name)
	client.await("📦 received token")
	client.Stop()
	client.ended(0)
	client.tokens(0, 9)
}

func TestLateWorker(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, _, _ := f.startPair()
	var clients []*node
	stream := func() *node {
		c := f.startClient("TOKENS=0", "TOKEN_INTERVAL=500ms")
		clients = append(clients, c)
		c.awaitToken(1)
		return c
	}
	for range 4 {
		stream()
	}
	late := f.startWorker("worker-c")
	director.await("3 workers available")
	served := 0
	for range 5 {
		if stream().find("🔄 worker confirmed connection worker="+late.name) != "" {
			served++
		}
	}
	// Nine streams on three workers are three each. A machine that is busy can
	// make a worker look late for a moment, which moves one or two.
	if served < 1 || served > 4 {
		t.Errorf("the late worker has %d of 5 new streams, want about 3", served)
	}
	for _, c := range clients {
		c.Stop()
		c.ended(0)
		c.tokens(0, 0)
	}
	director.skip()
	for _, w := range []string{"worker-a", "worker-b", "worker-c"} {
		director.await("   - "+w, "(0 connections)")
	}
}

func TestStrategiesAreSelectable(t *testing.T) {
	t.Parallel()
	for _, name := range balance.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			director := newFleet(t).startDirector("STRATEGY=" + strings.ToLower(name))
			director.await("🔄 Load balancing strategy: " + name)
			director.await("🚀 Director ready")
			director.Stop()
			director.ended(0)
		})
	}
	f := newFleet(t)
	director := f.startDirector("STRATEGY=RoundRobin")
	f.startWorker("worker-a")
	f.startWorker("worker-b")
	director.await("2 workers available")
	f.untilServedBy("worker-a")
	f.untilServedBy("worker-b")
}

func TestDemo(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	demo := f.startCommand([]string{proc.Path(binDir, "demo"), "-duration", "20s", "-clients", "2"}, "demo", "",
		"WORKER_ADDR="+consecutiveAddrs(t, 2),
		"GOFLAGS="+os.Getenv("GOFLAGS")+" "+strings.Join(buildArgs, " ")) // what it builds is built already
	demo.await("🚀 Director ready")
	demo.await("stopping clients, workers and the director")
	demo.ended(0)
	for _, prefix := range []string{"director  │ ", "worker-a  │ ", "worker-b  │ ", "client-1  │ ", "client-2  │ "} {
		if demo.find(prefix) == "" {
			t.Errorf("no line of %q", prefix)
		}
	}
	demo.await("tokens received", "lost", "received twice", "worker switches", "longest gap")
	for i := 1; i <= 2; i++ {
		fields := strings.Fields(demo.await(fmt.Sprintf("  client-%d ", i)).text)
		if len(fields) != 6 || fields[1] == "0" || fields[2] != "0" || fields[3] != "0" {
			t.Errorf("summary %q, want tokens, none lost, none twice", fields)
		}
	}
	demo.none("\x1b[") // no colour into a pipe
}

// consecutiveAddrs returns the first of n free addresses with consecutive
// ports.
func consecutiveAddrs(t *testing.T, n int) string {
	t.Helper()
	for range 100 {
		first := freeAddr(t)
		last := first
		consecutive := true
		for range n - 1 {
			var p, q int
			next := freeAddr(t)
			fmt.Sscanf(last, "127.0.0.1:%d", &p)
			fmt.Sscanf(next, "127.0.0.1:%d", &q)
			consecutive = consecutive && q == p+1
			last = next
		}
		if consecutive {
			return first
		}
	}
	t.Fatal("no consecutive free ports")
	return ""
}

// TestFieldADemoStartsWhenWorkersAreReady: clients come when every worker can be
// chosen. So nobody warns at the start, and turns are what the name promises.
func TestFieldADemoStartsWhenWorkersAreReady(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	demo := f.startCommand([]string{proc.Path(binDir, "demo"), "-strategy", "RoundRobin", "-workers", "3", "-clients", "6", "-failures=false"}, "demo", "",
		"CERT_DIR="+t.TempDir(), // certificates of its own: another demo makes some at the same time
		"WORKER_ADDR="+consecutiveAddrs(t, 3),
		"GOFLAGS="+os.Getenv("GOFLAGS")+" "+strings.Join(buildArgs, " "))
	served := map[string]int{}
	for range 6 {
		words := strings.Fields(demo.await("🎬 [worker-", "Streaming handler invoked").text)
		served[words[0]]++
	}
	demo.none(" WRN ", " ERR ", "going on without")
	want := map[string]int{"worker-a": 2, "worker-b": 2, "worker-c": 2}
	if !maps.Equal(served, want) {
		t.Errorf("clients by worker: %v, want %v", served, want)
	}
	demo.Stop()
	demo.ended(0)
}
