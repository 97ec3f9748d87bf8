//go:build unix

package cluster_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

// These take the numbers of the design at their word, with the nodes of one
// process and the timing of the default profile. Each has a smaller twin without
// limits among the tests that always run.

// swift is the timing of the default profile; a field has a slower one.
func swift() cluster.Config {
	return cluster.Config{Detection: cluster.DetectionConfig{ProbeInterval: 200 * time.Millisecond, ProbeTimeout: 100 * time.Millisecond, SuspicionMult: 4}}
}

func TestManyNodesThatJoinSeeEachOtherAtOnce(t *testing.T) {
	long(t)
	for _, c := range []struct {
		n, runs int
		oneSeed bool
		limit   time.Duration
	}{
		{20, 20, false, time.Second},
		{50, 20, true, 2 * time.Second},
		{100, 20, true, 3 * time.Second}, // 2 s is what two cores need to work it off
	} {
		t.Run(fmt.Sprint(c.n), func(t *testing.T) {
			var took []time.Duration
			cfg := swift()
			cfg.Partition.Baseline = 10 * time.Second // the default: nobody is expected yet
			for range c.runs {
				f := newField(t, 1, cfg)
				for range c.n - 1 {
					if c.oneSeed {
						f.addThrough(f.nodes[0])
					} else {
						f.add()
					}
				}
				last := time.Now()
				f.complete()
				took = append(took, time.Since(last))
				if c.n < 100 { // a hundred that join want more than two cores have
					f.none(cluster.KindNodeFailed)
				}
				f.close()
			}
			limited(t, took, 0, c.limit)
		})
	}
}

// complete waits until every node sees all, be they suspected or not.
func (f *field) complete() {
	f.t.Helper()
	for _, h := range f.nodes {
		eventually(f.t, func() error {
			if ms := h.Node.Members(); len(ms) != len(f.nodes) {
				return fmt.Errorf("%s sees %d of %d", h.Node.Self().Name, len(ms), len(f.nodes))
			}
			return nil
		})
	}
}

// limited checks the median and the largest of some durations; a limit of 0 is
// none.
func limited(t *testing.T, ds []time.Duration, median, most time.Duration) {
	t.Helper()
	slices.Sort(ds)
	mid, last := ds[len(ds)/2], ds[len(ds)-1]
	t.Logf("%d times: median %v, most %v", len(ds), mid.Round(time.Millisecond), last.Round(time.Millisecond))
	if median > 0 && mid > median {
		t.Errorf("the median is over %v", median)
	}
	if most > 0 && last > most {
		t.Errorf("the most is over %v", most)
	}
}

// die kills the last k nodes at once and returns how long each of the others
// took to say NodeFailed of each, which all must do once and of nobody else.
func (f *field) die(k int) (took []time.Duration) {
	f.t.Helper()
	killed := time.Now()
	var names []string
	for range k {
		names = append(names, f.kill(len(f.nodes)-1))
	}
	for _, h := range f.nodes {
		for _, name := range names {
			took = append(took, h.Wait(f.t, cluster.KindNodeFailed, name).Time.Sub(killed))
		}
	}
	f.whole()
	for _, h := range f.nodes {
		es := slices.DeleteFunc(h.Events(cluster.KindNodeFailed, ""), func(e cluster.Event) bool { return e.Time.Before(killed) })
		if len(es) != k {
			f.t.Errorf("%s has %d NodeFailed of %d dead:\n%s", h.Node.Self().Name, len(es), k, lines(es))
		}
	}
	return took
}

func TestOneOfAHundredKilledFailsOnceEverywhere(t *testing.T) {
	long(t)
	f := newField(t, 1, swift())
	for range 99 {
		f.add()
		time.Sleep(100 * time.Millisecond) // a hundred at once keep two cores busy for seconds
	}
	f.whole()
	var took []time.Duration
	for round := range 20 {
		start := time.Now()
		took = append(took, f.die(1)...)
		f.add()
		f.whole()
		t.Logf("round %d: %v", round, time.Since(start).Round(time.Millisecond))
	}
	slices.Sort(took)
	limited(t, took[:len(took)*99/100], 2200*time.Millisecond, 3200*time.Millisecond)
}

func TestThirtyPercentOfTwentyKilledAtOnceFailWithinThreeSeconds(t *testing.T) {
	long(t)
	var took []time.Duration
	for range 10 {
		f := newField(t, 20, swift())
		took = append(took, f.die(6)...)
		f.close()
	}
	limited(t, took, 0, 3*time.Second)
}

func TestTheLastOfManyChangesIsEverywhereInHalfASecond(t *testing.T) {
	long(t)
	f := newField(t, 20, swift())
	var took []time.Duration
	for range 10 {
		took = append(took, f.changeTags(3*time.Second))
	}
	limited(t, took, 0, 500*time.Millisecond)
	f.none(cluster.KindNodeFailed)
}

func TestLargeSplitsAreNamedAndHeal(t *testing.T) {
	long(t)
	type limits struct {
		suspected    [2]time.Duration // by each side, in the median, and half a second later by all; 0: none
		named, whole time.Duration
	}
	const s = time.Second
	sevenThree := limits{[2]time.Duration{}, 8 * s, 5 * s}
	halves := limits{[2]time.Duration{2500 * time.Millisecond, 2500 * time.Millisecond}, 8 * s, 5 * s}
	fourOfTwenty := limits{[2]time.Duration{0, 1500 * time.Millisecond}, 12 * s, 5 * s}
	for _, c := range []struct {
		n, k int // k of n are the side that is the majority
		cut  time.Duration
		most limits
	}{
		{10, 7, 10 * s, sevenThree}, {20, 10, 10 * s, halves}, {20, 16, 10 * s, fourOfTwenty},
		{10, 7, time.Minute, sevenThree}, {20, 10, time.Minute, halves}, {20, 16, time.Minute, fourOfTwenty},
	} {
		t.Run(fmt.Sprintf("%d of %d for %v", c.k, c.n, c.cut), func(t *testing.T) {
			f := newField(t, c.n, swift())
			f.calm()
			start := time.Now()
			f.net.Split(f.side(0, c.k))
			var suspected [2][]time.Duration
			var named []time.Duration
			for i, h := range f.nodes {
				want, here := "majority", 0
				if i >= c.k {
					want, here = "minority", 1
				}
				eventually(t, func() error {
					for _, e := range h.Events(cluster.KindPartitionDetected, "") {
						if e.Partition.Side == want {
							named = append(named, e.Time.Sub(start))
							return nil
						}
					}
					return fmt.Errorf("n%02d does not know its side", i)
				})
				suspected[here] = append(suspected[here], h.Events(cluster.KindPartitionSuspected, "")[0].Time.Sub(start))
			}
			time.Sleep(time.Until(start.Add(c.cut)))
			f.net.Heal()
			healed := time.Now()
			f.whole()
			whole := time.Since(healed)
			f.close()
			for here, ds := range suspected {
				if median := c.most.suspected[here]; median > 0 {
					limited(t, ds, median, median+500*time.Millisecond)
				}
			}
			limited(t, named, 0, c.most.named)
			limited(t, []time.Duration{whole}, 0, c.most.whole*time.Duration(1+int(c.cut/time.Minute)))
		})
	}
}

// growth makes n nodes and returns how many goroutines each has, without the
// test's own that watches it, and how many more and how much more memory after
// they have had nothing to do for a while.
func growth(t *testing.T, n int, idle time.Duration, cfg cluster.Config) (each float64, more int, bytes int64) {
	t.Helper()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := runtime.NumGoroutine()
	newField(t, n, cfg)
	time.Sleep(3 * time.Second) // the exchanges after a join are over
	start, mem := runtime.NumGoroutine(), heap()
	time.Sleep(idle)
	more, bytes = runtime.NumGoroutine()-start, heap()-mem
	return float64(start-before)/float64(n) - 1, more, bytes
}

// Not parallel: it counts the goroutines of the process.
func TestANodeHasFewGoroutinesAndNoMoreWithTime(t *testing.T) {
	each, more, _ := growth(t, 5, 2*time.Second, cluster.Config{})
	t.Logf("%.1f goroutines a node, %+d later", each, more)
	if each > 11 || more > 5 {
		t.Errorf("%.1f goroutines a node, %+d after 2 s without anything to do", each, more)
	}
}

func TestAnIdleClusterCostsLittleAndDoesNotGrow(t *testing.T) {
	long(t)
	const idle = 10 * time.Minute
	before, start := testkit.ProcessorTime(t), time.Now()
	each, more, bytes := growth(t, 20, idle, swift())
	share := 100 * (testkit.ProcessorTime(t) - before).Seconds() / time.Since(start).Seconds() / 20
	t.Logf("%.2f %% of a core and %.1f goroutines a node; after %v %+d goroutines in all, %+d KiB", share, each, idle, more, bytes>>10)
	if share > 0.4 || each > 10.5 || more > 5 || bytes > 4<<20 {
		t.Errorf("want at most 0.4 %% and 10 goroutines a node, and no growth")
	}
}
