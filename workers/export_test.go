package workers

import (
	"context"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
)

// NewRegistryDialing is NewRegistry with control connections made by dial.
func NewRegistryDialing(n *cluster.Node, cfg *RegistryConfig, dial func(ctx context.Context, addr string) (*rpcnet.Conn, error)) (*Registry, error) {
	r, err := newRegistry(n.Endpoint(), n, cfg)
	if err != nil {
		return nil, err
	}
	r.attach(n)
	r.dial = func(ctx context.Context, m cluster.Member) (*rpcnet.Conn, error) { return dial(ctx, m.Addr) }
	r.start()
	return r, nil
}

// WatchHello is how a balancer opens a control stream.
func ReportHello(balancer uint64, workers int, heartbeat time.Duration) []byte {
	return reportHello{balancer: balancer, workers: workers, heartbeat: heartbeat}.append(nil)
}
