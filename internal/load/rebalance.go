package load

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A RebalanceRule says when streams are moved from full workers to emptier ones, and how
// fast. All fields must be above 0.
type RebalanceRule struct {
	// Spread is by how much the utilisations of two workers may differ. Moving begins above
	// it and ends at half of it.
	Spread float64
	// After is how long they must differ without a break before anything is moved.
	After time.Duration
	// Rate is the share of its calls that a worker hands over in a second at most.
	Rate float64
}

// A Filling is one worker as a [Rebalancer] sees it.
type Filling struct {
	// Worker identifies a life of the worker. It is compared with ==.
	Worker any
	// Calls is how many calls it has in flight, Capacity what is compared with that.
	Calls, Capacity float64
}

// A Move says that a worker is to hand over so many streams.
type Move struct {
	Worker any
	Calls  int
}

// A Rebalancer decides which workers hand over streams. The workers must be
// interchangeable for all streams. It has no clock and no network, so that a simulation
// drives the code that production runs. It is not safe for concurrent use.
//
//	level -(utilisations differ by more than Spread, in the mean and now,
//	        and moving one call makes them more equal)-> unequal
//	unequal -(for After)-> moving
//	unequal -(not any more)-> level
//	moving -(they differ by half of Spread or less)-> level
type Rebalancer struct {
	rule   RebalanceRule
	state  rebalanceState
	since  time.Duration // when the utilisations began to differ
	last   time.Duration // the last Plan
	begun  bool          // there was a Plan
	mean   map[any]float64
	credit map[any]float64 // calls that each may still hand over, of the rate
	rests  map[any]time.Duration
}

// A rebalanceState is one of the three states of a Rebalancer.
type rebalanceState uint8

const (
	level rebalanceState = iota
	unequal
	moving
)

// restFor is how long a worker is left alone that had nothing to hand over.
const restFor = 30 * time.Second

// NewRebalancer returns a Rebalancer that knows no workers.
func NewRebalancer(rule RebalanceRule) *Rebalancer {
	return &Rebalancer{rule: rule, mean: map[any]float64{}, credit: map[any]float64{}, rests: map[any]time.Duration{}}
}

// Plan takes the workers as they are now, and returns which of them are to hand over
// streams, the fullest first. The caller calls it about once a second, and tells with
// [Rebalancer.Moved] what came of it. Workers that are missing are forgotten.
func (r *Rebalancer) Plan(now time.Duration, ws []Filling) []Move {
	passed := now - r.last
	if !r.begun {
		r.begun, passed = true, 0
	}
	r.last = now
	r.note(passed, ws)
	target, unlike, settled := r.look(ws)
	switch {
	case settled || r.state == unequal && !unlike:
		r.state = level
	case r.state == level && unlike:
		r.state, r.since = unequal, now
	}
	if r.state == unequal && now-r.since >= r.rule.After {
		r.state = moving
	}
	if r.state != moving {
		return nil
	}
	return r.moves(now, target, ws)
}

// note keeps the mean utilisation of each worker and what each may hand over. The mean
// follows the last quarter of After or so: a moment's difference is none.
func (r *Rebalancer) note(passed time.Duration, ws []Filling) {
	present := make(map[any]bool, len(ws))
	weight := 1 - math.Exp(-4*passed.Seconds()/r.rule.After.Seconds())
	for _, w := range ws {
		present[w.Worker] = true
		u := w.Calls / w.Capacity
		if mean, known := r.mean[w.Worker]; known {
			u = mean + weight*(u-mean)
		}
		r.mean[w.Worker] = u
		// No more than what two seconds give, so that moving begins slowly.
		perSecond := r.rule.Rate * w.Calls
		r.credit[w.Worker] = min(r.credit[w.Worker]+passed.Seconds()*perSecond, max(1, 2*perSecond))
	}
	for w := range r.mean {
		if !present[w] {
			delete(r.mean, w)
			delete(r.credit, w)
			delete(r.rests, w)
		}
	}
}

// look returns the utilisation that all would have if calls were level, whether the
// utilisations differ too much, and whether they differ so little that moving ends.
func (r *Rebalancer) look(ws []Filling) (target float64, unlike, settled bool) {
	if len(ws) < 2 {
		return 0, false, true
	}
	calls, capacity := 0.0, 0.0
	low, high := math.Inf(1), math.Inf(-1) // now
	meanLow, meanHigh := low, high
	least, most := low, high // with a call more, with a call less
	for _, w := range ws {
		u := w.Calls / w.Capacity
		calls, capacity = calls+w.Calls, capacity+w.Capacity
		low, high = min(low, u), max(high, u)
		meanLow, meanHigh = min(meanLow, r.mean[w.Worker]), max(meanHigh, r.mean[w.Worker])
		least, most = min(least, (w.Calls+1)/w.Capacity), max(most, (w.Calls-1)/w.Capacity)
	}
	helps := most >= least // else moving one call only turns the difference round
	return calls / capacity, helps && min(high-low, meanHigh-meanLow) > r.rule.Spread, !helps || high-low <= r.rule.Spread/2
}

// moves returns what each worker above the target hands over now, at most what those
// below it can take.
func (r *Rebalancer) moves(now time.Duration, target float64, ws []Filling) (ms []Move) {
	room := 0.0
	for _, w := range ws {
		room += max(0, math.Floor(target*w.Capacity-w.Calls))
	}
	full := slices.Clone(ws)
	slices.SortStableFunc(full, func(a, b Filling) int { return cmp.Compare(b.Calls/b.Capacity, a.Calls/a.Capacity) })
	for _, w := range full {
		if now < r.rests[w.Worker] {
			continue
		}
		n := math.Floor(min(w.Calls-target*w.Capacity, r.credit[w.Worker], room))
		if n < 1 {
			continue
		}
		room -= n
		r.credit[w.Worker] -= n
		ms = append(ms, Move{w.Worker, int(n)})
	}
	return ms
}

// Moved tells how many streams a worker has handed over when it was asked. One that had
// none is not asked again for 30 s: its calls cannot be resumed, or have moved already.
func (r *Rebalancer) Moved(now time.Duration, worker any, moved int) {
	if _, known := r.mean[worker]; known && moved == 0 {
		r.rests[worker] = now + restFor
	}
}

// Moving reports whether streams are being moved.
func (r *Rebalancer) Moving() bool { return r.state == moving }
