package cluster_test

import (
	"os"
	"strings"
	"testing"
	"time"
)

// pair orders two workers by who serves the client now.
func pair(client, a, b *node) (serving, other *node) {
	client.t.Helper()
	if l := client.await("🔄 worker confirmed connection").text; strings.Contains(l, "worker="+a.name) {
		return a, b
	}
	return b, a
}

func TestFailureCycle(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director := f.startDirector()
	director.await("🚀 Director ready")
	a := f.startWorker("worker-a", "WORKER_FAILURE_ENABLED=true")
	b := f.startWorker("worker-b", "WORKER_FAILURE_ENABLED=true", "WORKER_FAILURE_OFFSET=9s")
	director.await("2 workers available")
	client := f.startClient("TOKENS=0", "TOKEN_INTERVAL=50ms", "SEED=7")
	client.awaitToken(1)

	for _, w := range []*node{a, b} {
		w.await("⚠️  [" + w.name + "] Simulating worker failure in 3 seconds...")
		w.await("💥 [" + w.name + "] Worker failed!")
		w.await("🔄 [" + w.name + "] Worker recovering...")
		w.await("✅ [" + w.name + "] Worker recovered and ready to serve!")
		director.await("NodeJoined", w.name)
	}
	// Each has served again since: the first because the second failed, the
	// second because the first fails for the second time.
	a.await("🎬 [worker-a] Streaming handler invoked")
	b.await("🎬 [worker-b] Streaming handler invoked")
	for _, says := range []string{
		"⚠️  worker failed - will request new worker from director",
		"🔄 returning to director for new worker assignment",
		"✅ direct connection established to worker",
		"⚠️  worker failed - will request new worker from director",
		"✅ direct connection established to worker",
	} {
		client.await(says)
	}
	client.Stop()
	client.ended(0)
	tally := client.tokens(0, 7)
	if tally.Switches < 2 {
		t.Errorf("%d switches, want one for each failure of the serving worker", tally.Switches)
	}
	t.Logf("%d tokens, %d switches, longest gap %v", tally.Tokens, tally.Switches, tally.Gap)
	director.none("compute failed")
	client.none("No worker assigned") // one of the two was well at any time
}

func TestHardKillAndRestart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, a, b := f.startPair()
	client := f.startClient("TOKENS=0", "TOKEN_INTERVAL=20ms", "SEED=3")
	serving, other := pair(client, a, b)
	client.awaitToken(10)
	director.skip()

	killed := time.Now()
	serving.Kill()
	client.await("⚠️  worker failed - will request new worker from director", "worker="+serving.name)
	client.await("🔄 worker confirmed connection", "worker="+other.name)
	client.await("📦 received token")
	t.Logf("the client went on after %v (to reach: 1 s)", time.Since(killed))
	director.await("NodeFailed", serving.name)
	t.Logf("the director said that the worker failed after %v", time.Since(killed))
	director.await("1 workers available")
	director.await("🧮 compute answered", "worker="+other.name)

	// It comes back under its name and address, and is chosen again.
	director.skip()
	started := time.Now()
	again := f.startWorker(serving.name, "WORKER_ADDR="+serving.addr)
	director.await("NodeJoined", serving.name)
	t.Logf("the director knew the worker %v after its start (to reach: 3 s)", time.Since(started))
	director.await("2 workers available")
	f.untilServedBy(serving.name)
	again.await("🎬 [" + serving.name + "] Streaming handler invoked")

	client.Stop()
	client.ended(0)
	tally := client.tokens(0, 3)
	t.Logf("longest gap between two tokens %v", tally.Gap)
	director.none("compute failed")
}

func TestGracefulStop(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, a, b := f.startPair()
	client := f.startClient("TOKENS=0", "TOKEN_INTERVAL=50ms", "SEED=5")
	serving, other := pair(client, a, b)
	client.awaitToken(10)
	director.skip()
	serving.Stop()
	client.await("🔄 worker confirmed connection", "worker="+other.name)
	client.await("📦 received token")
	serving.ended(0)
	other.await("NodeUpdated", serving.name) // it says that it leaves
	director.await("NodeLeft", serving.name)
	director.await("1 workers available")
	director.none("NodeFailed{detected} "+serving.name, "NodeFailed{refused} "+serving.name, "compute failed")
	client.Stop()
	client.ended(0)
	client.none("⚠️", " WRN ", " ERR ")
	tally := client.tokens(0, 5)
	t.Logf("longest gap between two tokens, which are 50 ms apart, %v (to reach: 100 ms)", tally.Gap)
}

func TestASecondInterruptEndsTheProgramAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director := f.startDirector()
	director.await("🚀 Director ready")
	director.Signal(os.Interrupt)
	director.await("🛑 Director is draining")
	director.Signal(os.Interrupt)
	select {
	case <-director.Done():
	case <-time.After(patience):
		t.Fatal("still running")
	}
}
