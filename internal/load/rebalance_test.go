package load

import (
	"testing"
	"time"
)

var rule = RebalanceRule{Spread: 0.2, After: 10 * time.Second, Rate: HandoverRate}

// plan calls Plan once a second until so many have passed, as if nothing were done about
// what it says, and returns the second in which it first moves something.
func plan(r *Rebalancer, from, seconds int, ws func(second int) []Filling) (first int, moves []Move) {
	for s := from; s < from+seconds; s++ {
		if moves = r.Plan(time.Duration(s)*time.Second, ws(s)); len(moves) > 0 {
			return s, moves
		}
	}
	return -1, nil
}

func always(ws ...Filling) func(int) []Filling { return func(int) []Filling { return ws } }

func TestNothingMovesBeforeWorkersHaveDifferedForLong(t *testing.T) {
	t.Parallel()
	uneven := always(Filling{"a", 80, 100}, Filling{"b", 10, 100})
	if first, moves := plan(NewRebalancer(rule), 0, 60, uneven); first != 10 || len(moves) != 1 || moves[0].Worker != "a" {
		t.Errorf("%v in second %d, want a in second 10", moves, first)
	}
	// A difference that comes and goes is none.
	flicker := func(s int) []Filling {
		if s%5 == 0 {
			return always(Filling{"a", 40, 100}, Filling{"b", 40, 100})(s)
		}
		return uneven(s)
	}
	if first, moves := plan(NewRebalancer(rule), 0, 600, flicker); first >= 0 {
		t.Errorf("%v in second %d of a difference that does not last", moves, first)
	}
}

func TestOnlyWhatMakesWorkersMoreEqualMoves(t *testing.T) {
	t.Parallel()
	for what, ws := range map[string][]Filling{
		"one worker":               {{"a", 80, 100}},
		"within the spread":        {{"a", 50, 100}, {"b", 31, 100}},
		"one call, of little room": {{"a", 1, 2}, {"b", 0, 2}},
		"three calls on two":       {{"a", 2, 2}, {"b", 1, 2}},
		"a larger worker":          {{"a", 8, 16}, {"b", 2, 4}},
	} {
		if first, moves := plan(NewRebalancer(rule), 0, 100, always(ws...)); first >= 0 {
			t.Errorf("%s: %v in second %d", what, moves, first)
		}
	}
	// By capacity, not by number.
	if _, moves := plan(NewRebalancer(rule), 0, 100, always(Filling{"a", 8, 8}, Filling{"b", 16, 64})); len(moves) != 1 || moves[0].Worker != "a" {
		t.Errorf("%v", moves)
	}
}

func TestMovingIsBoundedAndEndsWhenWorkersAreLevel(t *testing.T) {
	t.Parallel()
	r := NewRebalancer(rule)
	a, b := 1000.0, 0.0
	moved, last := 0, 0
	for s := range 120 {
		moves := r.Plan(time.Duration(s)*time.Second, []Filling{{"a", a, 1000}, {"b", b, 1000}})
		for _, m := range moves {
			if m.Worker != "a" || float64(m.Calls) > 2*rule.Rate*a+1 {
				t.Fatalf("second %d: %v of %g", s, m, a)
			}
			a, b = a-float64(m.Calls), b+float64(m.Calls)
			moved, last = moved+m.Calls, s
		}
	}
	if a-b > 100 || a < b || moved < 450 || last > 60 {
		t.Errorf("%g and %g after %d, the last in second %d", a, b, moved, last)
	}
	if r.Moving() {
		t.Error("moves for ever")
	}
}

func TestAWorkerWithNothingToHandOverIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := NewRebalancer(rule)
	ws := always(Filling{"a", 90, 100}, Filling{"b", 80, 100}, Filling{"c", 0, 100})
	first, moves := plan(r, 0, 60, ws)
	if len(moves) == 0 || moves[0].Worker != "a" {
		t.Fatalf("%v", moves)
	}
	r.Moved(time.Duration(first)*time.Second, "a", 0)
	for s := first + 1; s < first+30; s++ {
		for _, m := range r.Plan(time.Duration(s)*time.Second, ws(s)) {
			if m.Worker == "a" {
				t.Fatalf("asked again after %d s", s-first)
			}
		}
	}
	asked := false
	for s := first + 30; s < first+33; s++ {
		for _, m := range r.Plan(time.Duration(s)*time.Second, ws(s)) {
			asked = asked || m.Worker == "a"
		}
	}
	if !asked {
		t.Error("not asked again after 30 s")
	}
	r.Plan(time.Hour, nil)
	if len(r.mean)+len(r.credit)+len(r.rests) != 0 {
		t.Errorf("workers that are gone are kept: %v %v %v", r.mean, r.credit, r.rests)
	}
}

// However often and for how much a balancer asks.
func TestAWorkerHandsOverNoMoreThanItsBounds(t *testing.T) {
	t.Parallel()
	var h Handover
	const streams = 1000
	moved := 0
	for ms := 0; ms <= 60_000; ms += 10 {
		n, heard := h.Allow(time.Duration(ms)*time.Millisecond, 1, 1<<20, streams)
		if !heard {
			t.Fatal("the only balancer is not listened to")
		}
		h.Spend(n)
		moved += n
		if _, heard := h.Allow(time.Duration(ms)*time.Millisecond, 2, 1, streams); heard {
			t.Fatal("two balancers are listened to at once")
		}
	}
	if most := HandoverBurst*streams + 60*HandoverRate*streams; moved > int(most)+1 || moved < int(most)/2 {
		t.Errorf("%d of %d streams in a minute, want at most %g", moved, streams, most)
	}
	later := time.Minute + HandoverHold
	if n, heard := h.Allow(later, 2, 5, streams); n != 5 || !heard {
		t.Errorf("the other balancer later: %d, %v", n, heard)
	}
	if n, _ := new(Handover).Allow(0, 1, 10, 3); n != 1 {
		t.Errorf("%d of 3 streams at once, want one", n)
	}
}

func TestAStreamThatHasMovedStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		age     time.Duration
		resumed bool
		want    bool
	}{
		{0, false, false}, {StreamYoung, false, true}, {StreamYoung, true, false}, {StreamSettles - 1, true, false}, {StreamSettles, true, true},
	} {
		if got := Movable(time.Hour+c.age, time.Hour, c.resumed); got != c.want {
			t.Errorf("after %v, resumed %v: %v", c.age, c.resumed, got)
		}
	}
}
