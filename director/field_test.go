package director_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/workers"
)

// TestFieldAStrangerAtAWorkersAddressGetsNoCall: a worker dies, its address is
// given to a worker of another cluster, and no director answers who could say so.
func TestFieldAStrangerAtAWorkersAddressGetsNoCall(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	w := startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{})
	ready(t, d, 1)
	c := dial(t, director.ClientConfig{ClientConfig: noWait, AskTimeout: 200 * time.Millisecond}, d.addr)
	if _, err := c.CallWorker(t.Context(), "name", nil, ""); err != nil {
		t.Fatal(err)
	}
	d.kill()
	w.kill()
	ep, err := rpcnet.Listen(w.addr, credentials(t), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	node, err := cluster.Join(t.Context(), ep, &cluster.Config{Name: "worker-a", Cluster: "another", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	var called atomic.Int64
	srv := rpcnet.NewServer(nil)
	srv.Handle("name", func(context.Context, []byte) ([]byte, error) {
		called.Add(1)
		return []byte("stranger"), nil
	})
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background(), srv) }()
	defer func() { ep.Close(); <-served }()
	for range 5 {
		if out, err := c.CallWorker(t.Context(), "name", nil, ""); err == nil || !strings.Contains(err.Error(), `cluster "another"`) {
			t.Errorf("answered %q, %v; want an error that says who is there", out, err)
		}
	}
	if n := called.Load(); n > 0 {
		t.Errorf("the stranger was given %d calls", n)
	}
}

// TestFieldAReasonIsToldOnce: the text of an error has its code once.
func TestFieldAReasonIsToldOnce(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	for what, addr := range map[string]string{"no director": "127.0.0.1:1", "no worker": d.addr} {
		c := dial(t, director.ClientConfig{ClientConfig: noWait, AskTimeout: 100 * time.Millisecond}, addr)
		_, unary := c.CallWorker(t.Context(), "name", nil, "")
		stream := count(t, c, 3, func(uint64) {})
		for _, err := range []error{unary, stream} {
			if err == nil || strings.Count(err.Error(), "Unavailable") != 1 {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// TestFieldACallerWhoHasGoneIsNotToldThatThereIsNoWorker: as after the director was
// stopped, when it reads the question before the news that its caller gave up.
func TestFieldACallerWhoHasGoneIsNotToldThatThereIsNoWorker(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	ctx, gone := context.WithCancel(t.Context())
	gone()
	if _, err := director.New(d.registry, &director.Config{Logger: quiet}).GetWorker(ctx, director.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := director.New(d.registry, &director.Config{Logger: quiet}).GetWorker(t.Context(), director.Request{}); !errors.Is(err, workers.ErrNoWorker) {
		t.Errorf("one who waits is told %v", err)
	}
}
