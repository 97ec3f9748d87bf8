package routesim

import (
	"fmt"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A Gate is a bound that the production code must keep in a simulation.
type Gate struct {
	Name string // says what is bounded and by how much
	// Run returns what it has measured, as the mean over so many seeds, and
	// whether it is within the bound.
	Run func(seeds int) (measured string, ok bool)
}

// mean returns what most gates compare: the mean of a value over runs with different seeds. The seeds are
// fixed, so a gate measures the same on every machine.
func mean(seeds int, cfg Config, value func(Result) float64) float64 {
	sum := 0.0
	for i := range seeds {
		cfg.Seed = 1000 + 17*uint64(i)
		sum += value(Run(cfg))
	}
	return sum / float64(seeds)
}

// p99 returns the 99th percentile of the delays in milliseconds: what callers notice, and
// what a mean hides.
func p99(r Result) float64 { return ms(r.P99) }

// Gates are the bounds that docs/routing.md promises.
var Gates = slices.Concat(choiceGates, rebalanceGates)

// choiceGates are the bounds of choices. Each compares the production code with a rule that
// knows more (an oracle), or with rules that others use, on the same workload.
var choiceGates = []Gate{
	// Choices that are good although three directors do not know of each other's.
	{"p99 waiting of 10 workers at load 0.8 with 3 directors <= oracle + 100 ms, and below every other rule", func(seeds int) (string, bool) {
		cfg := Config{Balancers: 3, New: Oracle}
		oracle := mean(seeds, cfg, p99)
		cfg.New = Ours(balance.LeastConnections, true)
		got := mean(seeds, cfg, p99)
		text, ok := fmt.Sprintf("%.0f ms, oracle %.0f ms", got, oracle), got <= oracle+100
		for _, other := range []struct {
			name     string
			requests int // fewer for those that only get worse the longer it takes
			new      func(*Env, int) Balancer
		}{
			{"own counts only", 20000, OwnOnly}, {"assignments never released", 5000, Assignments},
			{"round robin", 5000, Ours(balance.RoundRobin, true)}, {"random", 5000, Ours(balance.Random, true)},
			{"weighted round robin", 5000, Ours(balance.WeightedRoundRobin, true)},
		} {
			cfg.New, cfg.Requests = other.new, other.requests
			v := mean(seeds, cfg, p99)
			text += fmt.Sprintf(", %s %.0f ms", other.name, v)
			ok = ok && got < v
		}
		return text, ok
	}},
	// A worker that joins is idle, and every balancer sees that at the same time.
	{"a joiner's share of the assignments in its first 5 s <= 2.5 times fair", func(seeds int) (string, bool) {
		cfg := Config{Equal: true, Load: 0.7, JoinAt: 100 * time.Second, Requests: 12000, New: Ours(balance.LeastConnections, true)}
		fair := mean(seeds, cfg, func(r Result) float64 { return r.Joiner }) * float64(10)
		cfg.New = Assignments
		was := mean(seeds, cfg, func(r Result) float64 { return r.Joiner }) * float64(10)
		return fmt.Sprintf("%.2f times fair; assignments never released %.2f", fair, was), fair > 0.5 && fair <= 2.5
	}},
	// A worker that fails fast looks idle. Only ejection keeps calls away from it.
	{"a worker that fails each call after 5 ms gets <= 10 calls per balancer in 60 s", func(seeds int) (string, bool) {
		cfg := Config{FailAt: 60 * time.Second, FailFor: 60 * time.Second, Requests: 8000, Balancers: 2}
		hits := func(r Result) float64 { return float64(r.Failures) / 2 }
		cfg.New = Ours(balance.LeastConnections, true)
		director := mean(seeds, cfg, hits)
		cfg.New = Ours(balance.LeastConnections, false)
		client := mean(seeds, cfg, hits)
		return fmt.Sprintf("%.1f through a director, %.1f from a cluster client", director, client), max(director, client) <= 10 && min(director, client) > 0
	}},
	// Nothing that is counted is forgotten, and nothing that is gone is counted.
	{"after crashes of workers and directors, broken report streams and dying callers every estimate is exact: 0", func(seeds int) (string, bool) {
		worst := 0.0
		schedules := 10 * seeds
		for seed := range uint64(schedules) {
			cfg := Config{Seed: seed, Requests: 1500, Balancers: 3, Faults: true, Dying: 0.05, New: Ours(balance.LeastConnections, true)}
			worst = max(worst, Run(cfg).Residue)
		}
		return fmt.Sprintf("worst residue %g in %d fault schedules", worst, schedules), worst == 0
	}},
	// Tickets of callers that die expire, so that they do not make workers look full.
	{"5 % dying callers change p99 by at most 20 % + 10 ms", func(seeds int) (string, bool) {
		cfg := Config{Balancers: 2, New: Ours(balance.LeastConnections, true)}
		none := mean(seeds, cfg, p99)
		cfg.Dying = 0.05
		some := mean(seeds, cfg, p99)
		return fmt.Sprintf("%.0f ms without, %.0f ms with", none, some), some <= 1.2*none+10
	}},
	// Keeping sessions together must not cost more waiting than hashing them.
	{"sessions: StickyUntilFull keeps >= 70 % on their worker at load 0.8 with p99 below consistent hashing's", func(seeds int) (string, bool) {
		cfg := Config{Sticky: 400, New: Ours(balance.StickyUntilFull, true)}
		same, wait := mean(seeds, cfg, func(r Result) float64 { return r.SameWorker }), mean(seeds, cfg, p99)
		cfg.New = Ours(balance.ConsistentHash, true)
		sameHash, waitHash := mean(seeds, cfg, func(r Result) float64 { return r.SameWorker }), mean(seeds, cfg, p99)
		return fmt.Sprintf("%.0f %% at %.0f ms; consistent hashing %.0f %% at %.0f ms", 100*same, wait, 100*sameHash, waitHash),
			same >= 0.7 && wait < waitHash
	}},
	// Calls that are shorter than the gap between reports: their ends carry the load.
	{"short calls made by 3 cluster clients: p99 waiting <= 50 ms", func(seeds int) (string, bool) {
		cfg := Config{Calls: true, Balancers: 3, Connect: 200 * time.Microsecond, New: Ours(balance.LeastConnections, false)}
		got := mean(seeds, cfg, p99)
		cfg.New = OwnOnly
		return fmt.Sprintf("%.1f ms; own counts only %.1f ms", got, mean(seeds, cfg, p99)), got <= 50
	}},
}

// Many returns gates for each number of directors. Each director learns of the choices of
// the others from reports that are up to 100 ms old, in which thousands of calls are
// assigned: if all of them found the same least loaded workers, these would have queues.
//
// They are the gates of a pool that is too large to look at all workers for each
// pick: what a few draws find must be as good, however many balancers draw. With 10 000
// workers they take half a minute of a processor.
func Many(workers int) (gates []Gate) {
	for _, balancers := range []int{1, 10, 50} {
		gates = append(gates, Gate{
			fmt.Sprintf("%d workers, %d directors, 80 %% of all places taken: p99 within 5 ms of that without waiting, 99 %% of the workers without a queue", workers, balancers),
			func(int) (string, bool) { // one seed is enough: it is a mean over many workers
				r := Run(Config{Seed: 1000, Workers: workers, Balancers: balancers, Load: 1.5, Requests: 12 * workers, Cut: true,
					New: Ours(balance.LeastConnections, true)})
				// The mean shows that the run is one of busy workers.
				return fmt.Sprintf("%.1f ms, without waiting %.1f ms; mean utilisation %.2f, 99 %% of the workers up to %.2f", ms(r.P99), ms(r.Ideal), r.Mean, r.Busiest),
					r.P99 <= r.Ideal+5*time.Millisecond && r.Busiest <= 1 && r.Mean >= 0.75
			},
		})
	}
	return gates
}
