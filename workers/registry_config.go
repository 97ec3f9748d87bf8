package workers

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/phi"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A RegistryConfig says which nodes are workers and how one is chosen. Zero
// fields take their defaults.
type RegistryConfig struct {
	// Strategy chooses among the workers. Default balance.LeastConnections.
	Strategy balance.Strategy
	// Selector says which nodes are workers. Default "role=worker".
	Selector string
	// Zone is the balancer's zone: workers whose tag "zone" is another count as
	// fuller by a quarter of their capacity. Default: the node's own tag "zone"; with
	// neither, zones do not matter.
	Zone string
	// SlowStart is how long a worker that is new takes, from its first report, to
	// count with its full capacity; it begins with a tenth of it. Default 0: at
	// once. Its load is known from its first report, so it is not flooded.
	SlowStart time.Duration
	// HealthCheckInterval is the heartbeat asked of workers, 5 ms to 10 s. Default
	// by the number of workers watched: 50 ms up to 200, 100 ms up to 1 000, 250 ms
	// up to 2 000, then 500 ms.
	HealthCheckInterval time.Duration
	// Phi tunes the detector that judges those heartbeats.
	Phi PhiConfig
	// Rebalance moves streams that run from full workers to emptier ones. Default: off.
	Rebalance RebalanceConfig
	// Logger receives what happens to workers. Default slog.Default.
	Logger *slog.Logger
}

// A PhiConfig tunes the phi accrual failure detector that judges the heartbeats
// of a worker (Hayashibara and others, SRDS 2004). Zero fields take their
// defaults.
type PhiConfig struct {
	// Window is how many intervals between heartbeats the mean and the deviation
	// are taken over, 2 to 100 000. Default 200: 10 s at 50 ms.
	Window int
	// MinStdDev is the least standard deviation that is assumed, so that a quiet
	// network does not make the detector nervous. At least 1 ms. Default 20 ms.
	MinStdDev time.Duration
	// Threshold is the suspicion level that counts as late, 1 to 100. Default 8:
	// one heartbeat in 10⁸ would be later by chance, if intervals were normal.
	Threshold float64
	// AvoidPause is added to the mean before a worker is late: the last to be
	// chosen. Default 125 ms: about 290 ms without a heartbeat.
	AvoidPause time.Duration
	// SuspectPause is added to the mean before a worker is suspected: not chosen.
	// Not below AvoidPause. Default 300 ms: about 465 ms without a heartbeat.
	SuspectPause time.Duration
	// StartPause is the least of both pauses until StartSamples heartbeats have
	// arrived. Default 1 s.
	StartPause time.Duration
	// StartSamples is how many heartbeats end the start. Default 20.
	StartSamples int
	// RecoverAfter is how many heartbeats in time end a suspicion. Default 3.
	RecoverAfter int
	// MinSuspicion is the least time a suspicion lasts. Default 150 ms.
	MinSuspicion time.Duration
	// SlowStart is how long a worker that was suspected needs to count with its
	// full capacity again, starting from a quarter. Default 2 s.
	SlowStart time.Duration
	// HoldDown is the first of the waits before a worker with more than 3
	// suspicions in a minute is taken back. It doubles with each further suspicion
	// up to MaxHoldDown. Default 500 ms.
	HoldDown time.Duration
	// MaxHoldDown is the longest of these waits. Not below HoldDown. Default 30 s.
	MaxHoldDown time.Duration
}

// detector returns the settings of the detector for heartbeats that come every
// interval; 0 is 50 ms.
func (c PhiConfig) detector(interval time.Duration) phi.Config {
	return phi.Config{
		Interval: interval, Window: c.Window, MinStdDev: c.MinStdDev, Threshold: c.Threshold,
		AvoidPause: c.AvoidPause, SuspectPause: c.SuspectPause, StartPause: c.StartPause, StartSamples: c.StartSamples,
		RecoverAfter: c.RecoverAfter, MinSuspicion: c.MinSuspicion, SlowStart: c.SlowStart,
		HoldDown: c.HoldDown, MaxHoldDown: c.MaxHoldDown,
	}
}

// withDefaults returns a copy of c with defaults in place of its zero fields; c may
// be nil.
func (c *RegistryConfig) withDefaults() RegistryConfig {
	cfg := *cmp.Or(c, new(RegistryConfig))
	cfg.Selector = cmp.Or(cfg.Selector, "role=worker")
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	cfg.Rebalance = cfg.Rebalance.withDefaults()
	return cfg
}

// validate returns what is wrong with a config that has its defaults.
func (c *RegistryConfig) validate() error {
	if c.SlowStart < 0 {
		return fmt.Errorf("workers: RegistryConfig.SlowStart is %v, want 0 or more", c.SlowStart)
	}
	if d := c.HealthCheckInterval; d != 0 && (d < 5*time.Millisecond || d > 10*time.Second) {
		return fmt.Errorf("workers: RegistryConfig.HealthCheckInterval is %v, want 5ms to 10s", d)
	}
	if _, err := phi.NewDetector(c.Phi.detector(c.HealthCheckInterval), 0); err != nil {
		return fmt.Errorf("workers: RegistryConfig.Phi: %w", err)
	}
	return c.Rebalance.validate()
}
