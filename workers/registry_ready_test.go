package workers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// waits starts WaitReady for one worker and returns a function that says whether
// it has returned without an error, and how long it took.
func waits(t *testing.T, r *Registry) (returned func() (time.Duration, bool)) {
	t.Helper()
	start, done := time.Now(), make(chan time.Duration, 1)
	go func() {
		if r.WaitReady(t.Context(), 1) == nil {
			done <- time.Since(start)
		}
	}()
	synctest.Wait()
	return func() (time.Duration, bool) {
		synctest.Wait()
		select {
		case d := <-done:
			return d, true
		default:
			return 0, false
		}
	}
}

func TestWaitReadyReturnsWhenAWorkerIsBackFromABrokenStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := drive(t, RegistryConfig{})
		r.work.Go(r.health.run)
		a := play(r, "a", 1, nil)
		beatFor(2*time.Second, a)
		r.lost(a.w, errors.New("broken"))
		returned := waits(t, r)
		beatFor(100*time.Millisecond, a)
		if _, ok := returned(); ok {
			t.Fatal("ready after two heartbeats")
		}
		beatFor(time.Second, a)
		if d, ok := returned(); !ok || d > 300*time.Millisecond {
			t.Errorf("%v after %v; the worker: %v", ok, d, a.info(t))
		}
	})
}

func TestWaitReadyReturnsWhenASuspectWorkerThaws(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := drive(t, RegistryConfig{})
		r.work.Go(r.health.run)
		a := play(r, "a", 1, nil)
		beatFor(2*time.Second, a)
		time.Sleep(time.Second)
		if r.Count() != 0 {
			t.Fatalf("ready after a second of silence: %v", a.info(t))
		}
		returned := waits(t, r)
		beatFor(time.Second, a)
		if d, ok := returned(); !ok || d > 300*time.Millisecond {
			t.Errorf("%v after %v; the worker: %v", ok, d, a.info(t))
		}
	})
}

func TestWaitReadyReturnsWhenAnEjectionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := drive(t, RegistryConfig{})
		r.work.Go(r.health.run)
		a := play(r, "a", 1, nil)
		beatFor(2*time.Second, a)
		r.ReportFailure("a", "1", "x")
		r.ReportFailure("a", "1", "y")
		if r.Count() != 0 {
			t.Fatalf("ready although two callers complain: %v", a.info(t))
		}
		returned := waits(t, r)
		beatFor(4900*time.Millisecond, a)
		if _, ok := returned(); ok {
			t.Fatal("ready before 5 s")
		}
		beatFor(time.Second, a)
		if d, ok := returned(); !ok || d > 5*time.Second+2*checkEvery {
			t.Errorf("%v after %v; the worker: %v", ok, d, a.info(t))
		}
	})
}

func TestWaitReadyReturnsWhenANewWorkerReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := drive(t, RegistryConfig{}) // no check: at once
		a := play(r, "a", 1, nil)
		returned := waits(t, r)
		a.beat()
		if d, ok := returned(); !ok || d != 0 {
			t.Errorf("%v after %v", ok, d)
		}
	})
}

// Scenario 8: a worker is stopped. 0.3 s make it late, 1 s suspect; both pass
// within a second, and nobody else is touched.
func TestAStoppedWorkerIsAvoidedThenSuspectedAndComesBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stop    time.Duration
		suspect bool
	}{{300 * time.Millisecond, false}, {time.Second, true}} {
		synctest.Test(t, func(t *testing.T) {
			r, l := drive(t, RegistryConfig{})
			r.work.Go(r.health.run)
			a, b, d := play(r, "a", 8, nil), play(r, "b", 8, nil), play(r, "d", 8, nil)
			beatFor(2*time.Second, a, b, d)
			last := time.Now()
			if got := a.info(t).Heartbeats.Last; !got.Equal(last) {
				t.Fatalf("the last heartbeat was at %v, want %v", got, last)
			}
			seen := map[string]time.Duration{}
			for time.Since(last) < c.stop {
				time.Sleep(10 * time.Millisecond)
				if time.Since(last)%(50*time.Millisecond) == 0 {
					b.beat()
					d.beat()
				}
				synctest.Wait()
				s := a.info(t).Status
				if _, ok := seen[s]; !ok {
					seen[s] = time.Since(last)
				}
				if s != "ready" && chosen(t, r, 6)["a"] != 0 {
					t.Errorf("stopped for %v: chosen while %s", c.stop, s)
				}
			}
			if at, ok := seen["late"]; !ok || at > 310*time.Millisecond {
				t.Errorf("stopped for %v: late after %v (%v)", c.stop, at, ok)
			}
			es, at := l.events(cluster.KindNodeSuspected, "")
			if c.suspect {
				if len(es) != 1 || es[0].Member.Name != "a" || es[0].Phi < 8 || at[0].Sub(last) > 520*time.Millisecond {
					t.Fatalf("suspected: %v %v, last heartbeat at %v", es, at, last)
				}
			} else if len(es) > 0 {
				t.Fatalf("suspected after %v: %v", c.stop, es)
			}
			back := time.Now()
			for a.info(t).Status != "ready" {
				if beatFor(50*time.Millisecond, a, b, d); time.Since(back) > time.Second {
					t.Fatalf("not back a second after a stop of %v: %v", c.stop, a.info(t))
				}
			}
			if es, _ := l.events(cluster.KindNodeRecovered, "a"); c.suspect && len(es) < 1 {
				t.Error("no cluster.KindNodeRecovered")
			}
			// A suspect comes back with a quarter of its share, from the first
			// moment on.
			if want := map[bool]float64{true: 2, false: 8}[c.suspect]; a.info(t).Load.Capacity != want {
				t.Errorf("stopped for %v: counts with a capacity of %v, want %v", c.stop, a.info(t).Load.Capacity, want)
			}
			if es, _ := l.events(cluster.KindNodeSuspected, ""); len(es) > 1 {
				t.Errorf("suspected in the end: %v", es)
			}
		})
	}
}

// Scenarios 9 and 18: the process of the registry itself does not run for a
// while, and then either a report comes first or the check of the deadlines.
func TestTheRegistrysOwnStallSuspectsNobody(t *testing.T) {
	t.Parallel()
	for _, stall := range []time.Duration{150 * time.Millisecond, 250 * time.Millisecond, 300 * time.Millisecond, time.Second, 5 * time.Second} {
		for _, reportFirst := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				r, l := drive(t, RegistryConfig{})
				ps := []*player{play(r, "a", 1, nil), play(r, "b", 1, nil), play(r, "c", 1, nil)}
				run := func(d time.Duration) {
					for i := range int(d / (10 * time.Millisecond)) {
						time.Sleep(10 * time.Millisecond)
						if i%2 == 1 {
							r.health.checkAll()
						}
						if i%5 == 4 {
							for _, p := range ps {
								p.beat()
							}
						}
						for _, p := range ps {
							if s := p.w.monitor.State(); s == phi.StateSuspect {
								t.Fatalf("stall of %v, report first %v: %s is %v", stall, reportFirst, p.w.id, s)
							}
						}
					}
				}
				run(2 * time.Second)
				time.Sleep(stall)
				if reportFirst {
					ps[0].beat()
				}
				r.health.checkAll()
				run(time.Second)
				if es, _ := l.events(cluster.KindNodeSuspected, ""); len(es) > 0 {
					t.Errorf("stall of %v, report first %v: %v", stall, reportFirst, es)
				}
			})
		}
	}
}

// TestDeadlinesAreLookedAtWhenOneIsNear: a registry of workers that are well, or of none,
// rests between two heartbeats. It looks every 20 ms when a heartbeat is late, and while time
// changes a worker: after an ejection, and while one comes back.
func TestDeadlinesAreLookedAtWhenOneIsNear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := drive(t, RegistryConfig{})
		pauses := func(when string, least, most time.Duration) {
			t.Helper()
			if d := r.health.checkAll(); d < least || d > most {
				t.Errorf("%s the next look is after %v, want %v to %v", when, d, least, most)
			}
		}
		pauses("without workers", longestPause, longestPause)
		a, b := play(r, "a", 1, nil), play(r, "b", 1, nil)
		pauses("with workers that have not reported", longestPause, longestPause)
		for _, p := range []*player{a, b} {
			p.w.broken = false
		}
		beatFor(2*time.Second, a, b)
		pauses("after a heartbeat", 5*checkEvery, longestPause)
		time.Sleep(190 * time.Millisecond) // 290 ms is the deadline
		pauses("near a deadline", shortestPause, checkEvery)
		for range 30 { // this process runs all the time
			time.Sleep(checkEvery)
			pauses("while they are late, and suspected", shortestPause, lookAhead)
		}
		pauses("while they are suspected", checkEvery, checkEvery)
		beatFor(300*time.Millisecond, a, b)
		pauses("while they come back", checkEvery, checkEvery)
		beatFor(5*time.Second, a, b)
		pauses("after they have come back", 5*checkEvery, longestPause)
		r.ReportFailure("a", "1", "x")
		r.ReportFailure("a", "1", "y")
		pauses("while one is ejected", checkEvery, checkEvery)
		beatFor(6*time.Second, a, b)
		pauses("after the ejection", 5*checkEvery, longestPause)
		for range freshBurst + 1 {
			r.work.Go(func() { r.gate.pass(r.ctx, false) })
		}
		synctest.Wait()
		pauses("while a dial waits for its turn", checkEvery, checkEvery)
		time.Sleep(checkEvery)
		pauses("after its turn", 5*checkEvery, longestPause)
	})
}

// Packets of gossip go another way than heartbeats: an answer keeps a worker,
// but not for long.
func TestAnAnsweredPacketVouchesForAWorkerForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, l := drive(t, RegistryConfig{})
		asked := make(chan cluster.Member, 100)
		r.health.packets = func(m cluster.Member) bool { asked <- m; time.Sleep(time.Millisecond); return true }
		r.work.Go(r.health.run)
		a := play(r, "a", 1, nil)
		beatFor(2*time.Second, a)
		last := time.Now()
		time.Sleep(850 * time.Millisecond)
		synctest.Wait()
		if es, _ := l.events(cluster.KindNodeSuspected, ""); len(es) > 0 || len(asked) == 0 || a.info(t).Status != "ready" {
			t.Fatalf("after 0.85 s in which it answers packets: %v, asked %d times, %v", es, len(asked), a.info(t))
		}
		if m := <-asked; m.Name != "a" {
			t.Errorf("asked %v", m)
		}
		time.Sleep(950 * time.Millisecond)
		es, at := l.events(cluster.KindNodeSuspected, "a")
		if len(es) != 1 || at[0].Sub(last) > 1500*time.Millisecond {
			t.Fatalf("1.8 s without a heartbeat: %v %v", es, at)
		}
		beatFor(time.Second, a)
		before := len(asked)
		time.Sleep(400 * time.Millisecond) // heartbeats have come: it may be vouched for again
		synctest.Wait()
		if es, _ := l.events(cluster.KindNodeSuspected, "a"); len(es) != 1 || len(asked) == before {
			t.Errorf("late again: %v, asked %d times more", es, len(asked)-before)
		}
	})
}

// With a long SuspectPause, pings that nobody answers on either way suspect a
// worker before its second deadline; one answer, on either, does not.
func TestLostPingsSuspectBeforeALongDeadline(t *testing.T) {
	t.Parallel()
	for _, answers := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, l := drive(t, RegistryConfig{Phi: PhiConfig{SuspectPause: 5 * time.Second}})
			r.health.packets = func(cluster.Member) bool { time.Sleep(100 * time.Millisecond); return answers }
			r.work.Go(r.health.run)
			a := play(r, "a", 1, nil)
			beatFor(2*time.Second, a)
			last := time.Now()
			time.Sleep(time.Second)
			es, at := l.events(cluster.KindNodeSuspected, "a")
			if answers && len(es) > 0 {
				t.Errorf("suspected although it answers: %v", es)
			}
			if !answers && (len(es) != 1 || es[0].Phi == 0 || at[0].Sub(last) > 600*time.Millisecond) {
				t.Errorf("no answer: %v %v after %v", es, at, last)
			}
		})
	}
}

// A late worker is pinged while the node says that its tags have changed.
func TestPingsAndChangesOfAMemberDoNotRace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, l := drive(t, RegistryConfig{Phi: PhiConfig{SuspectPause: 5 * time.Second}})
		r.health.packets = func(cluster.Member) bool { time.Sleep(100 * time.Millisecond); return false }
		r.work.Go(r.health.run)
		a := play(r, "a", 1, nil)
		beatFor(2*time.Second, a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for i := 0; ctx.Err() == nil; i++ {
			r.mu.Lock()
			r.update(workerMember("a", "1", cluster.Tags{"n": string(rune('a' + i%2))}))
			r.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
		if es, _ := l.events(cluster.KindNodeSuspected, "a"); len(es) != 1 || es[0].Member.Boot != "1" {
			t.Errorf("suspected: %v", es)
		}
	})
}
