package cluster_test

import (
	"testing"
	"time"
)

func TestNoWorker(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director := f.startDirector()
	director.await("🚀 Director ready")
	client := f.startClient("TOKENS=5", "TOKEN_INTERVAL=10ms")
	for range 3 {
		client.await("⚠️  No worker assigned - asking again in ", "no worker matches")
	}
	director.await("⚠️  No workers available")
	f.startWorker("worker-a")
	client.ended(0)
	client.tokens(5, 0)
}

func TestClientBeforeDirector(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	client := f.startClient("TOKENS=5", "TOKEN_INTERVAL=10ms")
	client.await("⚠️  No worker assigned - asking again in ", "no director answers")
	f.startDirector()
	f.startWorker("worker-a")
	client.ended(0)
	client.tokens(5, 0)
}

func TestWorkerBeforeDirector(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	worker := f.startWorker("worker-a")
	worker.await("⏳ Director at " + f.director + " does not answer - still trying")
	director := f.startDirector()
	started := time.Now()
	worker.await("✅ Cluster enabled, connected to director")
	worker.await("🚀 Worker 'worker-a' is running")
	t.Logf("joined %v after the director's start", time.Since(started))
	director.await("1 workers available")
	client := f.startClient("TOKENS=5", "TOKEN_INTERVAL=10ms")
	client.ended(0)
	client.tokens(5, 0)
}

func TestTags(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director := f.startDirector()
	director.await("🚀 Director ready")
	f.startWorker("worker-a")
	tagged := f.startWorker("worker-b", "WORKER_TAGS=gpu=h100,zone=a")
	director.await("2 workers available")
	for range 4 { // which the other would share
		client := f.startClient("TOKENS=2", "TOKEN_INTERVAL=10ms", "SELECTOR=gpu=h100")
		client.await("🔄 worker confirmed connection", "worker="+tagged.name)
		client.ended(0)
	}
	client := f.startClient("SELECTOR=gpu=a100")
	client.await("⚠️  No worker assigned", "no worker matches", "gpu=a100")
	client.Stop()
	client.ended(0)
}
