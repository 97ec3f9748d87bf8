package members

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A scene drives a detector through imagined time: names n00.. with tags, some
// of them lost.
type scene struct {
	t      *testing.T
	d      detector
	now    time.Time
	self   string
	seen   map[string]*sight
	health int
	probes int
	events []Event
}

func newScene(t *testing.T, n int) *scene {
	cfg := testConfig("n00@1")
	s := &scene{t: t, d: newDetector(&cfg), now: time.Unix(1e9, 0), self: "n00", seen: map[string]*sight{}}
	for i := range n {
		name := fmt.Sprintf("n%02d", i)
		s.seen[name] = &sight{name: name, up: true, tags: map[string]string{"zone": string(rune('a' + i%2)), "role": "worker"}}
	}
	s.run(15 * time.Second)
	if len(s.events) > 0 {
		t.Fatalf("events in a calm cluster: %v", s.events)
	}
	return s
}

// run lets time pass in ticks.
func (s *scene) run(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(TickInterval) {
		var seen []sight
		for _, v := range s.seen {
			seen = append(seen, *v)
		}
		s.events = append(s.events, s.d.observe(s.now, look{s.self, seen, s.health, s.probes, minProbes})...)
	}
}

// lose takes the names from i to j away, one every so often.
func (s *scene) lose(i, j int, every time.Duration) {
	for ; i < j; i++ {
		s.seen[fmt.Sprintf("n%02d", i)].up = false
		s.run(every)
	}
}

func (s *scene) back(i, j int) {
	for ; i < j; i++ {
		s.seen[fmt.Sprintf("n%02d", i)].up = true
	}
}

func (s *scene) want(kinds ...Kind) {
	s.t.Helper()
	var got []Kind
	for _, e := range s.events {
		got = append(got, e.Kind)
	}
	if !slices.Equal(got, kinds) {
		s.t.Fatalf("got %v, want %v", got, kinds)
	}
}

func (s *scene) last() *Partition { return s.events[len(s.events)-1].Partition }

func TestASplitIsNamedFromEitherSide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, from, to int // n00 is this node
		want        string
	}{
		{10, 7, 10, SideMajority},
		{10, 3, 10, SideMinority},
		{20, 10, 20, SideMajority}, // a tie: n00 is here
		{20, 4, 20, SideMinority},
		{20, 16, 20, SideMajority},
		{20, 1, 20, SideIsolated},
		{3, 1, 3, SideIsolated},
		{5, 3, 5, SideMajority},
	} {
		s := newScene(t, c.n)
		start := s.now
		s.lose(c.from, c.to, 100*time.Millisecond)
		s.run(5 * time.Second)
		s.want(KindPartitionSuspected, KindPartitionDetected)
		p := s.last()
		if p.Side != c.want || len(p.Lost) != c.to-c.from || len(p.Reachable) != c.n-len(p.Lost) || p.Expected != c.n {
			t.Errorf("%d of %d lost: %+v", c.to-c.from, c.n, p)
		}
		if p.Since.Before(start) || p.Since.Sub(start) > 500*time.Millisecond {
			t.Errorf("since %v, lost at %v", p.Since, start)
		}
		s.back(c.from, c.to)
		s.run(3 * time.Second)
		s.want(KindPartitionSuspected, KindPartitionDetected, KindPartitionHealed)
		if p := s.last(); len(p.Returned) != c.to-c.from || len(p.Missing) != 0 || p.Duration < 4*time.Second {
			t.Errorf("healed: %+v", p)
		}
	}
}

func TestATieIsWonByTheSideWithTheLowestName(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	s.self = "n05"
	s.lose(0, 5, 0)
	s.run(5 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionDetected)
	if s.last().Side != SideMinority {
		t.Errorf("the side without the lowest name is %v", s.last().Side)
	}
}

func TestFewOrSlowLossesAreNoPartition(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20)
	s.lose(17, 20, time.Second)
	s.run(20 * time.Second)
	s.want()
	s = newScene(t, 20)
	s.lose(10, 20, 10*time.Second)
	s.want()
	s = newScene(t, 4)
	s.lose(3, 4, time.Second)
	s.run(20 * time.Second)
	s.want()
}

func TestCrashesAreToldFromASplit(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	s.lose(4, 10, 0)
	s.run(time.Second)
	s.want(KindPartitionSuspected)
	for i := 4; i < 10; i++ { // their hosts refuse connections
		s.seen[fmt.Sprintf("n%02d", i)].crashed = true
	}
	s.run(10 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionHealed)
	if p := s.last(); p.Side != SideUnknown || p.Expected != 4 {
		t.Errorf("%+v", p)
	}
}

func TestNodesThatLeaveAreNotLost(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	for i := 3; i < 10; i++ {
		v := s.seen[fmt.Sprintf("n%02d", i)]
		v.up, v.left = false, true
	}
	s.run(10 * time.Second)
	s.want()
}

func TestANodeThatHearsNobodyKnowsItByItsHealth(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20)
	s.health, s.probes = 3, 2
	s.run(400 * time.Millisecond)
	s.want()
	s.run(300 * time.Millisecond)
	s.want(KindPartitionSuspected)
	s.lose(4, 20, 100*time.Millisecond)
	s.run(3 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionDetected)
	if s.last().Side != SideMinority {
		t.Errorf("%+v", s.last())
	}
	s = newScene(t, 20)
	s.health = 7 // but all probes answered: busy, not cut off
	s.run(10 * time.Second)
	s.want()
}

func TestAPictureThatNeverRestsIsNamedAllTheSame(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	s.lose(5, 9, 0)
	for range 20 {
		s.seen["n09"].up = !s.seen["n09"].up
		s.run(time.Second)
	}
	if len(s.events) < 2 || s.events[1].Kind != KindPartitionDetected {
		t.Fatalf("got %v", s.events)
	}
}

func TestTheSideIsToldAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	s.lose(7, 10, 0)
	s.run(5 * time.Second)
	s.lose(3, 7, 0)
	s.run(5 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionDetected, KindPartitionDetected)
	if s.last().Side != SideMinority {
		t.Errorf("%+v", s.last())
	}
}

func TestWhatTheLostHaveInCommonIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	for i := 1; i < 10; i += 2 { // zone b
		s.seen[fmt.Sprintf("n%02d", i)].up = false
	}
	s.run(5 * time.Second)
	if p := s.last(); p.Common != "zone=b" {
		t.Errorf("common %q", p.Common)
	}
	s = newScene(t, 10)
	s.lose(5, 10, 0)
	s.run(5 * time.Second)
	if p := s.last(); p.Common != "" {
		t.Errorf("common %q", p.Common)
	}
}

func TestASingleNodeNotSeenForLongIsNotExpectedAnyMore(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	s.lose(9, 10, 0)
	s.run(9 * time.Minute)
	if expected, lost, _ := s.d.count(s.now); expected != 10 || len(lost) != 1 {
		t.Errorf("after 9 min: %d expected, %v lost", expected, lost)
	}
	s.run(2 * time.Minute)
	if expected, lost, _ := s.d.count(s.now); expected != 9 || len(lost) != 0 {
		t.Errorf("after 11 min: %d expected, %v lost", expected, lost)
	}
	s.want()
}

// A side that forgot the other would take itself for whole and assign again.
func TestASplitThatLastsIsNeverToldAsHealed(t *testing.T) {
	t.Parallel()
	split := func() *scene {
		s := newScene(t, 10)
		s.lose(3, 10, 0)
		s.run(11 * time.Minute)
		for i := 3; i < 10; i++ { // the node forgets them at last
			delete(s.seen, fmt.Sprintf("n%02d", i))
		}
		s.run(11 * time.Minute)
		s.want(KindPartitionSuspected, KindPartitionDetected)
		if p, in := s.d.current(); !in || p.Side != SideMinority || len(p.Lost) != 7 {
			t.Errorf("%v, %+v", in, p)
		}
		return s
	}
	s := split()
	for i := 3; i < 10; i++ {
		name := fmt.Sprintf("n%02d", i)
		s.seen[name] = &sight{name: name, up: true, present: true}
	}
	s.run(3 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionDetected, KindPartitionHealed)
	if p := s.last(); len(p.Returned) != 7 || p.Duration < 22*time.Minute {
		t.Errorf("all are back: %+v", p)
	}
	s = split()
	for i := 3; i < 10; i++ {
		name := fmt.Sprintf("n%02d", i)
		s.seen[name] = &sight{name: name, crashed: i%2 == 0, left: i%2 == 1}
	}
	s.run(3 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionDetected, KindPartitionHealed)
	if p := s.last(); len(p.Missing) != 7 || p.Expected != 3 {
		t.Errorf("all are known to be gone: %+v", p)
	}
}

// The answer to AskMinority counts for the picture it was asked about alone.
func TestALateAnswerOfOnMinorityIsNotHeard(t *testing.T) {
	t.Parallel()
	table := New(testConfig("n00@1"))
	decide := func(p Partition) (which int) {
		table.decide(p)
		which = table.split.verdicts
		asked := table.effects
		table.effects = nil
		if want := p.Side != SideMajority; want != (len(asked) == 1) {
			t.Fatalf("on side %s: %v", p.Side, asked)
		}
		return which
	}
	answer := func(when string, which int, goOn, want bool) {
		t.Helper()
		table.Step(MinorityDecided{which, goOn}, time.Time{})
		if table.Assigns() != want {
			t.Errorf("%s: assigns %v", when, !want)
		}
	}
	first := decide(Partition{Side: SideMinority})
	decide(Partition{Side: SideMajority})
	answer("the majority, after an answer to the minority it was before", first, false, true)
	second := decide(Partition{Side: SideMinority})
	third := decide(Partition{Side: SideIsolated})
	answer("isolated", third, false, false)
	answer("isolated, after an answer to the minority it was before", second, true, false)
	decide(Partition{Side: SideMajority})
	answer("the majority again", third, false, true)
}

func TestNoSideIsNamedBeforeEverybodyWasAskedTwice(t *testing.T) {
	t.Parallel()
	s := newScene(t, 10)
	seen := func() (all []sight) {
		for i := range 10 {
			all = append(all, sight{name: fmt.Sprintf("n%02d", i), up: i < 7})
		}
		return all
	}()
	var events []Event
	for probes := range 2 {
		for range 25 { // each longer than the picture must rest
			events = append(events, s.d.observe(s.now, look{self: "n00", seen: seen, probes: probes})...)
			s.now = s.now.Add(TickInterval)
		}
	}
	if len(events) != 1 {
		t.Errorf("before the second roll call: %v", events)
	}
	if events = s.d.observe(s.now, look{self: "n00", seen: seen, probes: 2}); len(events) != 1 || events[0].Partition.Side != SideMajority {
		t.Errorf("after it: %v", events)
	}
}

func TestASuspicionDoesNotMakeANewNodeNewAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	for i := 2; i < 10; i++ {
		name := fmt.Sprintf("n%02d", i)
		s.seen[name] = &sight{name: name, up: true, present: true}
	}
	s.run(9 * time.Second)
	s.seen["n09"].up = false
	s.run(time.Second)
	s.seen["n09"].up = true
	s.run(time.Second)
	if v := s.d.voters["n09"]; v == nil || !v.expected {
		t.Errorf("after 11 s with a second's suspicion: %+v", v)
	}
}

// A split may come while a newcomer is suspected, whose time is up meanwhile: it
// counts, or the four of twenty that were cut off with it would be three, too few.
func TestASuspicionDoesNotHoldUpTheEndOfANewNodesTime(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	for i := 2; i < 20; i++ {
		name := fmt.Sprintf("n%02d", i)
		s.seen[name] = &sight{name: name, up: i != 18, present: true} // n18 is suspected from the start
	}
	s.run(9 * time.Second)
	s.seen["n19"].up = false
	s.run(1500 * time.Millisecond)
	for i := 16; i < 20; i++ {
		v := s.seen[fmt.Sprintf("n%02d", i)]
		v.up, v.present = false, false
	}
	s.run(5 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionDetected)
	if p := s.last(); p.Side != SideMajority || len(p.Lost) != 4 || p.Expected != 20 {
		t.Errorf("%+v", p)
	}
}

// A node that was suspected long before a split, wrongly, is lost when it is
// buried.
func TestANodeThatWasSuspectedLongAgoIsLostWhenItIsGone(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20)
	s.seen["n16"].up, s.seen["n16"].present = false, true
	s.run(8 * time.Second)
	s.want()
	cut := s.now
	s.seen["n16"].present = false
	s.lose(17, 20, 500*time.Millisecond)
	s.run(5 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionDetected)
	if p := s.last(); p.Side != SideMajority || len(p.Lost) != 4 || p.Since.Before(cut) {
		t.Errorf("cut off at %v: %+v", cut, p)
	}
	s.back(16, 20)
	s.run(3 * time.Second)
	s.want(KindPartitionSuspected, KindPartitionDetected, KindPartitionHealed)
}

// Suspicions that come one after another and bury nobody stay no partition.
func TestSuspicionsThatBuryNobodyAreLostOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, 20)
	for i := 14; i < 20; i++ {
		v := s.seen[fmt.Sprintf("n%02d", i)]
		v.up, v.present = false, true
		s.run(3 * time.Second)
	}
	s.want()
}

func TestNewNodesDoNotCountUntilTheyAreKnown(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2)
	for i := 2; i < 10; i++ {
		name := fmt.Sprintf("n%02d", i)
		s.seen[name] = &sight{name: name, up: true}
	}
	s.run(5 * time.Second)
	s.lose(2, 10, 0)
	s.run(10 * time.Second)
	s.want()
}
