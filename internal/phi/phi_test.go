package phi_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/phi"
)

const ms = time.Millisecond

// tail holds exact values, computed with 50 digits: the level of a lateness of z
// standard deviations.
var tail = []struct{ z, phi float64 }{
	{-3, 0.00058664931379006669}, {-1, 0.075026012957818023}, {0, 0.30102999566398120}, {0.5, 0.51069198926524077},
	{1, 0.79954554149197050}, {2, 1.6430160801409370}, {3, 2.8696990359293690}, {5, 6.5426456723906545},
	{6, 9.0058643274767042}, {7, 11.892853637475490}, {8, 15.206142551017155}, {10, 23.118053405486076},
	{13, 38.213449847627436}, {15, 50.435219614275511}, {19.9, 87.691511736828021}, {20, 88.560095343075592},
	{20.1, 89.433011196203709}, {25, 137.51474765099553}, {30, 197.30920926166195}, {37, 299.24218117860992},
	{38, 315.53978970396251}, {40, 349.43700645934584},
	{0.47827353237616267, 0.5}, {1.2815515655446005, 1}, {2.3263478740408411, 2}, {3.0902323061678135, 3},
	{4.2648907939228246, 5}, {5.6120012441747887, 8}, {6.3613409024040562, 10}, {7.0344838253011319, 12},
	{8.2220822161304356, 16}, {9.2623400897984076, 20}, {10.420452200803098, 25}, {11.464024688443616, 30},
	{13.310921371425171, 40}, {21.273453560965324, 100}, {37.047096299361199, 300},
}

func TestLevelIsTheExactTailOfTheNormalDistribution(t *testing.T) {
	t.Parallel()
	for _, v := range tail {
		if got := phi.Level(v.z); math.Abs(got-v.phi) > 1e-8*math.Max(1, v.phi) {
			t.Errorf("Level(%v) = %.12f, want %.12f", v.z, got, v.phi)
		}
		if v.phi < 0.1 {
			continue // flat: a digit of phi is many of z
		}
		if got := phi.Quantile(v.phi); math.Abs(got-v.z) > 1e-7*math.Max(1, math.Abs(v.z)) {
			t.Errorf("Quantile(%v) = %.12f, want %.12f", v.phi, got, v.z)
		}
	}
}

func TestLevelOfAnEarlyArrivalIsZeroWithoutASign(t *testing.T) {
	t.Parallel()
	if got := phi.Level(-40); got != 0 || math.Signbit(got) {
		t.Errorf("Level(-40) = %v", got)
	}
}

func TestLevelRisesWithoutABreak(t *testing.T) {
	t.Parallel()
	last := math.Inf(-1)
	for z := -6.0; z < 45; z += 0.001 {
		l := phi.Level(z)
		if !(l > last) {
			t.Fatalf("Level(%v) = %v, after %v", z, l, last)
		}
		last = l
	}
}

func TestQuantileIsTheInverseOfLevel(t *testing.T) {
	t.Parallel()
	for p := 0.05; p < 400; p *= 1.01 {
		if got := phi.Level(phi.Quantile(p)); math.Abs(got-p) > 1e-9*math.Max(1, p) {
			t.Errorf("Level(Quantile(%v)) = %v", p, got)
		}
	}
	for _, p := range []float64{0, -1, math.NaN()} {
		if !math.IsNaN(phi.Quantile(p)) {
			t.Errorf("Quantile(%v) = %v", p, phi.Quantile(p))
		}
	}
}

// steady returns a detector after n heartbeats exactly an interval apart, and
// the instant of the last.
func steady(t *testing.T, cfg phi.Config, n int) (*phi.Detector, time.Duration) {
	t.Helper()
	d, err := phi.NewDetector(cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	interval := cfg.Interval
	if interval == 0 {
		interval = 50 * ms
	}
	at := time.Duration(0)
	for range n {
		at += interval
		d.Heartbeat(at)
	}
	return d, at
}

func TestDeadlinesOfASteadyPeer(t *testing.T) {
	t.Parallel()
	// last + 50 ms + pause + 5.612·20 ms
	d, last := steady(t, phi.Config{}, 400)
	if got := d.AvoidAt() - last; got.Round(ms) != 287*ms {
		t.Errorf("avoid after %v, want 287ms", got)
	}
	if got := d.SuspectAt() - last; got.Round(ms) != 462*ms {
		t.Errorf("suspect after %v, want 462ms", got)
	}
	d, last = steady(t, phi.Config{Interval: 100 * ms}, 400)
	if got := d.SuspectAt() - last; got.Round(ms) != 512*ms {
		t.Errorf("suspect after %v at 100ms, want 512ms", got)
	}
}

func TestTheLevelReachesTheThresholdAtTheDeadline(t *testing.T) {
	t.Parallel()
	for _, threshold := range []float64{1, 3, 8, 12, 40} {
		d, _ := steady(t, phi.Config{Threshold: threshold}, 50)
		if got := d.Phi(d.AvoidAt()); math.Abs(got-threshold) > 1e-3*threshold {
			t.Errorf("threshold %v: level %v at the deadline", threshold, got)
		}
		if d.Phi(d.AvoidAt()-ms) >= threshold || d.Phi(d.AvoidAt()+ms) <= threshold {
			t.Errorf("threshold %v: the level does not cross it at the deadline", threshold)
		}
	}
}

func TestTheStartIsPatient(t *testing.T) {
	t.Parallel()
	d, last := steady(t, phi.Config{}, 19)
	if got := d.AvoidAt() - last; got < time.Second {
		t.Errorf("after 19 heartbeats: late after %v", got)
	}
	d, last = steady(t, phi.Config{}, 20)
	if got := d.AvoidAt() - last; got > 400*ms {
		t.Errorf("after 20 heartbeats: late after %v", got)
	}
	d, _ = steady(t, phi.Config{}, 0)
	if d.Mean() != 50*ms || d.StdDev() != 20*ms {
		t.Errorf("before any heartbeat: mean %v, deviation %v", d.Mean(), d.StdDev())
	}
}

func TestAnOutageDoesNotWidenTheWindow(t *testing.T) {
	t.Parallel()
	d, last := steady(t, phi.Config{}, 100)
	before := d.SuspectAt() - last
	at := last + 10*time.Second
	d.Heartbeat(at)
	if after := d.SuspectAt() - at; after != before {
		t.Errorf("deadline of %v became %v after an outage", before, after)
	}
	d.Heartbeat(at + 450*ms) // late, but a sample
	if after := d.SuspectAt() - at - 450*ms; after <= before {
		t.Errorf("deadline stayed %v after a late heartbeat", after)
	}
}

func TestOtherTrafficIsALifeSignAndNoSample(t *testing.T) {
	t.Parallel()
	d, last := steady(t, phi.Config{}, 100)
	mean, sd := d.Mean(), d.StdDev()
	for i := range 20 {
		d.Touch(last + time.Duration(i)*100*ms)
	}
	touched := last + 1900*ms
	if d.Last() != touched || d.AvoidAt() < touched+250*ms {
		t.Errorf("last %v, avoid at %v", d.Last(), d.AvoidAt())
	}
	d.Heartbeat(touched + 10*ms) // 1.9 s after the one before: no rhythm
	if d.Mean() != mean || d.StdDev() != sd {
		t.Errorf("mean %v, deviation %v after bulk", d.Mean(), d.StdDev())
	}
}

func TestTheWindowForgets(t *testing.T) {
	t.Parallel()
	d, at := steady(t, phi.Config{}, 300)
	for range 200 {
		at += 200 * ms
		d.Heartbeat(at)
	}
	if got := d.Mean(); (got - 200*ms).Abs() > ms {
		t.Errorf("mean %v after a whole window of 200ms", got)
	}
	d.SetInterval(100 * ms)
	if d.Mean() != 100*ms || d.Last() != at {
		t.Errorf("after SetInterval: mean %v, last %v", d.Mean(), d.Last())
	}
}

func TestRunningSumsDoNotDrift(t *testing.T) {
	t.Parallel()
	d, at := steady(t, phi.Config{MinStdDev: ms}, 0)
	for i := range 2_000_000 {
		at += time.Duration(30+i%41) * ms
		d.Heartbeat(at)
	}
	// The deviation of a uniform distribution over 30..70 ms is 11.83 ms.
	if got := d.StdDev().Seconds(); math.Abs(got-0.01183) > 2e-4 {
		t.Errorf("deviation %v after two million heartbeats", d.StdDev())
	}
}

func TestBadConfigsAreRefusedWithTheirNames(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]phi.Config{
		"Interval":     {Interval: -1},
		"Window":       {Window: 1},
		"MinStdDev":    {MinStdDev: time.Microsecond},
		"Threshold":    {Threshold: math.NaN()},
		"AvoidPause":   {AvoidPause: -1},
		"SuspectPause": {AvoidPause: time.Second},
		"MaxHoldDown":  {HoldDown: time.Minute},
		"SlowStart":    {SlowStart: -1},
	} {
		if _, err := phi.NewMonitor(cfg, 0); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	d, err := phi.NewDetector(phi.Config{}, 0)
	if err != nil {
		b.Fatal(err)
	}
	at, sum := time.Duration(0), time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		at += 50 * ms
		d.Heartbeat(at)
		sum += d.AvoidAt()
	}
	_ = sum
}

func ExampleDetector() {
	d, err := phi.NewDetector(phi.Config{Interval: 50 * time.Millisecond}, 0)
	if err != nil {
		panic(err)
	}
	var now time.Duration
	for range 100 {
		now += 50 * time.Millisecond
		d.Heartbeat(now)
	}
	fmt.Printf("late %v after the last heartbeat\n", (d.AvoidAt() - now).Round(time.Millisecond))
	for _, silence := range []time.Duration{100, 200, 300, 400} {
		fmt.Printf("phi after %d ms: %.1f\n", silence, d.Phi(now+silence*time.Millisecond))
	}
	// Output:
	// late 287ms after the last heartbeat
	// phi after 100 ms: 0.0
	// phi after 200 ms: 1.0
	// phi after 300 ms: 9.7
	// phi after 400 ms: 28.9
}
