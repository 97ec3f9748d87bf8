package workers

import (
	"context"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// nodes is what package cluster lets this package do with a node, and users not:
// register what a leaving node waits for, ask a member by a packet of gossip, and add
// the workers to the node's view.
//
// Package cluster sets hook.Node when it is initialised, before this package is.
var nodes = hook.Node.(interface {
	Cluster(n *cluster.Node) string
	Metrics(n *cluster.Node) *cluster.Metrics
	OnLeave(n *cluster.Node, f func(context.Context))
	Ping(n *cluster.Node, m cluster.Member) bool
	AddWorkers(n *cluster.Node, f func() []cluster.WorkerSnapshot) (remove func())
})
