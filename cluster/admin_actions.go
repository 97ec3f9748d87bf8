package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/udpecho"
)

// What administrators make a node do, beside reading its view (admin.go).
//
// Both procedures are safe to call again: a node leaves once, and a token is no state. An
// administrator who may read everything of a cluster may also take a node out of it, since
// an operator without that would stop its process, which costs the calls that run.
var (
	adminDrainSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Admin/Drain", Idempotency: codegen.IdempotencyIdempotent,
		Doc: "Drain makes the node leave the cluster in good order. It returns when that has begun."}
	adminProbeSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Admin/Probe", Idempotency: codegen.IdempotencyNoSideEffects,
		Doc: "Probe returns a token with which the node's UDP port answers for a while: see package udpecho."}
)

// The time that a drain takes at most, if its caller says none or more.
const (
	defaultDrain = 30 * time.Second
	maxDrain     = 24 * time.Hour
)

// A drainRequest is the request of Drain in JSON.
type drainRequest struct {
	// Timeout is how long what runs on the node may go on, in nanoseconds. Default 30 s;
	// at most a day.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// An adminService is the state of what administrators ask a node for. Each part is safe
// for concurrent use, and none holds a lock of the node.
type adminService struct {
	streams  eventStreams
	echo     *udpecho.Node
	draining atomic.Bool // Drain was called
}

// newAdminService returns the state of a new node.
func newAdminService() adminService {
	return adminService{streams: newEventStreams(), echo: udpecho.NewNode()}
}

// packet takes a datagram from the endpoint's reading goroutine. It answers questions of
// administrators, and the rest is gossip's.
func (e endpoint) packet(b []byte, from netip.AddrPort) {
	if !udpecho.IsQuestion(b) {
		e.n.transport.HandlePacket(b, from)
		return
	}
	// This runs where all datagrams are read: it must not block. The answer costs one hash,
	// and only for a question whose time can be right.
	answer, ok := e.n.admin.echo.Answer(b, from)
	if !ok {
		e.n.cfg.Metrics.Refused(gossip.PacketForged)
		return
	}
	extend.WritePacket(e.n.ep, answer, from) // a datagram can be lost on its way as well
}

// actions returns the procedures that make the node do something.
func (e endpoint) actions() []extend.Procedure {
	return []extend.Procedure{
		{Spec: adminDrainSpec, Role: role.Admin, Handler: e.drain},
		{Spec: adminProbeSpec, Role: role.Admin, Handler: e.probe},
		{Spec: adminWorkersSpec, Role: role.Admin, Handler: e.feed},
	}
}

// probe serves Probe. The token is made of the time and a key of this node, so that the
// node keeps nothing, however many are asked for.
func (e endpoint) probe(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var req []byte
	if err := s.Recv(&req); err != nil {
		return err
	}
	return s.Send(e.n.admin.echo.Offer())
}

// drain serves Drain. The node leaves on a goroutine of its own, which ends with it: to
// leave is to wait for what runs, and this call runs too.
func (e endpoint) drain(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var b []byte
	if err := s.Recv(&b); err != nil {
		return err
	}
	var req drainRequest
	if len(b) > 0 {
		if err := json.Unmarshal(b, &req); err != nil {
			return rpcnet.NewError(rpcnet.CodeInvalidArgument, fmt.Sprintf("the request of Drain: %v", err))
		}
	}
	switch {
	case req.Timeout < 0 || req.Timeout > maxDrain:
		return rpcnet.NewError(rpcnet.CodeInvalidArgument, fmt.Sprintf("timeout %v: want nothing, or up to %v", req.Timeout, maxDrain))
	case req.Timeout == 0:
		req.Timeout = defaultDrain
	}
	if e.n.life.stopping() {
		return errStopped
	}
	// A node leaves once. Further calls find that it has begun, and start no goroutine.
	if !e.n.admin.draining.Swap(true) {
		e.n.lines.Log(slog.LevelWarn, "drain", "an administrator drains this node: it leaves the cluster",
			"administrator", rpcnet.ServerCallFrom(ctx).Peer().ID, "timeout", req.Timeout)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), req.Timeout)
			defer cancel()
			e.n.Leave(ctx) // logs what it finds
		}()
	}
	return s.Send([]byte("{}"))
}

// Drain makes the node leave its cluster in good order, as [Node.Leave] does there:
// others give it no new work, what runs on it may finish within timeout, and its
// resumable streams go on elsewhere. Drain returns when that has begun; the events of
// another node tell when it is over. Its program sees [Node.Done]. Default of timeout:
// 30 s. Errors are those of the call; a second Drain is none.
func (a Admin) Drain(ctx context.Context, timeout time.Duration) error {
	b, err := json.Marshal(drainRequest{timeout})
	if err != nil {
		return err
	}
	_, err = rpcnet.CallRaw(ctx, a.Transport, adminDrainSpec.Procedure, b)
	return err
}
