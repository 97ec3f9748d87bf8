package workers_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A spread is a worker's streams of numbers whose pace the test sets, with how often each
// of them was opened as another attempt.
type spread struct {
	pace   atomic.Int64 // nanoseconds between two numbers
	opened atomic.Int64
	again  atomic.Int64 // opened as the second or a later attempt
	third  atomic.Int64 // as the third or a later one
}

func (s *spread) serve(_ *testWorker, srv *rpcnet.Server) {
	srv.Register(countSpec, func(ctx context.Context, _ *rpcnet.Spec, stream rpcnet.ServerStream) error {
		s.opened.Add(1)
		if n := rpcnet.ServerCallFrom(ctx).Attempt(); n > 0 {
			s.again.Add(1)
			if n > 1 {
				s.third.Add(1)
			}
		}
		var req []byte
		if err := stream.Recv(&req); err != nil {
			return err
		}
		for n := binary.BigEndian.Uint64(req); n <= binary.BigEndian.Uint64(req[8:]); n++ {
			if err := stream.Send(numbers(n)); err != nil {
				return err
			}
			select {
			case <-time.After(time.Duration(s.pace.Load())):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
}

// After a worker was added, streams that run spread over both, each number exactly once;
// two registries ask for it, and none of the streams moves twice.
func TestStreamsSpreadToAWorkerThatIsAdded(t *testing.T) {
	t.Parallel()
	const streams = 12
	var moved, handed atomic.Int64
	var watched atomic.Bool // at the end streams are so fast that a busy machine fails some
	watched.Store(true)
	h := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "director", Metrics: &cluster.Metrics{StreamsMoved: func(n int) { handed.Add(int64(n)) }}})
	rebalance := workers.RegistryConfig{Rebalance: workers.RebalanceConfig{Enabled: true, After: time.Second}}
	d := routingOn(t, h, rebalance, &workers.ClientConfig{OnEvent: func(_ context.Context, e workers.Event) {
		switch e.Kind {
		case workers.EventMoved:
			moved.Add(1)
		case workers.EventFailed:
			if watched.Load() {
				t.Errorf("a stream fails: %+v", e)
			}
		}
	}})
	other, err := workers.NewRegistry(h.Node, &workers.RegistryConfig{Logger: quiet(), Rebalance: rebalance.Rebalance})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	workers.HastenRebalancing(d.registry, 20)
	workers.HastenRebalancing(other, 20)
	s := &spread{}
	s.pace.Store(int64(time.Second)) // so slow that a busy machine fails none
	o := workerOptions{config: workers.WorkerConfig{Capacity: 16}, serve: s.serve}
	a := startWorker(t, "worker-a", h, o)
	d.ready(t, 1)
	var all sync.WaitGroup
	for range streams {
		all.Go(func() {
			if err := count(t, d.client, 200, nil); err != nil {
				t.Error(err)
			}
		})
	}
	within(t, "all streams run", func() bool { return a.worker.InFlight() == streams })
	b := startWorker(t, "worker-b", h, o)
	d.ready(t, 2)
	for end := time.Now().Add(30 * time.Second); a.worker.InFlight()-b.worker.InFlight() > 2; time.Sleep(50 * time.Millisecond) {
		workers.AgeStreams(a.worker, 10*time.Second) // those of b are not: they must stay
		if time.Now().After(end) {
			t.Errorf("%d and %d streams after 30 s", a.worker.InFlight(), b.worker.InFlight())
			break
		}
	}
	if b.worker.InFlight() > a.worker.InFlight()+1 {
		t.Errorf("%d and %d streams: more than half have moved", a.worker.InFlight(), b.worker.InFlight())
	}
	total := func() (n int64) {
		for _, r := range []*workers.Registry{d.registry, other} {
			for _, w := range r.Workers() {
				n += int64(w.Load.HandedOver)
				if w.Name == "worker-b" && w.Load.HandedOver > 0 {
					t.Errorf("worker-b has handed over %d streams", w.Load.HandedOver)
				}
			}
		}
		return n
	}
	within(t, "all that have moved run again, and are counted", func() bool {
		n := s.again.Load()
		return n == moved.Load() && n == handed.Load() && n == total() && a.worker.InFlight()+b.worker.InFlight() == streams
	})
	if n := s.again.Load(); n < streams/2-1 || n > streams/2+1 || s.opened.Load() != streams+n || s.third.Load() != 0 {
		t.Errorf("%d streams were opened %d times, %d of them again, %d a third time", streams, s.opened.Load(), n, s.third.Load())
	}
	watched.Store(false)
	s.pace.Store(0)
	all.Wait()
}

// Streams of workers that do not suit each other's calls stay.
func TestStreamsStayWithinTheirGroup(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{Rebalance: workers.RebalanceConfig{
		Enabled: true, After: time.Second, Selectors: []string{"model=a", "model=b"},
	}}, nil)
	workers.HastenRebalancing(d.registry, 20)
	s := &spread{}
	s.pace.Store(int64(time.Second))
	o := workerOptions{config: workers.WorkerConfig{Capacity: 4}, serve: s.serve, tags: cluster.Tags{"model": "a"}}
	a := startWorker(t, "worker-a", d.history, o)
	d.ready(t, 1)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := count(t, d.client, 100, nil); err != nil {
				t.Error(err)
			}
		})
	}
	within(t, "all streams run", func() bool { return a.worker.InFlight() == 4 })
	o.tags = cluster.Tags{"model": "b"}
	startWorker(t, "worker-b", d.history, o)
	d.ready(t, 2)
	for range 30 { // while a rebalancer of one group would have moved several
		workers.AgeStreams(a.worker, 10*time.Second)
		time.Sleep(100 * time.Millisecond)
	}
	again := s.again.Load()
	s.pace.Store(0)
	all.Wait()
	if again != 0 {
		t.Errorf("%d streams have moved to a worker of another model", again)
	}
}

func TestRebalanceConfigIsChecked(t *testing.T) {
	t.Parallel()
	h := start(t, "director")
	for what, c := range map[string]workers.RebalanceConfig{
		"Spread":    {Spread: 1.5},
		"After":     {After: time.Millisecond},
		"Rate":      {Rate: 0.5},
		"Selectors": {Selectors: []string{"role=("}},
	} {
		_, err := workers.NewRegistry(h.Node, &workers.RegistryConfig{Rebalance: c})
		if want := "workers: RegistryConfig.Rebalance." + what; err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("%s: %v", fmt.Sprint(c), err)
		}
	}
}
