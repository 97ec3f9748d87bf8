package prom_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/cluster/prom"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// A node and its endpoint count for one registry, which promhttp.HandlerFor serves.
func ExampleNew() {
	ca, err := rpctest.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	creds, err := ca.Credentials()
	if err != nil {
		log.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer ep.Close()

	registry := prometheus.NewRegistry()
	metrics, err := prom.New(registry)
	if err != nil {
		log.Fatal(err)
	}
	registry.MustRegister(prom.Endpoint(ep))
	node, err := cluster.Join(context.Background(), ep, &cluster.Config{Name: "worker-a", Metrics: metrics, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "rpcnet_cluster_events_total" {
			fmt.Println(f.GetHelp())
			for _, m := range f.GetMetric() {
				fmt.Println(m.GetLabel()[1].GetValue(), m.GetCounter().GetValue())
			}
		}
	}
	// Output:
	// Events of the node.
	// NodeJoined 1
}
