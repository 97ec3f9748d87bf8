package phi

import "math"

// asymptotic is where [Level] leaves math.Erfc, which underflows at about 37.5
// standard deviations, for the tail's asymptotic series.
const asymptotic = 20

// Level returns the suspicion level of an arrival that is late by z standard
// deviations: -log10 Q(z), where Q(z) = erfc(z/√2)/2 is the upper tail of the
// normal distribution. Level(0) is 0.301, Level(5.612) is 8: one in 10⁸ on-time
// arrivals is later. The tail is taken from erfc and not as 1-cdf, which
// cancels and would cap the level at about 16. Beyond 20 deviations it is the
// asymptotic series of Abramowitz and Stegun 26.2.12, whose error there is
// below 10⁻⁸.
func Level(z float64) float64 {
	if z < asymptotic {
		return max(0, -math.Log10(0.5*math.Erfc(z/math.Sqrt2))) // 0, not -0
	}
	z2 := z * z
	series := 1 - 1/z2*(1-3/z2*(1-5/z2*(1-7/z2)))
	return (z2/2+math.Log(z*math.Sqrt(2*math.Pi)))/math.Ln10 - math.Log10(series)
}

// Quantile returns the lateness in standard deviations at which the suspicion
// level is phi: the inverse of [Level]. Quantile(8) is 5.612. It is NaN for
// levels that are not positive.
func Quantile(phi float64) float64 {
	if !(phi > 0) {
		return math.NaN()
	}
	if math.IsInf(phi, 1) {
		return phi
	}
	// Newton's method. Level is convex and rising, so that from any start the
	// second step is at or above the root and the rest come down to it.
	z := math.Sqrt(2 * math.Ln10 * phi)
	for range 60 {
		step := (Level(z) - phi) / slope(z)
		z -= step
		if math.Abs(step) <= 1e-13*math.Max(1, math.Abs(z)) {
			break
		}
	}
	return z
}

// slope is the derivative of Level at z: density(z) / (Q(z) ln 10).
func slope(z float64) float64 {
	logDensity := -z*z/2 - math.Log(2*math.Pi)/2
	return math.Exp(logDensity+Level(z)*math.Ln10) / math.Ln10
}
