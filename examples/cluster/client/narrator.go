package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/transcript"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A narrator tells what happens between the tokens. The program does not need
// it: the transport asks, connects and goes on elsewhere by itself.
type narrator struct {
	log       *slog.Logger
	connected sync.Once // to the director
}

func (n *narrator) tell(_ context.Context, e workers.Event) {
	switch e.Kind {
	case workers.EventAsking:
		n.log.Info("🔍 asking director for worker assignment")
	case workers.EventAssigned:
		n.connected.Do(func() { n.log.Info("✅ connected to director") })
		n.log.Info("🔀 director assigned worker - establishing direct connection", "worker", e.Worker, "addr", e.Addr)
	case workers.EventAlternate:
		n.log.Info("🔀 no director answers - taking a worker it has named before", "worker", e.Worker, "addr", e.Addr)
	case workers.EventConnected:
		n.log.Info(transcript.Established, "worker", e.Worker, "addr", e.Addr)
		n.log.Info("📤 creating request stream")
		n.log.Info("🔌 calling generate on worker")
		n.log.Info("🌊 stream opened successfully, starting to consume responses")
	case workers.EventMoved:
		n.log.Info("👋 worker is leaving", "worker", e.Worker)
		n.returning(e)
	case workers.EventFailed:
		n.log.Warn("⚠️  worker failed - will request new worker from director", "worker", e.Worker, "error", plain(e.Err))
		n.returning(e)
	case workers.EventWaiting:
		n.log.Warn(fmt.Sprintf("⚠️  No worker assigned - asking again in %v", e.Pause.Round(time.Millisecond)), "reason", e.Err)
	}
}

func (n *narrator) returning(e workers.Event) {
	n.log.Info("🔄 returning to director for new worker assignment", "next", e.Next)
}

// plain returns the worker's own error if err carries one.
func plain(err error) error {
	var failed *contract.WorkerFailed
	if errors.As(err, &failed) {
		return failed
	}
	return err
}
