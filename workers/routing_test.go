package workers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func TestRegistryFollowsWorkersTagsAndDepartures(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	a := startWorker(t, "worker-a", d.history, workerOptions{tags: cluster.Tags{"gpu": "h100"}})
	startWorker(t, "worker-b", d.history, workerOptions{config: workers.WorkerConfig{Capacity: 7}})
	start(t, "bystander", d.history)
	d.ready(t, 2)
	ws := d.registry.Workers()
	if len(ws) != 2 || ws[0].Name != "worker-a" || ws[1].Name != "worker-b" || ws[1].Load.Declared != 7 || ws[0].Tags["gpu"] != "h100" {
		t.Fatalf("workers %v", ws)
	}
	for range 5 {
		if got := d.call(t, "gpu=h100"); got != "worker-a" {
			t.Fatalf("gpu=h100 went to %s", got)
		}
	}
	if err := a.Node.UpdateTags(cluster.Tags{"gpu": "none"}); err != nil {
		t.Fatal(err)
	}
	within(t, "the changed tag is used", func() bool {
		_, err := d.registry.Assign(balance.PickRequest{Selector: "gpu=h100"})
		return errors.Is(err, workers.ErrNoWorker)
	})
	if got := d.call(t, "gpu=none"); got != "worker-a" {
		t.Errorf("gpu=none went to %s", got)
	}
	if err := a.Node.UpdateTags(cluster.Tags{"role": "idle"}); err != nil {
		t.Fatal(err)
	}
	within(t, "a node that is no worker any more is gone", func() bool { return len(d.registry.Workers()) == 1 })
}

func TestConnectionCountsAreTrueWhoeverCalls(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	w := startWorker(t, "worker-a", d.history, workerOptions{config: workers.WorkerConfig{Capacity: 16}})
	d.ready(t, 1)
	conn, err := d.Node.Endpoint().Dial(t.Context(), w.Node.Self().Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if i%2 == 0 {
				rpcnet.CallRaw(ctx, conn, "hold", nil) // past the registry
			} else {
				d.client.CallWorker(ctx, "hold", nil, "")
			}
		})
	}
	within(t, "6 calls are counted", func() bool { return d.inFlight("worker-a") == 6 })
	if i := d.registry.Workers()[0]; i.Load.Own != 3 || i.Load.Estimate < 5.9 || i.Load.Estimate > 6.1 {
		t.Errorf("own %d, estimate %v, want 3 and 6", i.Load.Own, i.Load.Estimate)
	}
	cancel() // the callers go away
	wg.Wait()
	within(t, "no call is counted any more", func() bool {
		i := d.registry.Workers()[0]
		return i.Load.InFlight == 0 && i.Load.Own == 0 && w.worker.InFlight() == 0
	})
}

func TestLeastConnectionsSpreadsCallsThatStay(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{Strategy: balance.LeastConnections}, nil)
	pool := []*testWorker{}
	for i := range 3 {
		pool = append(pool, startWorker(t, fmt.Sprint("worker-", i), d.history, workerOptions{config: workers.WorkerConfig{Capacity: 8 * (i/2 + 1)}}))
	}
	d.ready(t, 3)
	var wg sync.WaitGroup
	for range 16 { // capacities 8, 8, 16
		wg.Go(func() { d.client.CallWorker(t.Context(), "hold", nil, "") })
	}
	within(t, "16 calls run", func() bool { return d.inFlight("worker-0")+d.inFlight("worker-1")+d.inFlight("worker-2") == 16 })
	for i, want := range []int{4, 4, 8} {
		if got := pool[i].worker.InFlight(); got != want {
			t.Errorf("worker-%d has %d calls, want %d", i, got, want)
		}
	}
	for _, w := range pool {
		close(w.release)
	}
	wg.Wait()
}

func TestTicketsCountUntilTheirCallArrives(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	w := startWorker(t, "worker-a", d.history, workerOptions{})
	d.ready(t, 1)
	a, err := d.registry.Assign(balance.PickRequest{Caller: "localhost"})
	if err != nil || a.Worker.Name != "worker-a" || len(a.Ticket) == 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	if i := d.registry.Workers()[0]; i.Load.Pending != 1 || i.Load.Estimate != 1 || i.Load.InFlight != 0 {
		t.Fatalf("assigned: %+v", i)
	}
	conn, err := d.Node.Endpoint().Dial(t.Context(), a.Worker.Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		rpcnet.CallRaw(t.Context(), rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Ticket: a.Ticket}}), "hold", nil)
	})
	within(t, "the ticket is claimed", func() bool {
		i := d.registry.Workers()[0]
		return i.Load.Pending == 0 && i.Load.InFlight == 1 && i.Load.Estimate == 1
	})
	close(w.release)
	wg.Wait()
	within(t, "back to nothing", func() bool { return d.registry.Workers()[0].Load.Estimate == 0 })
}

func TestCapacityIsKeptAndTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	w := startWorker(t, "worker-a", d.history, workerOptions{config: workers.WorkerConfig{Capacity: 2, Queue: 3}})
	d.ready(t, 1)
	if _, err := d.client.CallWorker(t.Context(), "compute", nil, ""); err != nil { // so that the worker knows how long calls take
		t.Fatal(err)
	}
	w.calls.Store(0)
	errs := make(chan error, 8)
	for i := range 8 {
		go func() {
			_, err := d.client.CallWorker(t.Context(), "hold", nil, "")
			errs <- err
		}()
		within(t, "it is admitted or refused", func() bool { return w.worker.InFlight()+len(errs) == i+1 })
	}
	if w.worker.InFlight() != 5 || w.worker.Queued() != 3 || w.calls.Load() != 2 {
		t.Errorf("in flight %d, queued %d, running %d, want 5, 3, 2", w.worker.InFlight(), w.worker.Queued(), w.calls.Load())
	}
	for range 3 {
		err := <-errs
		var e *rpcnet.Error
		if !errors.As(err, &e) || e.Code() != rpcnet.CodeResourceExhausted || !e.Unprocessed() {
			t.Errorf("refused with %v, want an unprocessed ResourceExhausted", err)
		} else if e.RetryAfter() <= 0 {
			t.Errorf("refused with %v, which does not say when to try again", err)
		}
	}
	close(w.release)
	for range 5 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if w.calls.Load() != 5 {
		t.Errorf("%d calls ran", w.calls.Load())
	}
}

func TestQueuedCallGivesUpItsPlaceWhenItsCallerGoes(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	w := startWorker(t, "worker-a", d.history, workerOptions{config: workers.WorkerConfig{Capacity: 1}})
	d.ready(t, 1)
	done := make(chan error, 1)
	go func() {
		_, err := d.client.CallWorker(t.Context(), "hold", nil, "")
		done <- err
	}()
	within(t, "the first runs", func() bool { return w.calls.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.client.CallWorker(ctx, "hold", nil, ""); rpcnet.CodeOf(err) != rpcnet.CodeDeadlineExceeded {
		t.Errorf("the second: %v", err)
	}
	within(t, "its place is free", func() bool { return w.worker.Queued() == 0 && w.worker.InFlight() == 1 })
	close(w.release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestKilledWorkerIsNotChosenAnyMoreAndNoCallFails(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	pool := map[string]*testWorker{}
	for _, name := range []string{"worker-a", "worker-b", "worker-c"} {
		pool[name] = startWorker(t, name, d.history, workerOptions{})
	}
	d.ready(t, 3)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var calls, failures atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				calls.Add(1)
				_, err := d.client.CallWorker(with(t, rpcnet.CallOptions{Idempotent: true}), "compute", nil, "")
				if t.Context().Err() != nil {
					return // the test has failed
				}
				if err != nil {
					failures.Add(1)
					t.Error(err)
				}
			}
		})
	}
	within(t, "calls run", func() bool { return calls.Load() > 200 })
	pool["worker-a"].kill()
	within(t, "the dead worker is out of the pool", func() bool { return d.registry.Count() == 2 })
	pool["worker-b"].kill()
	within(t, "the other too", func() bool { return d.registry.Count() == 1 })
	before := calls.Load()
	within(t, "calls go on", func() bool { return calls.Load() > before+200 })
	close(stop)
	wg.Wait()
	within(t, "both are NodeFailed", func() bool {
		return len(d.Events(cluster.KindNodeFailed, "worker-a")) == 1 && len(d.Events(cluster.KindNodeFailed, "worker-b")) == 1
	})
	t.Logf("%d calls, %d failures", calls.Load(), failures.Load())
}

func TestRestartedWorkerIsTakenBackAtItsAddress(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	w := startWorker(t, "worker-a", d.history, workerOptions{})
	d.ready(t, 1)
	d.call(t, "")
	addr := w.Node.Self().Addr
	w.kill()
	within(t, "it is gone", func() bool { return d.registry.Count() == 0 })
	if _, err := d.client.CallWorker(t.Context(), "compute", nil, ""); !errors.Is(err, workers.ErrNoWorker) {
		t.Errorf("no worker is left: %v", err)
	}
	startWorker(t, "worker-a", d.history, workerOptions{addr: addr})
	d.ready(t, 1)
	if got := d.call(t, ""); got != "worker-a" {
		t.Errorf("answered by %s", got)
	}
	if ws := d.registry.Workers(); len(ws) != 1 {
		t.Errorf("both lives are listed: %v", ws)
	}
}

func TestDrainingWorkerRefusesElsewhereAndFinishes(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	a := startWorker(t, "worker-a", d.history, workerOptions{tags: cluster.Tags{"zone": "a"}})
	startWorker(t, "worker-b", d.history, workerOptions{})
	d.ready(t, 2)
	held := make(chan error, 1)
	go func() {
		_, err := d.client.CallWorker(t.Context(), "hold", nil, "zone=a")
		held <- err
	}()
	within(t, "a call runs on worker-a", func() bool { return a.worker.InFlight() == 1 })
	left := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		left <- a.Node.Leave(ctx)
	}()
	within(t, "nobody chooses it", func() bool { return d.registry.Count() == 1 })
	for range 20 {
		if got := d.call(t, ""); got != "worker-b" {
			t.Fatalf("went to %s", got)
		}
	}
	close(a.release)
	if err := <-held; err != nil {
		t.Errorf("the running call: %v", err)
	}
	if err := <-left; err != nil {
		t.Error(err)
	}
	within(t, "it has left", func() bool { return len(d.Events(cluster.KindNodeLeft, "worker-a")) == 1 })
	if n := len(d.Events(cluster.KindNodeFailed, "worker-a")); n != 0 {
		t.Errorf("%d NodeFailed", n)
	}
}

func TestWorkerThatFailsCallsIsEjected(t *testing.T) {
	t.Parallel()
	broken := func(_ *testWorker, srv *rpcnet.Server) {
		srv.Handle("work", func(context.Context, []byte) ([]byte, error) {
			return nil, rpcnet.NewError(rpcnet.CodeUnavailable, "disk is full")
		})
	}
	fine := func(_ *testWorker, srv *rpcnet.Server) {
		srv.Handle("work", func(context.Context, []byte) ([]byte, error) { return nil, nil })
	}
	d := startRouting(t, workers.RegistryConfig{Strategy: balance.RoundRobin}, nil)
	startWorker(t, "worker-a", d.history, workerOptions{serve: broken})
	startWorker(t, "worker-b", d.history, workerOptions{serve: fine})
	startWorker(t, "worker-c", d.history, workerOptions{serve: fine})
	d.ready(t, 3)
	failures := 0
	for range 300 {
		if _, err := d.client.CallWorker(t.Context(), "work", nil, ""); err != nil {
			failures++
		}
	}
	if failures < 5 || failures > 10 { // 5, and one trial for each 5 s that a busy machine needs
		t.Errorf("%d of 300 calls reached the worker that fails, want 5 until it is ejected", failures)
	}
	e, err := d.registry.Explain(balance.PickRequest{})
	if err != nil || len(e.Workers) != 3 || e.Workers[0].Status != "ejected" || e.Workers[0].Ready {
		t.Errorf("%v\n%v", err, e)
	}
}

func TestOnlyIdempotentCallsAreMadeAgainAndWithinTheBudget(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{Strategy: balance.RoundRobin}, nil)
	var seen atomic.Int64
	for _, name := range []string{"worker-a", "worker-b", "worker-c"} {
		startWorker(t, name, d.history, workerOptions{serve: func(w *testWorker, srv *rpcnet.Server) {
			srv.Handle("fail", func(context.Context, []byte) ([]byte, error) {
				seen.Add(1)
				return nil, rpcnet.NewError(rpcnet.CodeUnavailable, "never")
			})
		}})
	}
	d.ready(t, 3)
	made := func(ctx context.Context) int64 {
		before := seen.Load()
		if _, err := d.client.CallWorker(ctx, "fail", nil, ""); rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
			t.Fatalf("got %v", err)
		}
		return seen.Load() - before
	}
	if n := made(t.Context()); n != 1 {
		t.Errorf("a call with side effects was made %d times", n)
	}
	again := int64(0)
	for i := range 40 {
		n := made(with(t, rpcnet.CallOptions{Idempotent: true}))
		if i == 0 && n != 3 {
			t.Errorf("an idempotent call was made %d times, want once on each of 3 workers", n)
		}
		again += n - 1
	}
	if again > 10 {
		t.Errorf("40 calls that fail everywhere were made %d times more, want at most the budget of 10", again)
	}
}

func TestUnknownSelectorAndNobodyMatchingAreClearErrors(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	startWorker(t, "worker-a", d.history, workerOptions{})
	d.ready(t, 1)
	if _, err := d.client.CallWorker(t.Context(), "compute", nil, "zone in"); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument {
		t.Errorf("a bad selector: %v", err)
	}
	_, err := d.client.CallWorker(t.Context(), "compute", nil, "gpu=h100")
	if !errors.Is(err, workers.ErrNoWorker) || rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
		t.Errorf("no worker matches: %v", err)
	}
	if _, err := d.registry.Assign(balance.PickRequest{Exclude: []string{"worker-a"}}); !errors.Is(err, workers.ErrNoWorker) {
		t.Errorf("all excluded: %v", err)
	}
}

func TestZonePreferenceKeepsCallsLocalUntilItIsFuller(t *testing.T) {
	t.Parallel()
	h := join(t, listen(t, "127.0.0.1:0"), cluster.Config{Name: "director", Tags: cluster.Tags{"zone": "a"}})
	d := routingOn(t, h, workers.RegistryConfig{}, nil)
	near := startWorker(t, "near", d.history, workerOptions{tags: cluster.Tags{"zone": "a"}, config: workers.WorkerConfig{Capacity: 16}})
	far := startWorker(t, "far", d.history, workerOptions{tags: cluster.Tags{"zone": "b"}, config: workers.WorkerConfig{Capacity: 16}})
	d.ready(t, 2)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() { d.client.CallWorker(t.Context(), "hold", nil, "") })
		within(t, "it runs", func() bool { return near.worker.InFlight()+far.worker.InFlight() == i+1 })
	}
	if n := near.worker.InFlight(); n < 7 || n > 9 { // 4 more than the other: a quarter of 16
		t.Errorf("near has %d of 12, far %d", n, far.worker.InFlight())
	}
	close(near.release)
	close(far.release)
	wg.Wait()
}

func TestCallAllAsksEveryMatchingWorkerOnce(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{}, nil)
	for i := range 5 {
		startWorker(t, fmt.Sprint("worker-", i), d.history, workerOptions{tags: cluster.Tags{"odd": fmt.Sprint(i % 2)}})
	}
	d.ready(t, 5)
	var names []string
	for r := range d.client.CallAll(t.Context(), "compute", nil, "odd=0") {
		if r.Err != nil || string(r.Data) != r.Worker.Name {
			t.Errorf("%s: %q, %v", r.Worker.Name, r.Data, r.Err)
		}
		names = append(names, r.Worker.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"worker-0", "worker-2", "worker-4"}) {
		t.Errorf("asked %v", names)
	}
	for range d.client.CallAll(t.Context(), "compute", nil, "") {
		break // gives the rest up
	}
	for _, w := range d.registry.Workers() {
		if w.Load.Own != 0 {
			t.Errorf("%s still counts a call", w.Name)
		}
	}
}

// hedgeAfter is so long that a starved machine does not spend the hedges on calls that
// are answered.
const hedgeAfter = 400 * time.Millisecond

func TestHedgedCallIsAnsweredByTheSecondWorker(t *testing.T) {
	t.Parallel()
	d := startRouting(t, workers.RegistryConfig{Strategy: balance.RoundRobin}, &workers.ClientConfig{HedgeAfter: hedgeAfter})
	slow := startWorker(t, "slow", d.history, workerOptions{serve: func(w *testWorker, srv *rpcnet.Server) {
		srv.Handle("work", func(ctx context.Context, in []byte) ([]byte, error) {
			<-ctx.Done() // until it is given up
			w.calls.Add(1)
			return nil, ctx.Err()
		})
	}})
	startWorker(t, "quick", d.history, workerOptions{serve: func(_ *testWorker, srv *rpcnet.Server) {
		srv.Handle("work", func(_ context.Context, in []byte) ([]byte, error) { return append([]byte("quick "), in...), nil })
	}})
	d.ready(t, 2)
	ctx, cancel := context.WithTimeout(with(t, rpcnet.CallOptions{Idempotent: true}), time.Minute)
	defer cancel()
	for range 100 { // saves up five hedges
		if _, err := d.client.CallWorker(ctx, "compute", nil, ""); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // one of the two begins on the slow one
		out, err := d.client.CallWorker(ctx, "work", []byte("x"), "")
		if err != nil || string(out) != "quick x" {
			t.Fatalf("%q, %v", out, err)
		}
	}
	within(t, "the slow attempt was given up", func() bool { return slow.calls.Load() > 0 && slow.worker.InFlight() == 0 })
}
