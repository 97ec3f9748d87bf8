// Command withcluster is the same job as byhand on rpcnet's cluster: who is
// there, who lives, who has room, and going on elsewhere are the library's.
//
//	withcluster director | worker | client
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/contract"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/internal/common"
	"github.com/rpcnet-go/rpcnet/workers"
)

func main() {
	common.Main(map[string]func(context.Context) error{"director": direct, "worker": work, "client": generate})
}

func direct(ctx context.Context) error {
	ep, err := rpcnet.Listen(common.Director(), common.Credentials("test"), nil)
	if err != nil {
		return err
	}
	defer ep.Close()
	node, err := cluster.Join(ctx, ep, &cluster.Config{Name: "director", Cluster: "swap"})
	if err != nil {
		return err
	}
	defer node.Close()
	registry, err := workers.NewRegistry(node, nil)
	if err != nil {
		return err
	}
	defer registry.Close()
	srv := rpcnet.NewServer(nil)
	director.New(registry, nil).Register(srv)
	fmt.Println("director ready")
	return ep.Serve(ctx, srv)
}

func work(ctx context.Context) error {
	label := common.Env("WORKER_LABEL", "worker-1")
	ep, err := rpcnet.Listen(common.Env("WORKER_ADDR", "127.0.0.1:62001"), common.Credentials("test"), nil)
	if err != nil {
		return err
	}
	defer ep.Close()
	node, err := cluster.Join(ctx, ep, &cluster.Config{Name: label, Cluster: "swap", Seeds: []string{common.Director()}, Tags: cluster.Tags{"role": "worker"}})
	if err != nil {
		return err
	}
	defer node.Close()
	if _, err := workers.NewWorker(node, &workers.WorkerConfig{Capacity: 16, DrainTimeout: time.Second}); err != nil {
		return err
	}
	srv := rpcnet.NewServer(nil)
	contract.RegisterInference(srv, common.Model{Label: label})
	go func() {
		<-ctx.Done()
		leaving, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		node.Leave(leaving)
		ep.Shutdown(leaving)
	}()
	return ep.Serve(context.Background(), srv)
}

func generate(ctx context.Context) error {
	c, err := director.Dial(ctx, &director.ClientConfig{Credentials: common.Credentials("client")}, common.Director())
	if err != nil {
		return err
	}
	defer c.Close()
	for t, err := range contract.NewInferenceClient(c).Generate(ctx, common.Request()) {
		if err != nil {
			return err
		}
		common.Print(t)
	}
	fmt.Println("done")
	return nil
}
