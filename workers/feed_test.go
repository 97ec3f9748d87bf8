package workers_test

import (
	"context"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/workers"
)

// An administrator sees the load of the workers as it changes, and that one is gone.
func TestAdministratorsSeeTheWorkersChange(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	w := startWorker(t, "worker-a", d.history, workerOptions{config: workers.WorkerConfig{Capacity: 3}})
	d.ready(t, 1)
	conn, err := d.Node.Endpoint().Dial(t.Context(), d.Node.Self().Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	step := 0
	for list, err := range (cluster.Admin{Transport: conn}).Workers(ctx) {
		if err != nil {
			t.Fatalf("after step %d: %v", step, err)
		}
		switch {
		case step == 0 && len(list) == 1 && list[0].Ready && list[0].Capacity == 3 && list[0].InFlight == 0:
			go d.client.CallWorker(ctx, "hold", nil, "")
			step = 1
		case step == 1 && len(list) == 1 && list[0].InFlight == 1:
			close(w.release)
			step = 2
		case step == 2 && len(list) == 1 && list[0].InFlight == 0:
			go w.kill()
			step = 3
		case step == 3 && (len(list) == 0 || !list[0].Ready):
			return
		}
	}
	t.Fatal("the feed ends without an error")
}

// The feed is limited as the streams of events are, and is for administrators.
func TestFeedsOfWorkersAreFew(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	conn, err := d.Node.Endpoint().Dial(t.Context(), d.Node.Self().Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	refused := make(chan error, 20)
	opened := make(chan struct{}, 20)
	for range 20 {
		go func() {
			for _, err := range (cluster.Admin{Transport: conn}).Workers(ctx) {
				if err != nil {
					refused <- err
					return
				}
				opened <- struct{}{}
			}
		}()
	}
	for range 4 {
		if err := <-refused; rpcnet.CodeOf(err) != rpcnet.CodeResourceExhausted {
			t.Errorf("refused with %v, want ResourceExhausted", err)
		}
	}
	for range 16 {
		<-opened
	}
}
