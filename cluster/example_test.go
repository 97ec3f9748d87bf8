package cluster_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func ExampleJoin() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	ca, err := rpctest.NewDevCA()
	if err != nil {
		log.Fatal(err)
	}
	node := func(name string, tags cluster.Tags, seeds ...string) *cluster.Node {
		creds, err := ca.Credentials()
		if err != nil {
			log.Fatal(err)
		}
		ep, err := rpcnet.Listen("127.0.0.1:0", creds, nil)
		if err != nil {
			log.Fatal(err)
		}
		n, err := cluster.Join(ctx, ep, &cluster.Config{Name: name, Seeds: seeds, Tags: tags, Logger: quiet})
		if err != nil {
			log.Fatal(err)
		}
		return n
	}
	director := node("director", cluster.Tags{"role": "director"})
	defer director.Endpoint().Close()
	defer director.Close()
	worker := node("worker-a", cluster.Tags{"role": "worker"}, director.Self().Addr)
	defer worker.Endpoint().Close()

	for e := range director.Watch(ctx) {
		if e.Member.Name != "worker-a" {
			continue
		}
		fmt.Println(e.Kind, e.Member.Name, e.Member.Tags)
		switch e.Kind {
		case cluster.KindNodeJoined:
			go worker.Leave(ctx)
		case cluster.KindNodeLeft:
			<-worker.Done()
			return
		}
	}
	// Output:
	// NodeJoined worker-a role=worker
	// NodeUpdated worker-a role=worker
	// NodeLeft worker-a role=worker
}
