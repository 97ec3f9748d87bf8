package phi_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// A model says by how much the heartbeat sent at an instant is late when it
// arrives. Heartbeats travel on one TCP connection: none overtakes another.
type model func(r *rand.Rand, interval time.Duration) func(sent time.Duration) (delay time.Duration)

// noise is the jitter of a quiet network and an idle scheduler.
func noise(r *rand.Rand) time.Duration {
	return time.Duration(math.Abs(r.NormFloat64()) * float64(ms))
}

// The five models: a quiet network; garbage collection, 0.5 % of heartbeats held
// back 20 to 120 ms; loss, 0.1 % of segments sent again after 205 ms; the
// sender's world stopped for 100 to 250 ms once a minute, just as a heartbeat is
// due; a busy sender whose heartbeats are late by a lognormal time with a
// deviation of about 50 ms, at most 450, where a Go process that allocates all the
// time was measured to have a deviation of 50 ms and 296 ms at most.
var models = []struct {
	name string
	model
	// most avoidances and suspicions an hour that pass, at 50 ms, and the
	// least avoidances: a model that never hurts would prove nothing.
	leastAvoid, mostAvoid, mostSuspect float64
}{
	{"quiet", func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return noise(r) }
	}, 0, 0, 0},
	{"gc", func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration {
			if r.Float64() < 0.005 {
				return 20*ms + time.Duration(r.Int64N(int64(100*ms)))
			}
			return noise(r)
		}
	}, 0, 0, 0},
	{"loss", func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration {
			if r.Float64() < 0.001 {
				return 205*ms + noise(r)
			}
			return noise(r)
		}
	}, 0, 0, 0},
	{"stop-the-world", func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		next, until := time.Duration(r.Int64N(int64(time.Minute))), time.Duration(0)
		return func(sent time.Duration) time.Duration {
			for sent >= next {
				until = sent + 100*ms + time.Duration(r.Int64N(int64(150*ms)))
				next += time.Duration((0.5 + r.Float64()) * float64(time.Minute))
			}
			return max(until-sent, 0) + noise(r)
		}
	}, 1, 15, 0},
	{"busy", func(r *rand.Rand, _ time.Duration) func(time.Duration) time.Duration {
		const median, sigma = 0.025, 0.98
		return func(time.Duration) time.Duration {
			return min(time.Duration(median*math.Exp(sigma*r.NormFloat64())*float64(time.Second)), 450*ms)
		}
	}, 60, 250, 0},
}

// simulate lets a peer send for so long and counts how often it is late and
// suspect although it lives, and the mean deadlines.
func simulate(t *testing.T, m model, interval, length time.Duration, seed uint64) (avoided, suspected int, avoid, suspect time.Duration) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	d, err := phi.NewDetector(phi.Config{Interval: interval}, 0)
	if err != nil {
		t.Fatal(err)
	}
	delay := m(r, interval)
	var arrived time.Duration
	n := 0
	for sent := interval; sent < length; sent += interval {
		at := max(arrived, sent+delay(sent))
		if at > d.SuspectAt() {
			suspected++
		}
		if at > d.AvoidAt() {
			avoided++
		}
		d.Heartbeat(at)
		arrived = at
		avoid += d.AvoidAt() - at
		suspect += d.SuspectAt() - at
		n++
	}
	return avoided, suspected, avoid / time.Duration(n), suspect / time.Duration(n)
}

func TestFalseSuspicionsInFiveModelsOfJitter(t *testing.T) {
	t.Parallel()
	const hours = 10
	for _, m := range models {
		for _, interval := range []time.Duration{50 * ms, 100 * ms} {
			a, s, da, ds := simulate(t, m.model, interval, hours*time.Hour, 7)
			avoid, suspect := float64(a)/hours, float64(s)/hours
			t.Logf("%-15s every %v: %5.1f avoided and %4.2f suspected an hour; deadlines %v and %v",
				m.name, interval, avoid, suspect, da.Round(ms), ds.Round(ms))
			if interval != 50*ms {
				if suspect > m.mostSuspect {
					t.Errorf("%s every %v: %v suspicions an hour", m.name, interval, suspect)
				}
				continue
			}
			if avoid < m.leastAvoid || avoid > m.mostAvoid {
				t.Errorf("%s: %v avoidances an hour, want %v to %v", m.name, avoid, m.leastAvoid, m.mostAvoid)
			}
			if suspect > m.mostSuspect {
				t.Errorf("%s: %v suspicions an hour, want at most %v", m.name, suspect, m.mostSuspect)
			}
		}
	}
}
