//go:build unix

package cluster_test

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestFrozenWorker(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	// In turn: a worker that has just been chosen would be the next but one.
	director := f.startDirector("STRATEGY=RoundRobin")
	director.await("🚀 Director ready")
	a, b := f.startWorker("worker-a"), f.startWorker("worker-b")
	director.await("2 workers available")
	client := f.startClient("TOKENS=0", "TOKEN_INTERVAL=20ms", "SEED=11")
	serving, other := pair(client, a, b)
	client.awaitToken(5)
	director.skip()

	frozen := time.Now()
	serving.Signal(syscall.SIGSTOP)
	// It is not chosen any more before the cluster agrees that it has failed.
	registry := f.registry()
	var chosen []string
	for tick := time.Tick(10 * time.Millisecond); director.find("NodeFailed") == ""; <-tick {
		chosen = append(chosen, registry.assign("").Label)
	}
	t.Logf("the director said that the worker failed after %v", time.Since(frozen))
	slices.Reverse(chosen)
	if since := slices.Index(chosen, serving.name); 0 <= since && since < 8 {
		t.Errorf("only %d of %d choices passed over the frozen worker before the verdict that it has failed", since, len(chosen))
	} else {
		t.Logf("the last %d of %d choices before that passed it over", since, len(chosen))
	}
	director.await("NodeSuspected", serving.name)
	other.await("NodeSuspected", serving.name)
	client.await("🔄 worker confirmed connection", "worker="+other.name)
	client.await("📦 received token")
	second := f.startClient("TOKENS=1")
	second.ended(0)
	second.none("worker=" + serving.name)

	director.skip()
	thawed := time.Now()
	serving.Signal(syscall.SIGCONT)
	director.await("Node", serving.name+" (") // recovered, or joined
	t.Logf("the director knew that the worker was back after %v", time.Since(thawed))
	director.await("2 workers available")
	f.untilServedBy(serving.name)

	client.Stop()
	client.ended(0)
	tally := client.tokens(0, 11)
	t.Logf("longest gap between two tokens %v", tally.Gap)
	director.none("compute failed")
}
