package workers_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/clustertest"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

var countSpec, numbers, count = clustertest.CountSpec, clustertest.Numbers, clustertest.Count

// counting serves countSpec, a number every pace; at may do something before a
// number is sent, and its error ends the stream.
func counting(pace time.Duration, at func(w *testWorker, n uint64) error) func(*testWorker, *rpcnet.Server) {
	return func(w *testWorker, srv *rpcnet.Server) {
		srv.Register(countSpec, func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			w.calls.Add(1)
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			for n := binary.BigEndian.Uint64(req); n <= binary.BigEndian.Uint64(req[8:]); n++ {
				if at != nil {
					if err := at(w, n); err != nil {
						return err
					}
				}
				if err := s.Send(numbers(n)); err != nil {
					return err
				}
				select {
				case <-time.After(pace):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	}
}

func TestResumableStreamOutlivesItsWorkers(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{Strategy: balance.RoundRobin}, nil)
	pool := map[string]*testWorker{}
	for _, name := range []string{"worker-a", "worker-b", "worker-c"} {
		pool[name] = startWorker(t, name, d.history, workerOptions{serve: counting(time.Millisecond, nil)})
	}
	d.ready(t, 3)
	serving := func() *testWorker {
		for _, w := range pool {
			if w.worker.InFlight() > 0 {
				return w
			}
		}
		return nil
	}
	err := count(t, d.client, 300, func(n uint64) {
		if n == 50 || n == 150 {
			w := serving()
			if w == nil {
				t.Error("no worker serves the stream")
				return
			}
			delete(pool, w.name)
			w.kill()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range pool {
		within(t, "nothing is counted at the end", func() bool { return w.worker.InFlight() == 0 && d.inFlight(name) == 0 })
	}
}

func TestDrainMovesResumableStreamsWithoutAnyErrorOrPause(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	quick := workers.WorkerConfig{DrainTimeout: -1}
	pool := []*testWorker{
		startWorker(t, "worker-a", d.history, workerOptions{config: quick, serve: counting(2*time.Millisecond, nil)}),
		startWorker(t, "worker-b", d.history, workerOptions{config: quick, serve: counting(2*time.Millisecond, nil)}),
	}
	d.ready(t, 2)
	left := make(chan error, 1)
	var last time.Time
	var longest time.Duration
	err := count(t, d.client, 300, func(n uint64) {
		if n > 100 {
			longest = max(longest, time.Since(last))
		}
		last = time.Now()
		if n == 100 {
			for _, w := range pool {
				if w.worker.InFlight() > 0 {
					go func() {
						ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
						defer cancel()
						left <- w.ep.Shutdown(ctx)
					}()
					return
				}
			}
			t.Error("no worker serves the stream")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-left; err != nil {
		t.Errorf("the worker left with %v", err)
	}
	if pool[0].calls.Load()+pool[1].calls.Load() != 2 {
		t.Errorf("the stream was opened %d and %d times, want once each", pool[0].calls.Load(), pool[1].calls.Load())
	}
	t.Logf("longest gap %v", longest)
}

func TestStreamThatKillsItsWorkersEnds(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	poison := counting(0, func(_ *testWorker, n uint64) error {
		if n == 5 {
			return rpcnet.NewError(rpcnet.CodeUnavailable, "poison")
		}
		return nil
	})
	a := startWorker(t, "worker-a", d.history, workerOptions{serve: poison})
	b := startWorker(t, "worker-b", d.history, workerOptions{serve: poison})
	d.ready(t, 2)
	seen := uint64(0)
	err := count(t, d.client, 10, func(n uint64) { seen = n })
	if rpcnet.CodeOf(err) != rpcnet.CodeUnavailable || seen != 4 {
		t.Errorf("after %d numbers: %v", seen, err)
	}
	if n := a.calls.Load() + b.calls.Load(); n != 4 {
		t.Errorf("the stream was opened %d times, want 1 and 3 resumes", n)
	}
}

func TestStreamThatFullWorkersRefuseEndsAfterItsResumeTimeout(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, &workers.ClientConfig{ResumeTimeout: 500 * time.Millisecond})
	w := startWorker(t, "worker-a", d.history, workerOptions{
		config: workers.WorkerConfig{Capacity: 1, Queue: -1}, serve: counting(0, nil),
	})
	d.ready(t, 1)
	held := make(chan error, 1)
	go func() {
		_, err := d.client.CallWorker(t.Context(), "hold", nil, "")
		held <- err
	}()
	within(t, "the worker is full", func() bool { return w.worker.InFlight() == 1 })
	begin := time.Now()
	if err := count(t, d.client, 10, nil); rpcnet.CodeOf(err) != rpcnet.CodeResourceExhausted {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took < 500*time.Millisecond {
		t.Errorf("ended after %v", took)
	}
	close(w.release)
	if err := <-held; err != nil {
		t.Error(err)
	}
	if err := count(t, d.client, 10, nil); err != nil {
		t.Error(err)
	}
}

func TestStreamThatAnInterceptorRefusesEndsAtOnce(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	var refused atomic.Int64
	ep := listen(t, "127.0.0.1:0")
	h := join(t, ep, cluster.Config{Name: "worker-a", Seeds: addrs(d.history), Tags: cluster.Tags{"role": "worker"}})
	if _, err := workers.NewWorker(h.Node, &workers.WorkerConfig{Logger: quiet()}); err != nil {
		t.Fatal(err)
	}
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{func(rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(context.Context, *rpcnet.Spec, rpcnet.ServerStream) error {
			refused.Add(1)
			return rpcnet.NewError(rpcnet.CodeUnauthenticated, "no token").WithUnprocessed()
		}
	}}})
	counting(0, nil)(&testWorker{}, srv)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { defer close(served); ep.Serve(ctx, srv) }()
	t.Cleanup(func() { stop(); <-served })
	d.ready(t, 1)
	if err := count(t, d.client, 10, nil); rpcnet.CodeOf(err) != rpcnet.CodeUnauthenticated || refused.Load() != 1 {
		t.Errorf("%v after %d calls", err, refused.Load())
	}
}

func TestErrorOfTheApplicationIsNotResumed(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	w := startWorker(t, "worker-a", d.history, workerOptions{serve: counting(0, func(_ *testWorker, n uint64) error {
		if n == 3 {
			return rpcnet.NewError(rpcnet.CodeFailedPrecondition, "no more")
		}
		return nil
	})})
	d.ready(t, 1)
	if err := count(t, d.client, 10, nil); rpcnet.CodeOf(err) != rpcnet.CodeFailedPrecondition || w.calls.Load() != 1 {
		t.Errorf("%v after %d calls", err, w.calls.Load())
	}
}

func TestSlowStreamOfALivingWorkerIsNotGivenUp(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	// Far over 8 times the rhythm, in every try: who gives it up never gets past.
	startWorker(t, "worker-a", d.history, workerOptions{serve: counting(time.Millisecond, func(_ *testWorker, n uint64) error {
		if n == 20 {
			time.Sleep(1200 * time.Millisecond)
		}
		return nil
	})})
	d.ready(t, 1)
	if err := count(t, d.client, 30, nil); err != nil {
		t.Error(err)
	}
}

func TestMissingMessageIsAskedForAgain(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	var skipped atomic.Bool
	lossy := func(w *testWorker, srv *rpcnet.Server) {
		srv.Register(countSpec, func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			w.calls.Add(1)
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			for n := binary.BigEndian.Uint64(req); n <= binary.BigEndian.Uint64(req[8:]); n++ {
				if n == 4 && !skipped.Swap(true) {
					continue
				}
				if n == 7 { // and one comes twice
					s.Send(numbers(6))
				}
				if err := s.Send(numbers(n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	startWorker(t, "worker-a", d.history, workerOptions{serve: lossy})
	startWorker(t, "worker-b", d.history, workerOptions{serve: lossy})
	d.ready(t, 2)
	if err := count(t, d.client, 12, nil); err != nil {
		t.Error(err)
	}
}

// talkSpec is a resumable stream both ways: each request is a number of
// messages wanted, the first preceded by where to begin.
var talkSpec = &rpcnet.Spec{
	Procedure: "talk", Shape: codegen.ShapeBidi,
	Resume: &codegen.Resume{Sequence: countSpec.Resume.Sequence, From: countSpec.Resume.From},
}

func TestRequestsAreSentAgainWhenATwoWayStreamIsResumed(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	var broken atomic.Bool
	serve := func(w *testWorker, srv *rpcnet.Server) {
		srv.Register(talkSpec, func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			w.calls.Add(1)
			next, at := uint64(1), uint64(1)
			for first := true; ; first = false {
				var req []byte
				if err := s.Recv(&req); err != nil {
					if err == io.EOF {
						return nil
					}
					return err
				}
				want := binary.BigEndian.Uint64(req[len(req)-8:])
				if first {
					next = binary.BigEndian.Uint64(req)
				}
				for range want {
					if at >= next {
						if at == 25 && !broken.Swap(true) {
							return rpcnet.NewError(rpcnet.CodeUnavailable, "lost it")
						}
						if err := s.Send(numbers(at)); err != nil {
							return err
						}
					}
					at++
				}
			}
		})
	}
	a := startWorker(t, "worker-a", d.history, workerOptions{serve: serve})
	b := startWorker(t, "worker-b", d.history, workerOptions{serve: serve})
	d.ready(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := d.client.NewStream(ctx, talkSpec)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := uint64(1)
	for i := range 4 { // 10 messages each; the worker breaks in the third
		req := numbers(10)
		if i == 0 {
			req = numbers(1, 10)
		}
		if err := s.Send(req); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			var got []byte
			if err := s.Recv(&got); err != nil {
				t.Fatal(err)
			}
			if n := binary.BigEndian.Uint64(got); n != want {
				t.Fatalf("got %d, want %d", n, want)
			}
			want++
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var b2 []byte
	if err := s.Recv(&b2); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if n := a.calls.Load() + b.calls.Load(); n != 2 {
		t.Errorf("opened %d times, want twice", n)
	}
}

func TestStreamWithoutTheMarkEndsWithTheError(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	plain := *countSpec
	plain.Resume = nil
	w := startWorker(t, "worker-a", d.history, workerOptions{serve: counting(time.Millisecond, nil)})
	d.ready(t, 1)
	s, err := d.client.NewStream(t.Context(), &plain)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send(numbers(1, 1000)); err != nil {
		t.Fatal(err)
	}
	var b []byte
	if err := s.Recv(&b); err != nil {
		t.Fatal(err)
	}
	w.kill()
	for err == nil {
		err = s.Recv(&b)
	}
	var e *rpcnet.Error
	if !errors.As(err, &e) || e.Code() != rpcnet.CodeUnavailable || e.Unprocessed() {
		t.Errorf("got %v", err)
	}
}
