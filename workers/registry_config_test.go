package workers

import (
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/phi"
)

func TestARegistrysConfigIsCheckedAndTellsTheField(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  RegistryConfig
		want []string
	}{
		{RegistryConfig{}, nil},
		{RegistryConfig{HealthCheckInterval: 5 * time.Millisecond}, nil},
		{RegistryConfig{HealthCheckInterval: time.Minute}, []string{"RegistryConfig.HealthCheckInterval", "1m0s, want 5ms to 10s"}},
		{RegistryConfig{HealthCheckInterval: -1}, []string{"RegistryConfig.HealthCheckInterval"}},
		{RegistryConfig{Phi: PhiConfig{Threshold: -1}}, []string{"RegistryConfig.Phi", "Threshold"}},
		{RegistryConfig{Phi: PhiConfig{AvoidPause: time.Second}}, []string{"RegistryConfig.Phi", "SuspectPause", "AvoidPause"}},
		{RegistryConfig{SlowStart: -1}, []string{"RegistryConfig.SlowStart"}},
		{RegistryConfig{Selector: "a in b"}, []string{"a in b"}},
	} {
		r, err := newRegistry(nil, NewStaticMembers(), &c.cfg)
		if err == nil {
			r.Close()
		}
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c.cfg, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v does not say %q", c.cfg, err, w)
			}
		}
	}
}

// TestPhiConfigSetsEveryFieldOfTheDetector: a field that is forgotten would keep its
// default for ever.
func TestPhiConfigSetsEveryFieldOfTheDetector(t *testing.T) {
	t.Parallel()
	got := PhiConfig{
		Window: 1, MinStdDev: 2, Threshold: 3, AvoidPause: 4, SuspectPause: 5, StartPause: 6, StartSamples: 7,
		RecoverAfter: 8, MinSuspicion: 9, SlowStart: 10, HoldDown: 11, MaxHoldDown: 12,
	}.detector(13)
	want := phi.Config{
		Window: 1, MinStdDev: 2, Threshold: 3, AvoidPause: 4, SuspectPause: 5, StartPause: 6, StartSamples: 7,
		RecoverAfter: 8, MinSuspicion: 9, SlowStart: 10, HoldDown: 11, MaxHoldDown: 12, Interval: 13,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
