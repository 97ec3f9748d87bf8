package cluster_test

import (
	"iter"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// A registry asks the director of a fleet for workers, as a client does that
// connects to them by itself.
type registry struct {
	t      *testing.T
	client *contract.DirectorRegistryClient
}

func (f *fleet) registry() registry {
	f.t.Helper()
	return registry{f.t, contract.NewDirectorRegistryClient(dial(f.t, f.director))}
}

func dial(t *testing.T, addr string) *rpcnet.Conn {
	t.Helper()
	file := func(name string) string { return filepath.Join(certDir, name) }
	conn, err := rpcnet.Dial(t.Context(), addr, rpcnet.CertFiles(file(certs.Cert), file(certs.Key), file(certs.CA)), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// assign returns the worker that the director chooses.
func (r registry) assign(selector string) *contract.GetWorkerResponse {
	r.t.Helper()
	res, err := r.client.GetWorker(r.t.Context(), &contract.GetWorkerRequest{Selector: selector})
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

func TestAClientThatConnectsByItself(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director, _, _ := f.startPair()
	res := f.registry().assign("")
	if len(res.Alternates) != 1 || res.Alternates[0].Label == res.Label {
		t.Errorf("alternates %v of %s, want the other worker", res.Alternates, res.Label)
	}
	director.await("📨 client requesting worker assignment")
	director.await("✅ assigned worker to client", "worker="+res.Label, "addr="+res.Addr)

	worker := contract.NewInferenceClient(rpcnet.NewClient(dial(t, res.Addr), &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Ticket: res.Ticket}}))
	prompts := func(yield func(*contract.InferenceRequest, error) bool) {
		yield(&contract.InferenceRequest{MaxTokens: 5}, nil)
	}
	var texts []string
	for event, err := range worker.Generate(t.Context(), iter.Seq2[*contract.InferenceRequest, error](prompts)) {
		if err != nil {
			t.Fatal(err)
		}
		if token, ok := event.(contract.Token); ok {
			texts = append(texts, token.Text)
		}
	}
	if want := []string{"token-1", "token-2", "token-3", "token-4", "token-5"}; !slices.Equal(texts, want) {
		t.Errorf("texts %q, want %q", texts, want)
	}
	director.skip()
	director.await("   - worker-a", "(0 connections)")
	director.await("   - worker-b", "(0 connections)")
}

func TestTheDirectorPrefersItsZone(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director := f.startDirector("DIRECTOR_ZONE=a")
	director.await("🚀 Director ready")
	near := f.startWorker("worker-near", "WORKER_TAGS=zone=a", "WORKER_CAPACITY=1000")
	far := f.startWorker("worker-far", "WORKER_TAGS=zone=b", "WORKER_CAPACITY=1000")
	director.await("2 workers available")
	director.await("   - "+far.name, "capacity=1000", "zone=b")
	director.await("   - "+near.name, "capacity=1000", "zone=a")

	// The nearer one, as long as it is not much fuller. A busy machine may make
	// it look late now and then.
	registry := f.registry()
	for deadline, inARow := time.Now().Add(patience), 0; inARow < 20; inARow++ {
		if registry.assign("").Label == far.name {
			inARow = -1
		}
		if time.Now().After(deadline) {
			t.Fatalf("the director does not prefer the worker of its zone")
		}
	}
	// Those who want the other zone get it.
	if w := registry.assign("zone in (b,c)"); w.Label != far.name {
		t.Errorf("zone in (b,c): %s", w.Label)
	}
	client := f.startClient("TOKENS=0", "TOKEN_INTERVAL=20ms", "SEED=17")
	client.awaitToken(5)
	near.Kill()
	client.await("🔄 worker confirmed connection", "worker="+far.name)
	client.Stop()
	client.ended(0)
	client.tokens(0, 17)
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	director := f.startDirector()
	director.await("🚀 Director ready")
	f.startWorker("worker-a", "WORKER_CAPACITY=1")
	director.await("1 workers available")
	first := f.startClient("TOKENS=0", "TOKEN_INTERVAL=200ms")
	first.awaitToken(1)
	second := f.startClient("TOKENS=5", "TOKEN_INTERVAL=10ms")
	director.await("   - worker-a", "(2 connections)", "capacity=1", "queued=1")
	second.none("📦 received token")
	first.Stop()
	first.ended(0)
	second.ended(0)
	second.tokens(5, 0)
}
