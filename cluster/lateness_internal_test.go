package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

// lateNode returns what of a node knows how late it is, and a function that makes it late.
func lateNode() (n *Node, by func(time.Duration)) {
	n = &Node{}
	n.cfg.Detection.ProbeTimeout = 100 * time.Millisecond
	n.prober, n.healer, n.reach = newProber(n), newHealer(n), &reachability{n: n}
	return n, func(d time.Duration) {
		for range 100 { // what was before has faded
			time.Sleep(100 * time.Millisecond)
			n.prober.late.Tick(time.Now())
		}
		time.Sleep(100*time.Millisecond + d)
		n.prober.late.Tick(time.Now())
	}
}

func TestALateNodeProbesTheLessOftenTheLaterItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, late := lateNode()
		p := n.prober
		late(0)
		for range 3 {
			if p.blind("m") {
				t.Error("a node that is not late does not probe")
			}
		}
		late(100 * time.Millisecond)
		if p.blind("m") {
			t.Error("no probe after a long time without one")
		}
		if !p.blind("m") || !p.blind("asked") {
			t.Error("a late node probes again at once")
		}
		p.ask("asked", 1)
		if p.blind("asked") {
			t.Error("a member that is asked on purpose is not pinged")
		}
		if p.ask("asked", -1); !p.blind("asked") || len(p.asked) != 0 {
			t.Error("the member counts as asked for ever")
		}
	})
}

// A view that cannot be stepped, or a process that is stopped, makes the run goroutine late
// without end.
func TestANodeThatIsLateForEverStillProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, _ := lateNode()
		sent := 0
		for range 300 { // a minute of memberlist's probes, without a tick
			time.Sleep(200 * time.Millisecond)
			if !n.prober.blind("m") {
				sent++
			}
		}
		if sent < 12 || sent > 30 {
			t.Errorf("%d probes in a minute, want about one in %v", sent, maxProbePause)
		}
	})
}

func TestALateNodeAsksByPacketsBeforeConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, late := lateNode()
		p := n.prober
		if late(0); p.noFallback("m") || p.deaf() {
			t.Error("a node that is not late takes no fallback, or is deaf")
		}
		if late(100 * time.Millisecond); !p.noFallback("m") || p.deaf() {
			t.Error("a node that is late by a ProbeTimeout falls back to streams, or is deaf")
		}
		n.reach.byStream = map[string]time.Time{"m": time.Now()}
		if p.noFallback("m") {
			t.Error("a member that answers over streams alone is not asked by one")
		}
		if late(300 * time.Millisecond); !p.deaf() {
			t.Error("a node that is very late listens to suspicions")
		}
	})
}

func TestALateNodePutsExchangesOffButNotForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, late := lateNode()
		h := n.healer
		if late(0); h.putsOff(time.Now()) {
			t.Error("a node that is not late puts off")
		}
		late(time.Second)
		begin := time.Now()
		for h.putsOff(time.Now()) {
			if late(time.Second); time.Since(begin) > time.Hour {
				t.Fatal("put off for ever")
			}
		}
		if d := time.Since(begin); d < putOffFor {
			t.Errorf("put off for %v only", d)
		}
		if late(0); h.putsOff(time.Now()) {
			t.Error("puts off when it is late no more")
		}
		if late(time.Second); !h.putsOff(time.Now()) {
			t.Error("does not put off when it is late again")
		}
	})
}

// A newcomer that exchanges its state itself is not dialled meanwhile.
func TestANewcomerThatExchangesIsGivenTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, late := lateNode()
		h := n.healer
		late(0)
		now := time.Now()
		h.contact("m", "addr", true, now)
		if due := h.contacts["m"].due.Sub(now); due < exchangeTime {
			t.Errorf("joined after %v", due)
		}
		h.contact("m", "addr", true, now.Add(time.Minute))
		if due := h.contacts["m"].due.Sub(now); due > 2*exchangeTime {
			t.Errorf("the next connection puts it off to %v", due)
		}
		h.contact("m", "addr", false, now)
		if due := h.contacts["m"].due.Sub(now); due != 0 {
			t.Errorf("a node that is heard otherwise is joined after %v, want at once", due)
		}
	})
}
