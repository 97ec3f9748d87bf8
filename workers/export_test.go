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

// AgeStreams moves the clock of a worker, so that its streams are older than they are.
func AgeStreams(w *Worker, by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.origin = w.origin.Add(-by)
}

// HastenRebalancing makes the clock by which a registry moves streams run so many times as
// fast. Workers have a minute to answer, so that the registry counts also what a starved
// one has handed over.
func HastenRebalancing(r *Registry, times time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rebalancer.clock = func() time.Duration { return times * r.now() }
	r.rebalancer.timeout = time.Minute
}

// HandoverRequest is how a balancer asks a worker to hand streams over.
func HandoverRequest(balancer uint64, streams int) []byte {
	return handoverRequest{balancer, streams}.append(nil)
}
