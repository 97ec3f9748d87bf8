package routesim

import (
	"math"
	"math/rand/v2"
	"sort"
	"sync"
)

// secondsPerToken is how long a token takes at speed 1.
const secondsPerToken = 0.025

// draw returns the work of one call in seconds at speed 1.
func (s *sim) draw() float64 { return drawWork(s.work, s.cfg.Calls) }

// drawWork returns the work of a call, log-normal, or of a stream, bounded Pareto: most
// streams are short, and a few long ones hold most of the work.
func drawWork(r *rand.Rand, calls bool) float64 {
	if calls {
		const mean, sigma = 0.020, 1.2
		return mean * math.Exp(sigma*r.NormFloat64()-sigma*sigma/2)
	}
	// By the inverse of the distribution function.
	const a, low, high = 1.3, 20.0, 4096.0 // bounded Pareto
	u := r.Float64()
	l, h := math.Pow(low, a), math.Pow(high, a)
	return secondsPerToken * math.Pow(-(u*h-u*l-h)/(h*l), -1/a)
}

// meanWork returns the mean of draw, from which follows how many calls a second make the
// configured load.
func (s *sim) meanWork() float64 {
	if s.cfg.Calls {
		return 0.020
	}
	return meanStream()
}

// meanStream returns the mean work of a stream. It is measured, once, with a source of
// its own, so that the arrival rate does not depend on the seed.
var meanStream = sync.OnceValue(func() float64 {
	r := rand.New(rand.NewPCG(1, 2))
	sum := 0.0
	const n = 1_000_000
	for range n {
		sum += drawWork(r, false)
	}
	return sum / n
})

// session draws a session from a Zipf distribution with exponent 0.9: a few sessions make
// most of the calls, as of users.
func (s *sim) session() int {
	if s.zipf == nil { // the cumulative weights, once
		sum := 0.0
		for i := range s.cfg.Sticky {
			sum += math.Pow(float64(i+1), -0.9)
			s.zipf = append(s.zipf, sum)
		}
	}
	return sort.SearchFloat64s(s.zipf, s.work.Float64()*s.zipf[len(s.zipf)-1])
}
