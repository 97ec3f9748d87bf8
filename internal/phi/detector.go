package phi

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// A Config sets up a [Detector] and a [Monitor]. Zero fields take their
// defaults.
type Config struct {
	// Interval is the nominal time between two heartbeats, as the sender
	// announces it. Default 50 ms. It is the estimate before the first samples.
	Interval time.Duration
	// Window is how many intervals the mean and the deviation are taken over.
	// Default 200: 10 s at 50 ms.
	Window int
	// MinStdDev is the least standard deviation that is assumed, so that a
	// quiet network does not make the detector nervous. Default 20 ms.
	MinStdDev time.Duration
	// Threshold is the suspicion level that counts as late. Default 8: one
	// heartbeat in 10⁸ would be later by chance, if intervals were normal.
	Threshold float64
	// AvoidPause is added to the mean for the first level, [StateLate]. Default
	// 125 ms: about 290 ms without a heartbeat. It covers one lost TCP segment
	// (a retransmission after 200 ms).
	AvoidPause time.Duration
	// SuspectPause is added to the mean for the second level, [StateSuspect].
	// Default 300 ms: about 465 ms without a heartbeat, 515 at 100 ms intervals.
	SuspectPause time.Duration
	// StartPause is the least of both pauses until StartSamples heartbeats
	// have arrived. Default 1 s.
	StartPause time.Duration
	// StartSamples is how many heartbeats end the start. Default 20.
	StartSamples int

	// RecoverAfter is how many heartbeats in time end a suspicion. Default 3.
	RecoverAfter int
	// MinSuspicion is the least time a suspicion lasts. Default 150 ms.
	MinSuspicion time.Duration
	// SlowStart is how long a recovered peer needs to reach its full weight
	// again, starting from a quarter. Default 2 s.
	SlowStart time.Duration
	// HoldDown is the first of the waits before a peer that flaps (more than 3
	// suspicions in a minute) is taken back; it doubles with each further
	// suspicion up to MaxHoldDown. Defaults 500 ms and 30 s.
	HoldDown, MaxHoldDown time.Duration
}

// withDefaults returns c with its zero fields replaced, or what is wrong.
func (c Config) withDefaults() (Config, error) {
	c.Interval = cmp.Or(c.Interval, 50*time.Millisecond)
	c.Window = cmp.Or(c.Window, 200)
	c.MinStdDev = cmp.Or(c.MinStdDev, 20*time.Millisecond)
	c.Threshold = cmp.Or(c.Threshold, 8)
	c.AvoidPause = cmp.Or(c.AvoidPause, 125*time.Millisecond)
	c.SuspectPause = cmp.Or(c.SuspectPause, 300*time.Millisecond)
	c.StartPause = cmp.Or(c.StartPause, time.Second)
	c.StartSamples = cmp.Or(c.StartSamples, 20)
	c.RecoverAfter = cmp.Or(c.RecoverAfter, 3)
	c.MinSuspicion = cmp.Or(c.MinSuspicion, 150*time.Millisecond)
	c.SlowStart = cmp.Or(c.SlowStart, 2*time.Second)
	c.HoldDown = cmp.Or(c.HoldDown, 500*time.Millisecond)
	c.MaxHoldDown = cmp.Or(c.MaxHoldDown, 30*time.Second)
	switch {
	case c.Interval < 0 || c.Interval > time.Minute:
		return c, fmt.Errorf("phi: Interval %v must be between 0 and 1m", c.Interval)
	case c.Window < 2 || c.Window > 100_000:
		return c, fmt.Errorf("phi: Window %d must be between 2 and 100000", c.Window)
	case c.MinStdDev < time.Millisecond:
		return c, fmt.Errorf("phi: MinStdDev %v must be at least 1ms", c.MinStdDev)
	case !(c.Threshold >= 1 && c.Threshold <= 100):
		return c, fmt.Errorf("phi: Threshold %v must be between 1 and 100", c.Threshold)
	case c.AvoidPause < 0:
		return c, fmt.Errorf("phi: AvoidPause %v must not be negative", c.AvoidPause)
	case c.SuspectPause < c.AvoidPause:
		return c, fmt.Errorf("phi: SuspectPause %v must not be below AvoidPause %v", c.SuspectPause, c.AvoidPause)
	case c.StartPause < 0 || c.StartSamples < 0 || c.RecoverAfter < 0 || c.MinSuspicion < 0 || c.SlowStart < 0:
		return c, fmt.Errorf("phi: StartPause, StartSamples, RecoverAfter, MinSuspicion and SlowStart must not be negative")
	case c.HoldDown < 0 || c.MaxHoldDown < c.HoldDown:
		return c, fmt.Errorf("phi: MaxHoldDown %v must not be below HoldDown %v", c.MaxHoldDown, c.HoldDown)
	}
	return c, nil
}

// A Detector turns the arrival times of one peer's heartbeats into a suspicion
// level and into the deadlines at which the level reaches the threshold, so
// that a caller compares a deadline with its clock instead of computing a level.
//
// Instants are durations since an origin of the caller's choice, the same for
// all calls, from a monotonic clock. A Detector is not safe for concurrent use.
// Its memory is 8 bytes per sample of the window; a heartbeat costs O(1).
type Detector struct {
	cfg Config
	z   float64 // Quantile(cfg.Threshold)

	ring  []float64 // intervals, seconds
	next  int       // where the next one goes
	sum   float64
	sum2  float64
	fresh int // additions since the sums were last computed anew

	beats int           // heartbeats since Reset
	last  time.Duration // last sign of life
	beat  time.Duration // last heartbeat
}

// NewDetector returns a detector that has seen nothing: its deadlines count
// from at.
func NewDetector(cfg Config, at time.Duration) (*Detector, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Detector{cfg: cfg, z: Quantile(cfg.Threshold), ring: make([]float64, 0, cfg.Window)}
	d.Reset(at)
	return d, nil
}

// Reset forgets everything, as for a peer that restarted.
func (d *Detector) Reset(at time.Duration) {
	d.ring, d.next, d.sum, d.sum2, d.fresh, d.beats = d.ring[:0], 0, 0, 0, 0, 0
	d.last, d.beat = at, at
	// Two samples a quarter off the nominal interval: a mean and a deviation
	// before there are any (as Akka starts).
	n := d.cfg.Interval.Seconds()
	d.add(n * 0.75)
	d.add(n * 1.25)
}

// SetInterval changes the nominal interval, when the sender announces another,
// and forgets the samples of the old one. It keeps the time of the last sign of
// life.
func (d *Detector) SetInterval(interval time.Duration) {
	if interval <= 0 || interval == d.cfg.Interval {
		return
	}
	d.cfg.Interval = interval
	last, beat := d.last, d.beat
	d.Reset(0)
	d.last, d.beat = last, beat
}

// Heartbeat records that a heartbeat arrived at the given instant. An interval
// that reaches past the suspect deadline is an outage, not a sample: it counts
// as a sign of life but does not widen the window.
func (d *Detector) Heartbeat(at time.Duration) {
	if at < d.beat {
		at = d.beat
	}
	if gap := at - d.beat; d.beats > 0 && gap <= d.SuspectAt()-d.last {
		d.add(gap.Seconds())
	}
	d.beats++
	d.beat = at
	d.last = max(d.last, at)
}

// Touch records that something else arrived from the peer: it lives, but the
// arrival says nothing about the rhythm of heartbeats.
func (d *Detector) Touch(at time.Duration) { d.last = max(d.last, at) }

// Shift moves the record by the time the caller itself was not able to listen:
// what it could not hear must not count against the peer.
func (d *Detector) Shift(by time.Duration) {
	d.last += by
	d.beat += by
}

// add puts an interval of x seconds into the window.
func (d *Detector) add(x float64) {
	if len(d.ring) < d.cfg.Window {
		d.ring = append(d.ring, x)
	} else {
		old := d.ring[d.next]
		d.sum -= old
		d.sum2 -= old * old
		d.ring[d.next] = x
	}
	d.next = (d.next + 1) % d.cfg.Window
	d.sum += x
	d.sum2 += x * x
	// Running sums drift; compute them anew once per window.
	if d.fresh++; d.fresh >= d.cfg.Window {
		d.fresh, d.sum, d.sum2 = 0, 0, 0
		for _, x := range d.ring {
			d.sum += x
			d.sum2 += x * x
		}
	}
}

// mean returns the mean interval in seconds.
func (d *Detector) mean() float64 { return d.sum / float64(len(d.ring)) }

// deviation returns the standard deviation in seconds, at least the configured one.
func (d *Detector) deviation() float64 {
	m := d.mean()
	v := d.sum2/float64(len(d.ring)) - m*m
	return max(math.Sqrt(max(v, 0)), d.cfg.MinStdDev.Seconds())
}

// pause returns the pause of a level: longer while few heartbeats have arrived.
func (d *Detector) pause(p time.Duration) time.Duration {
	if d.beats < d.cfg.StartSamples {
		return max(p, d.cfg.StartPause)
	}
	return p
}

// deadline returns when the level with this pause reaches the threshold.
func (d *Detector) deadline(pause time.Duration) time.Duration {
	late := d.mean() + d.z*d.deviation()
	return d.last + d.pause(pause) + time.Duration(late*float64(time.Second))
}

// AvoidAt returns the instant at which the peer becomes [StateLate] if nothing
// arrives before: last + mean + pause + z(Threshold)·deviation.
func (d *Detector) AvoidAt() time.Duration { return d.deadline(d.cfg.AvoidPause) }

// SuspectAt returns the instant at which the peer becomes [StateSuspect] if nothing
// arrives before.
func (d *Detector) SuspectAt() time.Duration { return d.deadline(d.cfg.SuspectPause) }

// Phi returns the suspicion level at the given instant, with the pause of the
// first level: it reaches the threshold at [Detector.AvoidAt].
func (d *Detector) Phi(at time.Duration) float64 {
	late := (at - d.last - d.pause(d.cfg.AvoidPause)).Seconds() - d.mean()
	return Level(late / d.deviation())
}

// Last returns the instant of the last sign of life.
func (d *Detector) Last() time.Duration { return d.last }

// Beat returns the instant of the last heartbeat, later by what [Detector.Shift]
// has added; before the first, that of the last [Detector.Reset].
func (d *Detector) Beat() time.Duration { return d.beat }

// Mean returns the mean interval of the window.
func (d *Detector) Mean() time.Duration { return time.Duration(d.mean() * float64(time.Second)) }

// StdDev returns the standard deviation of the window, at least MinStdDev.
func (d *Detector) StdDev() time.Duration {
	return time.Duration(d.deviation() * float64(time.Second))
}

// Samples returns how many heartbeats have arrived since the last [Detector.Reset].
func (d *Detector) Samples() int { return d.beats }
