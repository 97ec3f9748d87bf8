package workers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A RebalanceConfig says whether and how a registry moves streams that run from full
// workers to emptier ones: after workers were added, streams that last for hours would
// otherwise stay where they are. It is off by default, since a stream that moves costs what
// its worker keeps for it, as the cache of a model. Only resumable streams move, and each
// worker bounds how many (see docs/routing.md). Zero fields take their defaults.
type RebalanceConfig struct {
	// Enabled turns moving on. Default: off.
	Enabled bool
	// Spread is by how much the utilisations of two workers may differ: calls in flight
	// by capacity, above 0 and at most 1. Moving begins above it, and ends at half of it.
	// Default 0.2.
	Spread float64
	// After is how long they must differ before streams move, at least 1 s. Default 10 s.
	After time.Duration
	// Rate is the share of its calls that a worker is asked to hand over in a second, above
	// 0 and at most 0.015, nine tenths in a minute, which is what workers allow. Default
	// 0.015.
	Rate float64
	// Selectors are groups of workers within which streams move. A selector names workers
	// each of which suits every stream on any of the others, as those of one model:
	// "model=a". The registry does not know what a stream has asked for. The selector of the
	// call decides where it goes on, so calls that only one group suits must name it.
	// Default: all its workers are one group.
	Selectors []string
}

// withDefaults returns a copy of c with defaults in place of its zero fields.
func (c RebalanceConfig) withDefaults() RebalanceConfig {
	c.Spread = cmp.Or(c.Spread, 0.2)
	c.After = cmp.Or(c.After, 10*time.Second)
	c.Rate = cmp.Or(c.Rate, load.HandoverRate)
	c.Selectors = slices.Clone(c.Selectors)
	if len(c.Selectors) == 0 {
		c.Selectors = []string{""}
	}
	return c
}

// validate returns what is wrong with a config that has its defaults.
func (c RebalanceConfig) validate() error {
	// Written so that NaN is refused.
	switch {
	case !(c.Spread > 0 && c.Spread <= 1):
		return fmt.Errorf("workers: RegistryConfig.Rebalance.Spread is %v, want above 0 and at most 1", c.Spread)
	case c.After < time.Second:
		return fmt.Errorf("workers: RegistryConfig.Rebalance.After is %v, want 1s or more", c.After)
	case !(c.Rate > 0 && c.Rate <= load.HandoverRate):
		return fmt.Errorf("workers: RegistryConfig.Rebalance.Rate is %v, want above 0 and at most %v", c.Rate, load.HandoverRate)
	}
	for _, s := range c.Selectors {
		if _, err := cluster.ParseSelector(s); err != nil {
			return fmt.Errorf("workers: RegistryConfig.Rebalance.Selectors: %w", err)
		}
	}
	return nil
}

const (
	// rebalanceEvery is the time between two looks at the workers.
	rebalanceEvery = time.Second
	// handoverTimeout is how long a worker may take to answer.
	handoverTimeout = 2 * time.Second
)

// A rebalancer asks full workers of a registry to hand streams over. Of several registries
// each asks, and each worker listens to one at a time. The registry's mu guards groups and
// moved; the rest never changes.
type rebalancer struct {
	registry  *Registry
	selectors []cluster.Selector
	tellMoved func(streams int)    // cluster.Metrics.StreamsMoved
	clock     func() time.Duration // the registry's; tests replace it
	timeout   time.Duration        // handoverTimeout; tests replace it

	groups map[rebalanceGroup]*load.Rebalancer
	moved  map[*worker]int // streams that each has handed over
}

// A rebalanceGroup is a part of the workers that are compared: those that one selector
// names, of one zone, since a worker elsewhere counts as fuller to those who choose.
type rebalanceGroup struct {
	selector int
	penalty  float64
}

// newRebalancer returns the rebalancer of a registry, nil if it moves nothing. The
// registry's config has been checked.
func newRebalancer(r *Registry) *rebalancer {
	if !r.cfg.Rebalance.Enabled {
		return nil
	}
	b := &rebalancer{registry: r, clock: r.now, timeout: handoverTimeout, tellMoved: func(int) {}, groups: map[rebalanceGroup]*load.Rebalancer{}, moved: map[*worker]int{}}
	for _, text := range r.cfg.Rebalance.Selectors {
		s, _ := cluster.ParseSelector(text) // validate has parsed it
		b.selectors = append(b.selectors, s)
	}
	return b
}

// run looks at the workers once a second until the registry ends. On the smaller side of a
// partition it does not, if the node assigns nothing there: what it sees is not all.
func (b *rebalancer) run() {
	t := time.NewTicker(rebalanceEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if b.registry.node.Assigns() {
				b.look()
			}
		case <-b.registry.ctx.Done():
			return
		}
	}
}

// look plans once, and asks the workers that are to hand streams over. It does not wait
// for their answers: those that come later than the next look count there.
func (b *rebalancer) look() {
	r := b.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	now := b.clock()
	for w := range b.moved {
		if r.table.workers[w.id] != w {
			delete(b.moved, w)
		}
	}
	fillings := b.fillings()
	// A group without workers is forgotten: those of a zone that is gone.
	for g := range b.groups {
		if fillings[g] == nil {
			delete(b.groups, g)
		}
	}
	for g, ws := range fillings {
		plan := b.groups[g]
		if plan == nil {
			c := &r.cfg.Rebalance
			plan = load.NewRebalancer(load.RebalanceRule{Spread: c.Spread, After: c.After, Rate: c.Rate})
			b.groups[g] = plan
		}
		was := plan.Moving()
		moves := plan.Plan(now, ws)
		// One line when it begins and one when it ends, however many move between.
		if is := plan.Moving(); is != was {
			r.cfg.Logger.Info("streams move from full workers to emptier ones", "moving", is, "workers", len(ws))
		}
		// The answers take a round trip, and the registry's lock is held here.
		for _, m := range moves {
			w := m.Worker.(*worker)
			conn, req := w.conn, handoverRequest{w.load.Balancer, m.Calls}
			r.work.Go(func() { b.ask(plan, w, conn, req) })
		}
	}
}

// fillings returns the workers of each group that can be chosen without reserve. Those
// that drain, are ejected or come back are no measure for the others. The caller holds mu.
func (b *rebalancer) fillings() map[rebalanceGroup][]load.Filling {
	// What a worker that starts slowly counts with is less than its capacity: it would
	// look full.
	t, now := &b.registry.table, b.registry.now()
	all := map[rebalanceGroup][]load.Filling{}
	for _, w := range t.workers {
		if load.StatusOf(now, w.load, false) != load.StatusCandidate || w.load.Weight > 0 && w.load.Weight < 1 {
			continue
		}
		// Calls under way to the worker count, as they do for each choice.
		f := load.Filling{Worker: w, Calls: t.pool.Estimate(now, w.load), Capacity: t.pool.Capacity(w.load)}
		for i, s := range b.selectors {
			if f.Capacity > 0 && s.Matches(w.member.Tags) {
				g := rebalanceGroup{i, w.load.Penalty}
				all[g] = append(all[g], f)
			}
		}
	}
	return all
}

// ask asks one worker, on a goroutine of its own, and notes what came of it. One that cannot be asked, that listens to
// another registry or that has nothing to hand over is left alone for a while.
func (b *rebalancer) ask(plan *load.Rebalancer, w *worker, conn *rpcnet.Conn, req handoverRequest) {
	// The connection of the reports serves for this too: no worker is dialled for it.
	r := b.registry
	ctx, cancel := context.WithTimeout(r.ctx, b.timeout)
	defer cancel()
	a, err := handover(ctx, conn, req)
	a.moved = min(a.moved, req.streams) // whatever it says
	// The count of a worker that is gone meanwhile is gone with it.
	r.mu.Lock()
	name := w.member.Name
	// None is the answer of a worker, too, that could not be asked.
	plan.Moved(b.clock(), w, a.moved)
	if r.table.workers[w.id] == w {
		b.moved[w] += a.moved
	}
	r.mu.Unlock()
	switch {
	case r.ctx.Err() != nil: // the registry ends: that is no failure of the worker's
	case err != nil:
		r.lines.Log(slog.LevelInfo, "handover", "a worker cannot be asked to hand streams over", "worker", name, "err", loglimit.Cut(err.Error()))
	case a.moved > 0:
		b.tellMoved(a.moved)
		r.cfg.Logger.Debug("a worker hands streams over", "worker", name, "asked", req.streams, "streams", a.moved)
	}
}
