package routesim_test

import (
	"slices"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/routesim"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func TestProductionCodeKeepsTheGates(t *testing.T) {
	t.Parallel()
	// The command runs those of 10 000 workers, too.
	for _, g := range slices.Concat(routesim.Gates, routesim.Many(1000)) {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			measured, ok := g.Run(1) // the command takes more seeds
			t.Log(measured)
			if !ok {
				t.Errorf("not kept: %s", measured)
			}
		})
	}
}

func TestSameSeedSameResult(t *testing.T) {
	t.Parallel()
	cfg := routesim.Config{Seed: 3, Requests: 2000, Balancers: 2, Faults: true, New: routesim.Ours(balance.LeastConnections, true)}
	if a, b := routesim.Run(cfg), routesim.Run(cfg); a != b {
		t.Errorf("%v\n%v", a, b)
	}
}

func TestEveryStrategyServesEveryCall(t *testing.T) {
	t.Parallel()
	for _, name := range balance.Names() {
		s, err := balance.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, director := range []bool{true, false} {
			r := routesim.Run(routesim.Config{Seed: 1, Load: 0.5, Requests: 800, Balancers: 4, Dying: 0.02, Sticky: 50, New: routesim.Ours(s, director)})
			if r.Residue != 0 || r.P50 == 0 {
				t.Errorf("%s (director %v): %v, residue %v", name, director, r, r.Residue)
			}
		}
	}
}
