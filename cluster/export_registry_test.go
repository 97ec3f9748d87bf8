package cluster

import (
	"context"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// AnswersPackets is how a registry of the node asks a late worker.
func AnswersPackets(n *Node, m Member) bool { return n.answersPackets(m) }

// NewRegistryDialing is NewWorkerRegistry with control connections made by dial.
func NewRegistryDialing(n *Node, cfg RegistryConfig, dial func(ctx context.Context, addr string) (*rpcnet.Conn, error)) (*WorkerRegistry, error) {
	r, err := newRegistry(n.Endpoint(), n, cfg)
	if err != nil {
		return nil, err
	}
	r.cluster, r.metrics = n.cfg.Cluster, n.cfg.Metrics
	r.packets, r.dial = n.answersPackets, func(ctx context.Context, m Member) (*rpcnet.Conn, error) { return dial(ctx, m.Addr) }
	r.start()
	return r, nil
}

// WatchHello is how a chooser opens a control stream.
func WatchHello(chooser uint64, workers int, heartbeat time.Duration) []byte {
	return watchHello{chooser: chooser, workers: workers, heartbeat: heartbeat}.append(nil)
}
