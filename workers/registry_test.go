package workers_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/faults"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func TestAWorkerWhoseNamesakeStopsIsChosenAgain(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	older := startWorker(t, "twin", d.history, workerOptions{})
	d.ready(t, 1)
	newer := startWorker(t, "twin", d.history, workerOptions{})
	is := func(w *testWorker) {
		t.Helper()
		boot := w.Node.Self().Boot
		within(t, "the worker is "+boot, func() bool {
			ws := d.registry.Workers()
			return len(ws) == 1 && ws[0].Boot == boot && ws[0].Ready
		})
	}
	is(newer)
	newer.kill()
	is(older)
	d.call(t, "")
	if older.calls.Load() != 1 {
		t.Errorf("the older life served %d calls", older.calls.Load())
	}
}

// A control is the network between a registry and its workers' control streams,
// to be cut.
type control struct {
	ep    *rpcnet.Endpoint
	mu    sync.Mutex
	conns map[string][]*rpcnet.Conn
	cut   string // address
}

func (c *control) dial(ctx context.Context, addr string) (*rpcnet.Conn, error) {
	c.mu.Lock()
	cut := c.cut == addr
	c.mu.Unlock()
	if cut {
		<-ctx.Done() // as a firewall that drops
		return nil, ctx.Err()
	}
	conn, err := c.ep.Dial(ctx, addr, nil)
	if err == nil {
		c.mu.Lock()
		c.conns[addr] = append(c.conns[addr], conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *control) sever(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = addr
	for _, conn := range c.conns[addr] {
		conn.Close()
	}
}

// Scenario 10: a director cannot reach one worker, which all others reach. It
// keeps that to itself.
func TestADirectorThatIsCutOffFromAWorkerEjectsItOnlyForItself(t *testing.T) {
	t.Parallel()
	var net faults.Network
	node := func(name string, seeds ...*history) *history {
		cfg := cluster.Config{Name: name, Seeds: addrs(seeds...), Detection: cluster.DetectionConfig{ProbeInterval: 300 * time.Millisecond, ProbeTimeout: 250 * time.Millisecond, SuspicionMult: 6}}
		if name == "b" || name == "b2" {
			cfg.Tags = cluster.Tags{"role": "worker"}
		}
		h := joinContext(t, net.Context(t.Context()), listen(t, "127.0.0.1:0"), cfg)
		if cfg.Tags == nil {
			return h
		}
		w, err := workers.NewWorker(h.Node, &workers.WorkerConfig{Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		served := make(chan struct{})
		go func() {
			defer close(served)
			h.Node.Endpoint().Serve(ctx, rpcnet.NewServer(nil))
		}()
		t.Cleanup(func() { w.Close(); stop(); <-served })
		return h
	}
	a := node("a")
	b, b2, other := node("b", a), node("b2", a), node("other", a)
	for _, h := range []*history{a, b, b2, other} {
		h.Sees(t, 4)
	}
	wire := &control{ep: a.Node.Endpoint(), conns: map[string][]*rpcnet.Conn{}}
	r, err := workers.NewRegistryDialing(a.Node, &workers.RegistryConfig{Logger: quiet()}, wire.dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	director := &routing{history: a, registry: r}
	director.ready(t, 2)
	second := routingOn(t, other, workers.RegistryConfig{}, nil)
	second.ready(t, 2)

	here, there := a.Node.Self().Addr, b.Node.Self().Addr
	// The stream first, so that gossip has nothing against b yet. On a machine that
	// starves the test it may have had before.
	a.Sees(t, 4)
	wire.sever(there)
	within(t, "a has suspected b for its stream", func() bool {
		return slices.ContainsFunc(a.Events(cluster.KindNodeSuspected, "b"), func(e cluster.Event) bool { return e.Cause == "stream" })
	})
	net.Cut(func(from, to string) bool { return from == here && to == there || from == there && to == here })
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); { // in which nothing else must happen
		if got, err := r.Assign(balance.PickRequest{}); err != nil || got.Worker.Name != "b2" {
			t.Fatalf("a chose %v, %v", got.Worker, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if i, ok := second.registry.Worker("b"); !ok || i.Status == "unreachable" {
		t.Errorf("the other director: %v, %v", i, ok)
	}
	for _, h := range []*history{a, b, b2, other} {
		if es := h.Events(cluster.KindNodeFailed, ""); len(es) > 0 {
			t.Errorf("%s:\n%s", h.Node.Self().Name, lines(es))
		}
		for _, e := range h.Events(cluster.KindNodeSuspected, "b") {
			if e.Cause == "stream" && h != a {
				t.Errorf("%s: %v", h.Node.Self().Name, e)
			}
		}
	}
}

// Scenario 18: heartbeats do not wait behind a response, however large and
// however slowly it is read. The deadline is long, for machines that starve a
// test; a heartbeat that waits behind the response would miss any.
func TestALargeResponseDoesNotHoldUpHeartbeats(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{Phi: workers.PhiConfig{SuspectPause: 3 * time.Second}}, nil)
	const chunk, chunks = 1 << 20, 64
	feed := &rpcnet.Spec{Procedure: "large", Shape: codegen.ShapeServerStream}
	startWorker(t, "worker-a", d.history, workerOptions{serve: func(_ *testWorker, srv *rpcnet.Server) {
		srv.Register(feed, func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			b := make([]byte, chunk)
			for range chunks {
				if err := s.Send(b); err != nil {
					return err
				}
			}
			return nil
		})
	}})
	d.ready(t, 1)
	s, err := d.client.NewStream(t.Context(), feed)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := errors.Join(s.Send([]byte{}), s.CloseSend()); err != nil {
		t.Fatal(err)
	}
	read := func(n int) (got int) {
		t.Helper()
		for ; got < n; got++ {
			var b []byte
			if err := s.Recv(&b); err == io.EOF {
				return got
			} else if err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	read(8)
	// Nobody reads on: the response stands still at the end of its credit.
	beats, last := 0, time.Time{}
	within(t, "100 heartbeats come beside a response that waits", func() bool {
		i, ok := d.registry.Worker("worker-a")
		if ok && i.Heartbeats.Last.After(last) {
			beats, last = beats+1, i.Heartbeats.Last
		}
		return beats > 100
	})
	if n := 8 + read(chunks); n != chunks {
		t.Errorf("%d of %d messages", n, chunks)
	}
	for _, e := range d.Events(cluster.KindNodeSuspected, "worker-a") {
		if e.Cause != "probe" { // which is gossip's
			t.Errorf("suspected: %v", e)
		}
	}
}
