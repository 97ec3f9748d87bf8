package phi_test

import (
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// A subject is a monitor with a clock of its own.
type subject struct {
	*phi.Monitor
	now time.Duration
}

func newSubject(t *testing.T) *subject {
	t.Helper()
	m, err := phi.NewMonitor(phi.Config{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &subject{m, 0}
	s.beats(100)
	return s
}

// beats lets n heartbeats arrive in time and returns the state after the last.
func (s *subject) beats(n int) (st phi.State) {
	for range n {
		s.now += 50 * ms
		st = s.Heartbeat(s.now)
	}
	return st
}

// silence lets time pass with a check every 10 ms.
func (s *subject) silence(d time.Duration) (st phi.State) {
	for end := s.now + d; s.now < end; {
		s.now += 10 * ms
		st = s.Check(s.now)
	}
	return st
}

func TestSilenceMakesLateThenSuspect(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	if st := s.silence(280 * ms); st != phi.StateAlive {
		t.Errorf("%v after 280ms", st)
	}
	if st := s.silence(20 * ms); st != phi.StateLate {
		t.Errorf("%v after 300ms", st)
	}
	if at, ok := s.Deadline(); !ok || at != s.SuspectAt() {
		t.Errorf("deadline %v, %v while late", at, ok)
	}
	if st := s.silence(150 * ms); st != phi.StateLate {
		t.Errorf("%v after 450ms", st)
	}
	if st := s.silence(20 * ms); st != phi.StateSuspect {
		t.Errorf("%v after 470ms", st)
	}
	if _, ok := s.Deadline(); ok {
		t.Error("a suspect has a deadline")
	}
}

func TestAnySignOfLifeEndsLateness(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	s.silence(300 * ms)
	if st := s.Touch(s.now); st != phi.StateAlive {
		t.Errorf("%v after a touch", st)
	}
	s.silence(600 * ms)
	if st := s.Touch(s.now); st != phi.StateSuspect {
		t.Errorf("a touch made a suspect %v", st)
	}
}

func TestASuspectNeedsThreeHeartbeatsInTime(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	s.silence(time.Second)
	if st := s.beats(1); st != phi.StateSuspect { // late: not in time
		t.Errorf("%v after the first", st)
	}
	if st := s.beats(2); st != phi.StateSuspect {
		t.Errorf("%v after two in time", st)
	}
	s.silence(300 * ms) // and a gap
	if st := s.beats(3); st != phi.StateSuspect {
		t.Errorf("%v: the gap was forgotten", st)
	}
	if st := s.beats(1); st != phi.StateAlive {
		t.Errorf("%v after three in time", st)
	}
}

func TestASuspicionLastsAtLeast150Milliseconds(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	s.Suspect(s.now)
	since := s.now
	for s.State() == phi.StateSuspect {
		s.now += 10 * ms
		s.Heartbeat(s.now)
	}
	if d := s.now - since; d < 150*ms || d > 200*ms {
		t.Errorf("taken back after %v", d)
	}
}

func TestARecoveredPeerStartsSlowly(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	if w := s.Weight(s.now); w != 1 {
		t.Errorf("weight %v before any suspicion", w)
	}
	s.silence(time.Second)
	if w := s.Weight(s.now); w != 0 {
		t.Errorf("weight %v of a suspect", w)
	}
	s.beats(4)
	back := s.now
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{{0, 0.25}, {time.Second, 0.625}, {2 * time.Second, 1}, {time.Minute, 1}} {
		if w := s.Weight(back + c.after); w != c.want {
			t.Errorf("weight %v after %v, want %v", w, c.after, c.want)
		}
	}
}

func TestAPeerThatFlapsIsHeldDownLonger(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	var holds []time.Duration
	for range 12 {
		for s.silence(10*ms) != phi.StateSuspect {
		}
		since := s.now
		s.silence(100 * ms)
		for s.State() == phi.StateSuspect {
			s.beats(1)
		}
		holds = append(holds, s.HoldDown())
		if d := s.now - since; d < s.HoldDown() {
			t.Errorf("taken back after %v, hold-down %v", d, s.HoldDown())
		}
	}
	if holds[2] != 0 || holds[3] != 500*ms || holds[4] != time.Second || holds[5] != 2*time.Second {
		t.Errorf("hold-downs %v", holds)
	}
	for i, h := range holds {
		if h > 30*time.Second {
			t.Errorf("hold-down %d is %v", i, h)
		}
	}
	s.beats(20 * 61) // a quiet minute
	s.silence(600 * ms)
	if s.HoldDown() != 0 {
		t.Errorf("hold-down %v after a quiet minute", s.HoldDown())
	}
}

func TestResetForgetsThePast(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	s.silence(time.Second)
	s.Reset(s.now)
	if s.State() != phi.StateAlive || s.Weight(s.now) != 1 || s.Samples() != 0 {
		t.Errorf("%v, weight %v, %d samples after Reset", s.State(), s.Weight(s.now), s.Samples())
	}
}

// The watcher was stopped for a second: with the rule nobody is suspect.
func TestTheWatchersOwnStallIsNotHeldAgainstItsPeers(t *testing.T) {
	t.Parallel()
	for _, rule := range []bool{true, false} {
		s := newSubject(t)
		stall := phi.NewStall(20 * ms)
		tick := func() {
			late := stall.Tick(s.now)
			if rule {
				s.Shift(late)
			}
			s.Check(s.now)
		}
		for range 10 {
			s.now += 20 * ms
			if s.now%(100*ms) == 0 {
				s.Heartbeat(s.now)
			}
			tick()
		}
		s.now += time.Second // SIGSTOP
		tick()
		if got := s.State(); (got == phi.StateAlive) != rule {
			t.Errorf("rule %v: %v after the stall", rule, got)
		}
		if !stall.Holding(s.now) {
			t.Error("ejections are not held after a stall of a second")
		}
		if stall.Holding(s.now + time.Second) {
			t.Error("ejections are held for ever")
		}
	}
}

func TestSmallLatenessOfATickIsNoStall(t *testing.T) {
	t.Parallel()
	stall := phi.NewStall(20 * ms)
	if late := stall.Tick(time.Hour); late != 0 {
		t.Errorf("the first tick is late by %v", late)
	}
	if late := stall.Tick(time.Hour + 40*ms); late != 0 {
		t.Errorf("20 ms count as a stall of %v", late)
	}
	if late := stall.Tick(time.Hour + 90*ms); late != 30*ms {
		t.Errorf("a stall of 30ms is %v", late)
	}
}

// After a stall a heartbeat may be the first thing that runs, before the tick.
func TestAStallIsKnownBeforeTheTickThatIsLate(t *testing.T) {
	t.Parallel()
	stall := phi.NewStall(20 * ms)
	if late := stall.Late(time.Hour); late != 0 {
		t.Errorf("late by %v before the first tick", late)
	}
	stall.Tick(time.Hour)
	if late := stall.Late(time.Hour + 40*ms); late != 0 {
		t.Errorf("20 ms count as a stall of %v", late)
	}
	for range 2 { // asking changes nothing
		if late := stall.Late(time.Hour + time.Second); late != 980*ms {
			t.Errorf("late by %v, want 980ms", late)
		}
	}
	if stall.Holding(time.Hour + time.Second) {
		t.Error("asking holds ejections")
	}
	if late := stall.Tick(time.Hour + time.Second); late != 980*ms || stall.Late(time.Hour+time.Second) != 0 {
		t.Errorf("late by %v, then %v", late, stall.Late(time.Hour+time.Second))
	}
}

func TestBeatIsTheLastHeartbeatAndNoOtherSignOfLife(t *testing.T) {
	t.Parallel()
	s := newSubject(t)
	last := s.now
	s.Touch(s.now + 100*ms)
	if s.Beat() != last || s.Last() != last+100*ms {
		t.Errorf("beat %v, last %v", s.Beat(), s.Last())
	}
	s.Shift(time.Second)
	if s.Beat() != last+time.Second {
		t.Errorf("beat %v after a stall", s.Beat())
	}
}
