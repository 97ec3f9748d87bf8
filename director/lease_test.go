package director_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A crowd is a client of directors with many callers, which counts how its calls come to
// their workers.
type crowd struct {
	*director.Client
	asked, assigned atomic.Int64
}

func newCrowd(t testing.TB, cfg director.ClientConfig, addrs ...string) *crowd {
	t.Helper()
	c := new(crowd)
	cfg.OnEvent = func(_ context.Context, e workers.Event) {
		switch e.Kind {
		case workers.EventAsking:
			c.asked.Add(1)
		case workers.EventAssigned:
			c.assigned.Add(1)
		}
	}
	cfg.AskTimeout = 10 * time.Second // a starved machine loses no answer
	c.Client = dial(t, cfg, addrs...)
	c.KeepStock(64)
	return c
}

// call has n callers call "name" one time after the other until each is told to stop. It
// returns the errors.
func (c *crowd) call(n int, more func() bool) (errs []error) {
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range n {
		callers.Go(func() {
			for more() {
				if _, err := c.CallWorker(context.Background(), "name", nil, ""); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	callers.Wait()
	return errs
}

// times returns a function that is true n times.
func times(n int64) func() bool {
	var done atomic.Int64
	return func() bool { return done.Add(1) <= n }
}

// pending returns how many tickets count at a director.
func pending(d *process) int {
	n := 0
	for _, w := range d.registry.Workers() {
		n += w.Load.Pending
	}
	return n
}

// leaseUntil has callers call until the client leases, so that from there on most calls
// do not ask.
func (c *crowd) leaseUntil(t testing.TB) {
	t.Helper()
	within(t, "the client leases", func() bool {
		asked, assigned := c.asked.Load(), c.assigned.Load()
		for _, err := range c.call(64, times(2000)) {
			t.Fatal(err)
		}
		return c.asked.Load()-asked < (c.assigned.Load()-assigned)/4
	})
}

func startWorkers(t testing.TB, d *process, n int, cfg workers.WorkerConfig) (ws []*process) {
	t.Helper()
	for i := range n {
		ws = append(ws, startWorker(t, fmt.Sprint("worker-", i), "", d.addr, cfg))
	}
	ready(t, d, n)
	return ws
}

// TestLeasesSpreadCalls: 64 callers of a client come evenly to ten workers, and nearly
// none of their calls asks the director.
func TestLeasesSpreadCalls(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	ws := startWorkers(t, d, 10, workers.WorkerConfig{})
	c := newCrowd(t, director.ClientConfig{}, d.addr)
	c.leaseUntil(t)
	var before [10]int64
	for i, w := range ws {
		before[i] = w.calls.Load()
	}
	const calls = 10000
	asked := c.asked.Load()
	for _, err := range c.call(64, times(calls)) {
		t.Error(err)
	}
	if n := c.asked.Load() - asked; n > calls/4 {
		t.Errorf("%d of %d calls asked the director", n, calls)
	}
	for i, w := range ws {
		if n := w.calls.Load() - before[i]; n < calls/10*6/10 || n > calls/10*14/10 {
			t.Errorf("%s has %d of %d calls, want a tenth", w.name, n, calls)
		}
	}
}

// TestLeasesAreGivenBack: a client that pauses, or closes, gives back what it does not
// use, long before it would expire.
func TestLeasesAreGivenBack(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	startWorkers(t, d, 2, workers.WorkerConfig{})
	c := newCrowd(t, director.ClientConfig{}, d.addr)
	for _, end := range []struct {
		what string
		do   func()
	}{{"a pause", func() {}}, {"Close", func() { c.Close() }}} {
		c.leaseUntil(t)
		begun := time.Now()
		end.do()
		within(t, "nothing is pending after "+end.what, func() bool { return pending(d) == 0 })
		if took := time.Since(begun); took > 4*time.Second { // 5 s is when they expire
			t.Errorf("after %s it took %v", end.what, took)
		}
	}
}

// TestLeasesOfAWorkerThatEndsAreNotUsed: a worker that drains, and one that dies, costs no
// call of a client that has leased it, but for those that ran on the one that died.
func TestLeasesOfAWorkerThatEndsAreNotUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*process)
		lost int // how many calls can fail
	}{
		"drains": {func(w *process) { w.node.Leave(context.Background()) }, 0},
		"dies":   {(*process).kill, 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDirector(t, "director", "", "")
			ws := startWorkers(t, d, 3, workers.WorkerConfig{})
			crowd := newCrowd(t, director.ClientConfig{}, d.addr)
			crowd.leaseUntil(t)
			var ended atomic.Bool
			failed := make(chan []error)
			go func() { failed <- crowd.call(64, func() bool { return !ended.Load() }) }()
			c.end(ws[0])
			// The others serve all calls, and more than a stock of leases is.
			served := ws[1].calls.Load() + ws[2].calls.Load()
			within(t, "the others serve", func() bool { return ws[1].calls.Load()+ws[2].calls.Load() > served+2000 })
			ended.Store(true)
			errs := <-failed
			if len(errs) > c.lost {
				t.Errorf("%d calls failed, at most %d may; the first: %v", len(errs), c.lost, errs[0])
			}
		})
	}
}

// TestNoLeasesOfFullWorkers: no more is leased than the workers have places, so that
// calls still wait in their queues, in turn.
func TestNoLeasesOfFullWorkers(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	startWorkers(t, d, 2, workers.WorkerConfig{Capacity: 4, Queue: 100})
	m := newMallory(t, d)
	res, err := m.director.Lease(t.Context(), &directorv1.LeaseRequest{Want: 500})
	if err != nil {
		t.Fatal(err)
	}
	first := slots(t, res)
	if first == 0 || first > 4 {
		t.Errorf("%d slots of 8 places, want some, and at most half of them", first)
	}
	if res, err = m.director.Lease(t.Context(), &directorv1.LeaseRequest{Want: 500}); err != nil || slots(t, res) > 0 {
		t.Errorf("%d more slots, %v", slots(t, res), err)
	}
	c := newCrowd(t, director.ClientConfig{}, d.addr)
	for _, err := range c.call(64, times(2000)) {
		t.Error(err)
	}
}

// slots returns how many slots a lease has.
func slots(t testing.TB, res *directorv1.LeaseResponse) (n int) {
	t.Helper()
	if err := directorv1.ParseSlots(res, func(int, []byte) { n++ }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLeasesGoOnWithAnotherDirector: a client whose director dies leases from another
// one, and no call fails.
func TestLeasesGoOnWithAnotherDirector(t *testing.T) {
	t.Parallel()
	one := startDirector(t, "director-1", "", "")
	two := startDirector(t, "director-2", "", one.addr)
	startWorkers(t, one, 3, workers.WorkerConfig{})
	ready(t, two, 3)
	c := newCrowd(t, director.ClientConfig{}, one.addr, two.addr)
	c.leaseUntil(t)
	one.kill()
	c.leaseUntil(t)
}

// TestADirectorThatLeasesNothingIsAsked: an older director does not know Lease.
func TestADirectorThatLeasesNothingIsAsked(t *testing.T) {
	t.Parallel()
	d, c := scripted(t, "a", "b")
	asked := d.asked.Load()
	var callers sync.WaitGroup
	next := times(1000)
	for range 16 {
		callers.Go(func() {
			for next() {
				if _, err := c.CallWorker(context.Background(), "name", nil, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if n := d.asked.Load() - asked; n < 1000 {
		t.Errorf("1000 calls, the director was asked %d times", n)
	}
}

// TestCallsThatNeedAChoiceAsk: a call with a key, or with the worker of its session, is
// the director's to place.
func TestCallsThatNeedAChoiceAsk(t *testing.T) {
	t.Parallel()
	d := startDirector(t, "director", "", "")
	startWorkers(t, d, 2, workers.WorkerConfig{})
	c := newCrowd(t, director.ClientConfig{}, d.addr)
	c.leaseUntil(t)
	for _, o := range []rpcnet.CallOptions{{AffinityKey: "key"}, {LastWorker: "worker-1"}} {
		asked := c.asked.Load()
		if _, err := c.CallWorker(with(t, o), "name", nil, ""); err != nil || c.asked.Load() == asked {
			t.Errorf("%+v: asked %d times, %v", o, c.asked.Load()-asked, err)
		}
	}
}
