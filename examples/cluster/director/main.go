// Command director is the director of the cluster example: it knows the workers
// of the cluster and gives them to clients. See "director -h".
//
//	DIRECTOR_ADDR=127.0.0.1:61000 go run ./examples/cluster/director
package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/bridge"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/program"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

func main() {
	p := program.New("director", "knows the workers of the cluster and gives them to clients.", "the address to bind, for TCP and UDP", "test")
	strategy := balance.LeastConnections
	p.Vars.Func("STRATEGY", strategy.String(), "how a worker is chosen, by the name of a strategy", func(s string) (err error) {
		strategy, err = balance.Parse(s)
		return err
	})
	zone := p.Vars.Name("DIRECTOR_ZONE", "", "prefer workers whose tag zone is this one")
	rebalance := p.Vars.Bool("REBALANCE", false, "move streams that run from full workers to emptier ones")
	p.Main(func(ctx context.Context, log *slog.Logger) error {
		addr := *p.DirectorAddr
		log.Info("🎯 Starting Director at " + addr)
		creds, err := p.Credentials(log)
		if err != nil {
			return err
		}
		ep, err := program.Listen("DIRECTOR_ADDR", addr, creds, log)
		if err != nil {
			return err
		}
		defer ep.Close()
		tags := cluster.Tags{"role": "director"}
		if *zone != "" {
			tags["zone"] = *zone
		}
		registry := &workers.RegistryConfig{Strategy: strategy, Rebalance: workers.RebalanceConfig{Enabled: *rebalance}, Logger: log}
		return run(ctx, ep, tags, registry, log)
	})
}

// run makes ep the first node of the cluster and serves until ctx ends.
func run(ctx context.Context, ep *rpcnet.Endpoint, tags cluster.Tags, config *workers.RegistryConfig, log *slog.Logger) error {
	node, err := cluster.Join(ctx, ep, &cluster.Config{Name: "director", Cluster: program.Cluster, Tags: tags, Logger: log})
	if err != nil {
		return err
	}
	defer node.Close()
	go program.LogEvents(node, log)
	log.Info("✅ Director registered itself in cluster")
	registry, err := workers.NewRegistry(node, config)
	if err != nil {
		return err
	}
	defer registry.Close()
	client, err := workers.NewClient(registry, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	log.Info("✅ Cluster enabled - Director is now discoverable")
	log.Info("🔄 Load balancing strategy: " + config.Strategy.String())

	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{logAssignments(log)}})
	assigns := director.New(registry, &director.Config{Logger: log})
	assigns.Register(srv)
	contract.RegisterDirectorRegistry(srv, &directory{assigns})
	// HTTP callers stream from the workers as Go clients do, with a certificate alone: there
	// are no tokens.
	http, err := bridge.New(client, &bridge.Config{Services: []string{contract.InferenceName}, Logger: log})
	if err != nil {
		return err
	}
	stopHTTP, err := http.Serve(ep)
	if err != nil {
		return err
	}
	defer stopHTTP()
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background(), srv) }()
	log.Info(fmt.Sprintf("🚀 Director ready - listening on %s", ep.Addr()))

	background, stop := context.WithCancel(ctx)
	defer stop()
	go sayReady(background, registry, log)
	go showPool(background, registry, log)
	go callCompute(background, registry, client, log)

	<-ctx.Done()
	log.Info("🛑 Director is draining")
	drain, cancel := context.WithTimeout(context.Background(), program.DrainTime)
	defer cancel()
	node.Leave(drain)
	ep.Shutdown(drain) // what is left at the end of the time is cut
	<-served
	log.Info("👋 Director has left")
	return nil
}
