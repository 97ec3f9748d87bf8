package load

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// ZonePenalty is what a worker in another zone than the balancer's costs: it is
// taken when the local ones are fuller by a quarter of their capacity.
const ZonePenalty = 0.25

// MaxCapacityRatio is how many times the median of all declared capacities one of
// them counts at most: eight, as a machine with eight of what the others have one
// of. So no worker takes all calls by declaring that it can. Of two workers the
// lower capacity is the median. A worker that is alone counts in full.
const MaxCapacityRatio = 8

// capacities are the declared capacities of all workers, as a sorted list of the
// different ones with how often each is declared. Workers declare few different
// ones, so a change is cheap, and the median is never out of date.
type capacities struct {
	steps []capacityStep // by value
	count int            // how many workers declare one

	median float64 // what a worker counts with that declares none
	most   float64 // what a declared one counts at most
}

// A capacityStep is one declared capacity and how many workers declare it.
type capacityStep struct {
	value uint32
	count int
}

// add counts n more workers that declare c; n can be negative. It does nothing for
// the capacity 0, which declares none.
func (cs *capacities) add(c uint32, n int) {
	if c == 0 {
		return
	}
	i, found := slices.BinarySearchFunc(cs.steps, c, func(s capacityStep, c uint32) int { return cmp.Compare(s.value, c) })
	if !found {
		cs.steps = slices.Insert(cs.steps, i, capacityStep{value: c})
	}
	cs.steps[i].count += n
	cs.count += n
	if cs.steps[i].count == 0 {
		cs.steps = slices.Delete(cs.steps, i, i+1)
	}
	cs.derive()
}

// derive computes the median: the lower of two in the middle, 1 if none is declared.
func (cs *capacities) derive() {
	cs.median = 1
	for left, i := (cs.count-1)/2, 0; i < len(cs.steps); i++ {
		if left -= cs.steps[i].count; left < 0 {
			cs.median = float64(cs.steps[i].value)
			break
		}
	}
	cs.most = MaxCapacityRatio * cs.median
}

// of returns what a worker counts with that declares c.
func (cs *capacities) of(c uint32) float64 {
	if c > 0 {
		return min(float64(c), cs.most)
	}
	return cs.median
}

// largest returns the most that any worker counts with.
func (cs *capacities) largest() float64 {
	if len(cs.steps) == 0 {
		return cs.median
	}
	return cs.of(cs.steps[len(cs.steps)-1].value)
}

// SlowStart returns the share of its capacity that a worker counts with at an
// age below window, from 0.1 to 1, growing as (age/window)^(1/aggression) as in
// Envoy. A window of 0 turns it off; an aggression of 0 is 1, a straight line.
func SlowStart(age, window time.Duration, aggression float64) float64 {
	if window <= 0 || age >= window {
		return 1
	}
	if aggression <= 0 {
		aggression = 1
	}
	return max(0.1, math.Pow(float64(max(age, 0))/float64(window), 1/aggression))
}
