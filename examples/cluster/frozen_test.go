//go:build unix

package cluster_test

import (
	"syscall"
	"testing"
	"time"
)

func TestFrozenWorker(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, a, b := f.startPair()
	client := f.startClient("TOKENS=0", "TOKEN_INTERVAL=20ms", "SEED=11")
	serving, other := pair(client, a, b)
	client.awaitToken(5)
	director.skip()

	frozen := time.Now()
	serving.Signal(syscall.SIGSTOP)
	director.await("NodeFailed", serving.name)
	t.Logf("the director said that the worker failed after %v", time.Since(frozen))
	client.await("🔄 worker confirmed connection", "worker="+other.name)
	client.await("📦 received token")
	t.Logf("the stream went on after %v", time.Since(frozen))
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
