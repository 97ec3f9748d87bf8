package director_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/internal/clustertest"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var authority = sync.OnceValue(func() *rpctest.DevCA {
	ca, err := rpctest.NewDevCA()
	if err != nil {
		panic(err)
	}
	return ca
})

var quiet = slog.New(slog.DiscardHandler)

func credentials(t testing.TB) rpcnet.Credentials {
	t.Helper()
	creds, err := authority().Credentials()
	if err != nil {
		t.Fatal(err)
	}
	return creds
}

var countSpec, numbers, count = clustertest.CountSpec, clustertest.Numbers, clustertest.Count

// A process is a node with what runs on it. Its death is kill.
type process struct {
	name     string
	addr     string
	ep       *rpcnet.Endpoint
	node     *cluster.Node
	worker   *workers.Worker
	registry *workers.Registry
	calls    atomic.Int64
	stop     func()
	once     sync.Once
}

func (p *process) kill() {
	p.once.Do(func() {
		p.ep.Close()
		if p.registry != nil {
			p.registry.Close()
		}
		p.node.Close()
		p.stop()
	})
}

func start(t testing.TB, name, addr, seed string, tags cluster.Tags, setup func(p *process, srv *rpcnet.Server)) *process {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ep, err := rpcnet.Listen(addr, credentials(t), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	cfg := cluster.Config{Name: name, Tags: tags, Logger: quiet}
	if seed != "" {
		cfg.Seeds = []string{seed}
	}
	node, err := cluster.Join(t.Context(), ep, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: name, addr: ep.Addr().String(), ep: ep, node: node}
	srv := rpcnet.NewServer(nil)
	setup(p, srv)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		ep.Serve(ctx, srv)
	}()
	p.stop = func() { cancel(); <-served }
	t.Cleanup(p.kill)
	return p
}

func startDirector(t testing.TB, name, addr, seed string) *process {
	t.Helper()
	return start(t, name, addr, seed, cluster.Tags{"role": "director"}, func(p *process, srv *rpcnet.Server) {
		var err error
		if p.registry, err = workers.NewRegistry(p.node, &workers.RegistryConfig{Logger: quiet}); err != nil {
			t.Fatal(err)
		}
		director.New(p.registry, &director.Config{Logger: quiet}).Register(srv)
	})
}

func startWorker(t testing.TB, name, addr, seed string, cfg workers.WorkerConfig, extra ...func(*process, *rpcnet.Server)) *process {
	t.Helper()
	return start(t, name, addr, seed, cluster.Tags{"role": "worker", "label": name}, func(p *process, srv *rpcnet.Server) {
		cfg.Logger = quiet
		var err error
		if p.worker, err = workers.NewWorker(p.node, &cfg); err != nil {
			t.Fatal(err)
		}
		srv.Register(countSpec, func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			p.calls.Add(1)
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			for n := binary.BigEndian.Uint64(req); n <= binary.BigEndian.Uint64(req[8:]); n++ {
				if err := s.Send(numbers(n)); err != nil {
					return err
				}
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
		srv.Handle("name", func(context.Context, []byte) ([]byte, error) {
			p.calls.Add(1)
			return []byte(name), nil
		})
		for _, f := range extra {
			f(p, srv)
		}
	})
}

// noWait has resumable streams end when there is no worker.
var noWait = workers.ClientConfig{ResumeTimeout: -1}

// onEvent has f see what happens to calls.
func onEvent(f func(workers.Event)) workers.ClientConfig {
	return workers.ClientConfig{OnEvent: func(_ context.Context, e workers.Event) { f(e) }}
}

// connect has the client call each worker, so that it is connected to all: a call whose
// connection is slow to come goes elsewhere.
func connect(t testing.TB, c *director.Client, ws []*process) {
	t.Helper()
	for _, w := range ws {
		within(t, "the client is connected to "+w.name, func() bool {
			name, err := c.CallWorker(t.Context(), "name", nil, "label="+w.name)
			return err == nil && string(name) == w.name
		})
	}
}

func dial(t testing.TB, cfg director.ClientConfig, addrs ...string) *director.Client {
	t.Helper()
	if cfg.Credentials == (rpcnet.Credentials{}) {
		cfg.Credentials = credentials(t)
	}
	cfg.Logger = quiet
	c, err := director.Dial(t.Context(), &cfg, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ready(t testing.TB, d *process, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := d.registry.WaitReady(ctx, n); err != nil {
		t.Fatal(err)
	}
}

func within(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// serving returns the worker that has a call.
func serving(t testing.TB, ws []*process) *process {
	t.Helper()
	for _, w := range ws {
		if w.worker.InFlight() > 0 {
			return w
		}
	}
	t.Error("no worker serves the stream")
	return ws[0]
}

func TestStreamsGoOnThroughDeathsOfWorkersAndDirectors(t *testing.T) {
	t.Parallel()
	d1 := startDirector(t, "director-1", "", "")
	d2 := startDirector(t, "director-2", "", d1.addr)
	var ws []*process
	for i := range 4 {
		ws = append(ws, startWorker(t, fmt.Sprint("worker-", i), "", d1.addr, workers.WorkerConfig{Capacity: 8}))
	}
	ready(t, d1, 4)
	ready(t, d2, 4)
	c := dial(t, director.ClientConfig{}, d1.addr, d2.addr)
	err := count(t, c, 400, func(n uint64) {
		switch n {
		case 50, 150:
			serving(t, ws).kill()
		case 100:
			d1.kill()
		case 200:
			d2.kill() // from here the client has no director to ask
		case 300:
			serving(t, ws).kill()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ws {
		within(t, "no call is left", func() bool { return w.worker.InFlight() == 0 })
	}
}

func TestAssignmentsOfSeveralDirectorsAddUpAndGoBackToNothing(t *testing.T) {
	t.Parallel()
	d1 := startDirector(t, "director-1", "", "")
	d2 := startDirector(t, "director-2", "", d1.addr)
	release := make(chan struct{})
	hold := func(_ *process, srv *rpcnet.Server) {
		srv.Handle("hold", func(context.Context, []byte) ([]byte, error) {
			<-release
			return nil, nil
		})
	}
	var ws []*process
	for i := range 3 {
		ws = append(ws, startWorker(t, fmt.Sprint("worker-", i), "", d1.addr, workers.WorkerConfig{Capacity: 16}, hold))
	}
	ready(t, d1, 3)
	ready(t, d2, 3)
	var clients []*director.Client
	for i := range 12 {
		c := dial(t, director.ClientConfig{AskTimeout: 10 * time.Second}, []string{d1.addr, d2.addr}[i%2])
		clients = append(clients, c)
		connect(t, c, ws)
	}
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			if _, err := c.CallWorker(t.Context(), "hold", nil, ""); err != nil {
				t.Error(err)
			}
		})
	}
	within(t, "12 calls run", func() bool {
		total := 0
		for _, w := range ws {
			total += w.worker.InFlight()
		}
		return total == 12
	})
	for _, w := range ws {
		if n := w.worker.InFlight(); n < 2 || n > 6 {
			t.Errorf("%s has %d of 12 calls", w.name, n)
		}
	}
	close(release)
	wg.Wait()
	for _, d := range []*process{d1, d2} {
		within(t, "every estimate is 0", func() bool {
			return !slices.ContainsFunc(d.registry.Workers(), func(w workers.WorkerInfo) bool { return w.Load.Estimate != 0 || w.Load.InFlight != 0 })
		})
	}
}

func TestUnaryCallsThroughADirectorSurviveAKill(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	a := startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{})
	startWorker(t, "worker-b", "", d.addr, workers.WorkerConfig{})
	ready(t, d, 2)
	c := dial(t, director.ClientConfig{}, d.addr)
	var served string
	ctx := with(t, rpcnet.CallOptions{Idempotent: true, ServedBy: func(w rpcnet.Target, _ string) { served = w.Node }})
	seen := map[string]int{}
	for i := range 60 {
		if i == 30 {
			a.kill()
		}
		out, err := c.CallWorker(ctx, "name", nil, "")
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if string(out) != served {
			t.Errorf("%q answered, %q is named", out, served)
		}
		seen[served]++
	}
	if seen["worker-a"] == 0 || seen["worker-b"] < 30 {
		t.Errorf("served by %v", seen)
	}
}

func TestDrainOfAWorkerIsNoEventForItsStreams(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	ws := []*process{
		startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{DrainTimeout: -1}),
		startWorker(t, "worker-b", "", d.addr, workers.WorkerConfig{DrainTimeout: -1}),
	}
	ready(t, d, 2)
	var mu sync.Mutex
	var kinds []workers.EventKind
	c := dial(t, director.ClientConfig{AskTimeout: 10 * time.Second, ClientConfig: onEvent(func(e workers.Event) {
		mu.Lock()
		kinds = append(kinds, e.Kind)
		mu.Unlock()
	})}, d.addr)
	connect(t, c, ws)
	mu.Lock()
	kinds = nil
	mu.Unlock()
	left := make(chan error, 1)
	err := count(t, c, 200, func(n uint64) {
		if n == 60 {
			w := serving(t, ws)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				left <- errors.Join(w.node.Leave(ctx), w.ep.Shutdown(ctx))
			}()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-left; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []workers.EventKind{workers.EventAsking, workers.EventAssigned, workers.EventConnected, workers.EventMoved,
		workers.EventAsking, workers.EventAssigned, workers.EventConnected, workers.EventResumed}
	if !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

func TestStreamWaitsForTheFirstWorkerAndDirector(t *testing.T) {
	t.Parallel()
	// An address where a director will be.
	ep, err := rpcnet.Listen("127.0.0.1:0", credentials(t), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	addr := ep.Addr().String()
	ep.Close()
	waiting := make(chan struct{})
	var once sync.Once
	c := dial(t, director.ClientConfig{ClientConfig: onEvent(func(e workers.Event) {
		if e.Kind == workers.EventWaiting && e.Err != nil && e.Pause > 0 {
			once.Do(func() { close(waiting) })
		}
	})}, addr)
	done := make(chan error, 1)
	go func() { done <- count(t, c, 20, nil) }()
	<-waiting
	d := startDirector(t, "director", addr, "")
	startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCallsThatDoNotWaitFailClearly(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{})
	ready(t, d, 1)
	c := dial(t, director.ClientConfig{ClientConfig: noWait}, d.addr)
	ctx := with(t, rpcnet.CallOptions{Selector: "gpu=h100"})
	if _, err := c.CallWorker(ctx, "name", nil, ""); rpcnet.CodeOf(err) != rpcnet.CodeUnavailable || !errors.Is(err, workers.ErrNoWorker) {
		t.Errorf("no worker matches: %v", err)
	}
	if _, err := c.CallWorker(t.Context(), "name", nil, "zone in"); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument {
		t.Errorf("a bad selector: %v", err)
	}
	if err := count(t, c, 10, nil); err != nil {
		t.Errorf("a stream: %v", err)
	}
	d.kill()
	gone := dial(t, director.ClientConfig{ClientConfig: noWait, AskTimeout: 50 * time.Millisecond}, d.addr)
	if err := count(t, gone, 10, nil); rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
		t.Errorf("no director: %v", err)
	}
}

func TestTwoCallersThatAgreeEjectAWorker(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	broken := func(p *process, srv *rpcnet.Server) {
		srv.Handle("work", func(context.Context, []byte) ([]byte, error) {
			if p.name == "worker-a" {
				return nil, rpcnet.NewError(rpcnet.CodeUnavailable, "disk is full")
			}
			return nil, nil
		})
	}
	startWorker(t, "worker-a", "", d.addr, workers.WorkerConfig{}, broken)
	startWorker(t, "worker-b", "", d.addr, workers.WorkerConfig{}, broken)
	ready(t, d, 2)
	one := dial(t, director.ClientConfig{Credentials: clientNamed(t, "client-1")}, d.addr)
	two := dial(t, director.ClientConfig{Credentials: clientNamed(t, "client-2")}, d.addr)
	ejected := func() bool {
		return slices.ContainsFunc(d.registry.Workers(), func(w workers.WorkerInfo) bool { return w.Status == "ejected" })
	}
	failures := 0
	for range 30 {
		if _, err := one.CallWorker(t.Context(), "work", nil, ""); err != nil {
			failures++
		}
	}
	if failures == 0 || ejected() {
		t.Fatalf("one caller: %d failures, ejected %v", failures, ejected())
	}
	within(t, "the second caller's complaint ejects it", func() bool {
		two.CallWorker(t.Context(), "work", nil, "")
		two.CallWorker(t.Context(), "work", nil, "")
		return ejected()
	})
}

func TestDialRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	if _, err := director.Dial(t.Context(), &director.ClientConfig{Credentials: credentials(t)}); err == nil {
		t.Error("no address was accepted")
	}
	if _, err := director.Dial(t.Context(), &director.ClientConfig{Credentials: credentials(t), AskTimeout: -1}, "127.0.0.1:1"); err == nil {
		t.Error("a negative time-out was accepted")
	}
	if _, err := director.Dial(t.Context(), &director.ClientConfig{Credentials: credentials(t)}, "nonsense"); err == nil {
		t.Error("an address without a port was accepted")
	}
	if _, err := director.Dial(t.Context(), &director.ClientConfig{Credentials: credentials(t), ClientConfig: workers.ClientConfig{Selector: "zone in (a"}}, "127.0.0.1:1"); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument {
		t.Errorf("a selector that cannot be parsed: %v", err)
	}
}

// with returns a context for calls with options.
func with(t *testing.T, o rpcnet.CallOptions) context.Context {
	ctx, _ := rpcnet.NewCall(t.Context(), o)
	return ctx
}
