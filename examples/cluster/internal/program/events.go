package program

import (
	"context"
	"log/slog"

	"github.com/rpcnet-go/rpcnet/cluster"
)

// LogEvents says what a node sees in the cluster, until the node stops. The
// node itself logs who comes and goes; this adds what it keeps for the level
// debug.
func LogEvents(node *cluster.Node, log *slog.Logger) {
	if log.Enabled(context.Background(), slog.LevelDebug) {
		return // it says so itself
	}
	for e := range node.Watch(context.Background()) {
		switch e.Kind {
		case cluster.KindNodeUpdated, cluster.KindNodeSuspected, cluster.KindSelfDegraded:
			log.Info(e.String(), "node", node.Self().Name, "seq", e.Seq)
		}
	}
}
