package workers

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// keptLevels keeps the levels of workers.
type keptLevels struct {
	mu     sync.Mutex
	level  map[string]float64
	counts map[string]int
}

// phi is a cluster.Metrics.Phi.
func (l *keptLevels) phi(worker string, level float64, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if gone {
		delete(l.level, worker)
		return
	}
	l.level[worker] = level
	l.counts[worker]++
}

func TestHeartbeatsOfEachWorkerAreVisible(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &keptLevels{level: map[string]float64{}, counts: map[string]int{}}
		r, _ := drive(t, RegistryConfig{})
		r.health.tellPhi = m.phi
		r.work.Go(r.health.run)
		a, b := play(r, "a", 1, nil), play(r, "b", 1, nil)
		if i := b.info(t); !i.Heartbeats.Last.IsZero() {
			t.Errorf("before any heartbeat: %v", i.Heartbeats.Last)
		}
		beatFor(3*time.Second, a, b)
		last := time.Now()
		for range 4 { // slower: every 200 ms
			time.Sleep(200 * time.Millisecond)
			b.beat()
		}
		i, j := a.info(t), b.info(t)
		if !i.Heartbeats.Last.Equal(last) || (i.Heartbeats.Mean-50*time.Millisecond).Abs() > time.Millisecond || i.Heartbeats.StdDev != 20*time.Millisecond {
			t.Errorf("a: last %v, mean %v, deviation %v", i.Heartbeats.Last, i.Heartbeats.Mean, i.Heartbeats.StdDev)
		}
		if !j.Heartbeats.Last.Equal(time.Now()) || j.Heartbeats.Mean < 55*time.Millisecond || j.Heartbeats.StdDev <= 20*time.Millisecond {
			t.Errorf("b: last %v, mean %v, deviation %v", j.Heartbeats.Last, j.Heartbeats.Mean, j.Heartbeats.StdDev)
		}
		beatFor(500*time.Millisecond, b)
		m.mu.Lock()
		if m.level["a"] < 8 || m.level["b"] >= 1 || m.counts["a"] != 4 {
			t.Errorf("levels %v, told %v times in 4.3 s", m.level, m.counts)
		}
		m.mu.Unlock()
		r.mu.Lock()
		r.table.forget(r.now(), "a@1", true)
		r.mu.Unlock()
		beatFor(3*time.Second, b)
		m.mu.Lock()
		defer m.mu.Unlock()
		if _, still := m.level["a"]; still || len(m.level) != 1 {
			t.Errorf("levels after a has gone: %v", m.level)
		}
	})
}

func TestExplainTellsAllThatAStrategyCompares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := drive(t, RegistryConfig{Strategy: balance.PeakEWMA, Zone: "a"})
		near, far := play(r, "near", 4, cluster.Tags{"zone": "a"}), play(r, "far", 4, cluster.Tags{"zone": "b"})
		beatFor(time.Second, near, far)
		r.mu.Lock()
		far.w.load.Latency.Observe(r.now(), 30*time.Millisecond, false)
		r.mu.Unlock()
		e, err := r.Explain(balance.PickRequest{})
		if err != nil || len(e.Workers) != 2 {
			t.Fatal(e, err)
		}
		if f, n := e.Workers[0], e.Workers[1]; f.Load.Penalty != load.ZonePenalty || f.Load.Latency != 30*time.Millisecond || n.Load.Penalty != 0 || n.Load.Latency != 0 {
			t.Errorf("far %v and %v, near %v and %v", f.Load.Penalty, f.Load.Latency, n.Load.Penalty, n.Load.Latency)
		}
		lines := strings.Split(e.String(), "\n")
		for i, want := range []string{"PeakEWMA", "utilisation 0.500 = (0.0+1)/4+0.25 for its zone", "utilisation 0.250 = (0.0+1)/4 "} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%q does not say %q", lines[i], want)
			}
		}
		if !strings.Contains(lines[1], "latency 30ms") {
			t.Errorf("%q does not tell the latency", lines[1])
		}
	})
}

func TestSlowStartGivesAJoinerATenthAtFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := drive(t, RegistryConfig{SlowStart: 10 * time.Second})
		r.work.Go(r.health.run)
		old := play(r, "old", 100, nil)
		beatFor(11*time.Second, old)
		joiner := play(r, "joiner", 100, nil)
		beatFor(3*time.Second, old) // seen, and dialled for a while
		for _, c := range []struct {
			after time.Duration
			most  int // of 110
		}{{0, 10}, {time.Second, 10}, {5 * time.Second, 37}, {10 * time.Second, 55}} {
			if start := joiner.w.since; c.after == 0 {
				joiner.beat()
			} else {
				beatFor(c.after-(r.now()-start), old, joiner)
			}
			got := chosen(t, r, 110)["joiner"]
			if got > c.most || got < c.most-1 {
				t.Errorf("%d of 110 calls %v after its first report, want %d", got, c.after, c.most)
			}
		}
	})
}

// Of two lives of one name the newer boot is the worker, and the other one takes
// its place when it has gone, in whatever order they came.
func TestTheOtherLifeOfANameIsTheWorkerWhenTheNewerHasGone(t *testing.T) {
	t.Parallel()
	life := func(boot string, s cluster.State) cluster.Member {
		m := workerMember("twin", boot, nil)
		m.State = s
		return m
	}
	for _, c := range []struct {
		name  string
		order [3]string
		gone  func(r *Registry, m cluster.Member)
	}{
		{"the newer came last and fails", [3]string{"1", "2", "3"}, func(r *Registry, m cluster.Member) { m.State = cluster.StateFailed; r.update(m) }},
		{"the newer came first and leaves", [3]string{"3", "2", "1"}, func(r *Registry, m cluster.Member) { m.State = cluster.StateLeft; r.update(m) }},
		{"the newer says that it leaves", [3]string{"2", "1", "3"}, func(r *Registry, m cluster.Member) { m.State = cluster.StateLeaving; r.update(m) }},
		{"the newer is no worker any more", [3]string{"2", "3", "1"}, func(r *Registry, m cluster.Member) { m.Tags = nil; r.update(m) }},
	} {
		r, _ := drive(t, RegistryConfig{})
		r.cancel() // nothing is dialled
		is := func(boots ...string) {
			t.Helper()
			got := []string{}
			for _, w := range r.Workers() {
				got = append(got, w.Boot)
			}
			if fmt.Sprint(got) != fmt.Sprint(boots) {
				t.Errorf("%s: the workers are %v, want %v", c.name, got, boots)
			}
		}
		with := func(f func()) {
			r.mu.Lock()
			defer r.mu.Unlock()
			f()
		}
		for _, boot := range c.order {
			with(func() { r.update(life(boot, cluster.StateAlive)) })
		}
		is("3")
		with(func() { c.gone(r, life("3", cluster.StateAlive)) })
		is("2")
		with(func() { r.update(life("3", cluster.StateLeft)) })
		is("2")
		with(func() { r.update(life("3", cluster.StateAlive)) }) // it is back
		is("3")
		with(func() { r.update(life("1", cluster.StateFailed)) })
		is("3")
		with(func() { c.gone(r, life("3", cluster.StateAlive)) })
		is("2")
		with(func() { r.update(life("3", cluster.StateLeft)) })
		with(func() { r.update(life("2", cluster.StateLeaving)) }) // and nobody else is there
		is("2")
		with(func() { r.update(life("2", cluster.StateLeft)) })
		is()
		r.resync([]cluster.Member{life("1", cluster.StateAlive), life("2", cluster.StateAlive), life("3", cluster.StateAlive)})
		is("3")
		r.resync([]cluster.Member{life("1", cluster.StateAlive)})
		is("1")
		r.resync(nil)
		is()
		if len(r.table.standby) != 0 || r.table.pool.Len() != 0 {
			t.Errorf("%s: left over: %v and %d in the pool", c.name, r.table.standby, r.table.pool.Len())
		}
	}
}
