// Command routesim runs the routing simulations of internal/routesim. It prints the
// gates, which are bounds that the production code must keep, and the exit status
// is 1 if one is not kept. With -compare it compares strategies on one workload.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/routesim"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func main() {
	seeds := flag.Int("seeds", 3, "seeds the gates are averaged over")
	compare := flag.Bool("compare", false, "compare strategies on one workload instead of running the gates")
	workers := flag.Int("workers", 10, "with -compare: workers")
	balancers := flag.Int("balancers", 1, "with -compare: balancers")
	load := flag.Float64("load", 0.8, "with -compare: arrivals over what the workers can do")
	requests := flag.Int("requests", 20000, "with -compare: requests")
	gap := flag.Duration("gap", 0, "with -compare: least time between two reports of a worker (0: the production value)")
	calls := flag.Bool("calls", false, "with -compare: calls of 20 ms instead of streams")
	equal := flag.Bool("equal", false, "with -compare: equal workers")
	flag.Parse()
	if *compare {
		show(routesim.Config{Workers: *workers, Balancers: *balancers, Load: *load, Requests: *requests, Gap: *gap, Calls: *calls, Equal: *equal, Seed: 1000})
		return
	}
	kept := true
	start := time.Now()
	gates := slices.Concat(routesim.Gates, routesim.Many(1000), routesim.Many(10_000))
	for _, g := range gates {
		measured, ok := g.Run(*seeds)
		mark := "kept    "
		if !ok {
			mark, kept = "NOT KEPT", false
		}
		fmt.Printf("%s  %s\n          %s\n", mark, g.Name, measured)
	}
	fmt.Printf("%d gates in %v\n", len(gates), time.Since(start).Round(time.Millisecond))
	if !kept {
		os.Exit(1)
	}
}

// show prints the results of all strategies for one workload, and of other rules.
func show(cfg routesim.Config) {
	run := func(name string, balancers func(*routesim.Env, int) routesim.Balancer) {
		cfg.New = balancers
		fmt.Printf("%-34s %v\n", name, routesim.Run(cfg))
	}
	run("oracle", routesim.Oracle)
	for _, name := range balance.Names() {
		s, err := balance.Parse(name)
		if err != nil {
			panic(err) // Names are what Parse knows
		}
		run(name+" (director)", routesim.Ours(s, true))
		run(name+" (client)", routesim.Ours(s, false))
	}
	run("own counts only", routesim.OwnOnly)
	run("assignments, never released", routesim.Assignments)
}
