package routing

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/rpcnet-go/rpcnet/internal/routesim"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

var requests = flag.Int("requests", 5000, "calls of each simulation")

// workloads are the traces the policies are compared on.
var workloads = []struct {
	name string
	cfg  routesim.Config
}{
	{"streams on 10 unequal workers, load 0.8, 1 balancer", routesim.Config{}},
	{"the same, 3 balancers", routesim.Config{Balancers: 3}},
	{"streams on 10 equal workers, load 0.8, 1 balancer", routesim.Config{Equal: true}},
	{"calls of 20 ms on 10 unequal workers, load 0.8, 3 balancers", routesim.Config{Calls: true, Balancers: 3}},
	{"400 sessions on 10 unequal workers, load 0.6", routesim.Config{Sticky: 400, Load: 0.6}},
}

// TestOursWaitsLessThanEveryPolicyOfGRPC prints the table of docs/routing.md
// and fails if a policy of grpc-go has the lower p99 on the streams that a
// director places.
func TestOursWaitsLessThanEveryPolicyOfGRPC(t *testing.T) {
	for i, w := range workloads {
		cfg := w.cfg
		cfg.Requests, cfg.Seed = *requests, 1000
		fmt.Printf("\n%s\n", w.name)
		show := func(label string, r routesim.Result) {
			same := ""
			if cfg.Sticky > 0 {
				same = fmt.Sprintf("  same worker %2.0f %%", 100*r.SameWorker)
			}
			fmt.Printf("  %-42s %v%s\n", label, r, same)
		}
		run := func(label string, balancers func(*routesim.Env, int) routesim.Balancer) routesim.Result {
			cfg.New = balancers
			r := routesim.Run(cfg)
			show(label, r)
			return r
		}
		run("oracle", routesim.Oracle)
		strategy := balance.LeastConnections
		if cfg.Sticky > 0 {
			strategy = balance.StickyUntilFull
		}
		ours := run("rpcnet "+strategy.String(), routesim.Ours(strategy, !cfg.Calls))
		for _, p := range Policies {
			if p.Name == "ring_hash_experimental" && cfg.Sticky == 0 {
				continue // it places keys, and these calls have none
			}
			var r routesim.Result
			synctest.Test(t, func(t *testing.T) {
				var all []*client
				build := Balancers(p)
				cfg.New = func(env *routesim.Env, id int) routesim.Balancer {
					c := build(env, id)
					all = append(all, c.(*client))
					return c
				}
				r = routesim.Run(cfg)
				for _, c := range all {
					c.Close()
				}
			})
			show(p.Label, r)
			if i < 2 && r.P99 <= ours.P99 {
				t.Errorf("%s: %s waits %v at p99, ours %v", w.name, p.Label, r.P99, ours.P99)
			}
		}
	}
}
