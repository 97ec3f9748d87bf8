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
	"github.com/rpcnet-go/rpcnet/internal/clustertest"
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

// steady is a pace at which a busy machine fails few streams. A gap of less than 0.5 s asks
// no worker whether it lives, and the stream waits for 8 of them before it does.
const steady = 300 * time.Millisecond

// A moving is what the events of a client say of its streams. A stream that moves is told
// from one whose worker fails: on a starved machine workers seem to be silent, or take no
// connection in time, and their streams go on elsewhere though none has moved.
type moving struct{ moved, failed atomic.Int64 }

func (m *moving) event(_ context.Context, e workers.Event) {
	switch e.Kind {
	case workers.EventMoved:
		m.moved.Add(1)
	case workers.EventFailed:
		m.failed.Add(1)
	}
}

// countOn starts streams of numbers 1 to 1000 over a client, and returns what waits for
// their ends. A number that is lost or comes twice fails the test.
func countOn(t *testing.T, c *workers.Client, streams int) (wait func()) {
	var all sync.WaitGroup
	for range streams {
		all.Go(func() {
			if err := count(t, c, 1000, nil); err != nil && t.Context().Err() == nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(all.Wait)
	return all.Wait
}

// runOn waits until so many streams run on the workers together.
func runOn(t *testing.T, streams int, ws ...*testWorker) {
	t.Helper()
	clustertest.EventuallyWithin(t, time.Minute, func() error {
		n := 0
		for _, w := range ws {
			n += w.worker.InFlight()
		}
		if n != streams {
			return fmt.Errorf("%d of %d streams run", n, streams)
		}
		return nil
	})
}

// handedOver returns how many streams registries have had the workers hand over, by the
// name of the worker.
func handedOver(rs ...*workers.Registry) map[string]int {
	by := map[string]int{}
	for _, r := range rs {
		for _, w := range r.Workers() {
			by[w.Name] += w.Load.HandedOver
		}
	}
	return by
}

// After a worker was added, streams that run spread over both, each number exactly once;
// two registries ask for it, and none of the streams moves twice.
func TestStreamsSpreadToAWorkerThatIsAdded(t *testing.T) {
	t.Parallel()
	const streams = 12
	var handed atomic.Int64
	h := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "director", Metrics: &cluster.Metrics{StreamsMoved: func(n int) { handed.Add(int64(n)) }}})
	rebalance := workers.RegistryConfig{Rebalance: workers.RebalanceConfig{Enabled: true, After: time.Second}}
	m := &moving{}
	d := routingOn(t, h, rebalance, &workers.ClientConfig{OnEvent: m.event, ResumeTimeout: 2 * time.Minute})
	other, err := workers.NewRegistry(h.Node, &workers.RegistryConfig{Logger: quiet(), Rebalance: rebalance.Rebalance})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	workers.HastenRebalancing(d.registry, 20)
	workers.HastenRebalancing(other, 20)
	s := &spread{}
	s.pace.Store(int64(steady))
	o := workerOptions{config: workers.WorkerConfig{Capacity: 16}, serve: s.serve}
	a := startWorker(t, "worker-a", h, o)
	d.ready(t, 1)
	wait := countOn(t, d.client, streams)
	runOn(t, streams, a)
	b := startWorker(t, "worker-b", h, o)
	d.ready(t, 2)
	// How many move depends on how many fail, and on which worker they go on.
	disturbed := func() bool { return m.failed.Load() > 0 }
	clustertest.EventuallyWithin(t, time.Minute, func() error {
		workers.AgeStreams(a.worker, 10*time.Second) // those of b are not: they must stay
		time.Sleep(50 * time.Millisecond)
		if na, nb := a.worker.InFlight(), b.worker.InFlight(); !disturbed() && (na+nb != streams || na-nb > 2) {
			return fmt.Errorf("%d and %d of %d streams", na, nb, streams)
		}
		return nil
	})
	// All that have moved run again, and are counted. Of a stream that fails while it moves
	// the client sees only that.
	clustertest.EventuallyWithin(t, time.Minute, func() error {
		again, moved, failed := s.again.Load(), m.moved.Load(), m.failed.Load()
		counted, total := handed.Load(), int64(0)
		for _, n := range handedOver(d.registry, other) {
			total += int64(n)
		}
		switch {
		case counted > moved+failed:
		case failed == 0 && (again != moved || counted != moved || total != moved):
		case failed == 0 && a.worker.InFlight()+b.worker.InFlight() != streams:
		default:
			return nil
		}
		return fmt.Errorf("opened again %d, moved %d, failed %d, counted %d and %d", again, moved, failed, counted, total)
	})
	again := s.again.Load()
	switch by := handedOver(d.registry, other); {
	case disturbed():
		t.Logf("%d streams have failed, %d have moved", m.failed.Load(), m.moved.Load())
	case again < streams/2-1 || again > streams/2+1 || s.opened.Load() != streams+again || s.third.Load() != 0:
		t.Errorf("%d streams were opened %d times, %d of them again, %d a third time", streams, s.opened.Load(), again, s.third.Load())
	case by["worker-b"] != 0:
		t.Errorf("worker-b has handed over %d streams", by["worker-b"])
	}
	s.pace.Store(0)
	wait()
}

// Streams of workers that do not suit each other's calls stay. They move once there is
// another worker of their group.
func TestStreamsStayWithinTheirGroup(t *testing.T) {
	t.Parallel()
	m := &moving{}
	d := startRouting(t, workers.RegistryConfig{Rebalance: workers.RebalanceConfig{
		Enabled: true, After: time.Second, Selectors: []string{"model=a", "model=b"},
	}}, &workers.ClientConfig{Selector: "model=a", OnEvent: m.event, ResumeTimeout: 2 * time.Minute})
	workers.HastenRebalancing(d.registry, 20)
	s, foreign := &spread{}, &spread{}
	s.pace.Store(int64(steady))
	o := workerOptions{config: workers.WorkerConfig{Capacity: 4}, serve: s.serve, tags: cluster.Tags{"model": "a"}}
	a := startWorker(t, "worker-a", d.history, o)
	d.ready(t, 1)
	wait := countOn(t, d.client, 4)
	runOn(t, 4, a)
	startWorker(t, "worker-b", d.history, workerOptions{config: o.config, serve: foreign.serve, tags: cluster.Tags{"model": "b"}})
	d.ready(t, 2)
	for range 30 { // while a rebalancer of one group would have moved several
		workers.AgeStreams(a.worker, 10*time.Second)
		time.Sleep(100 * time.Millisecond)
	}
	if by := handedOver(d.registry); m.moved.Load() != 0 || by["worker-a"] != 0 || by["worker-b"] != 0 {
		t.Errorf("%d streams have moved for a worker of another model: %v", m.moved.Load(), by)
	}
	c := startWorker(t, "worker-c", d.history, o)
	d.ready(t, 3)
	clustertest.EventuallyWithin(t, time.Minute, func() error {
		workers.AgeStreams(a.worker, 10*time.Second)
		workers.AgeStreams(c.worker, 10*time.Second)
		time.Sleep(50 * time.Millisecond)
		// Those that fail may make both equally full without a move.
		na, nc := a.worker.InFlight(), c.worker.InFlight()
		if m.moved.Load() == 0 && m.failed.Load() == 0 {
			return fmt.Errorf("none has moved within its group: %d and %d streams", na, nc)
		}
		return nil
	})
	s.pace.Store(0)
	wait()
	if n := foreign.opened.Load(); n != 0 {
		t.Errorf("%d streams were opened on a worker of another model", n)
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
