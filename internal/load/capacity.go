package load

import (
	"math"
	"slices"
	"time"
)

// ZonePenalty is what a worker in another zone than the balancer's costs: it is
// taken when the local ones are fuller by a quarter of their capacity.
const ZonePenalty = 0.25

// median returns the capacity to assume for workers that declare none: the
// median of the declared ones, the lower of two in the middle, 1 if there are
// none. It sorts declared.
func median(declared []float64) float64 {
	if len(declared) == 0 {
		return 1
	}
	slices.Sort(declared)
	return declared[(len(declared)-1)/2]
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
