package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/version"
)

// The admin service is served by every node, to administrators (role.Admin). What it
// does beside reading is in admin_actions.go. Messages are JSON in raw bytes, so that any client can use it without a
// contract.
var (
	adminMembersSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Admin/Members", Idempotency: codegen.IdempotencyNoSideEffects,
		Doc: "Members returns the node's view of the cluster as JSON."}
	adminEventsSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Admin/Events", Shape: codegen.ShapeServerStream, Idempotency: codegen.IdempotencyNoSideEffects,
		Doc: "Events returns the members as they are and then every change, one JSON object a message."}
)

// A Snapshot is what one node sees of its cluster at one moment. Its JSON form is
// what the admin service answers.
type Snapshot struct {
	// Cluster is the cluster's name.
	Cluster string `json:"cluster"`
	// Version is the version of this library in the node, such as "v0.1.0".
	Version string `json:"version,omitempty"`
	// Self is the node whose view it is.
	Self Member `json:"self"`
	// Time is when the snapshot was taken, by the clock of that node.
	Time time.Time `json:"time"`
	// Seq is the number of the node's last event.
	Seq uint64 `json:"seq"`
	// Health is memberlist's judgement of the node itself, 0 (well) to 7.
	Health int `json:"health"`
	// Members are the present members, and Gone those that have left or failed and are
	// not forgotten yet.
	Members []Member `json:"members"`
	Gone    []Member `json:"gone,omitempty"`
	// Partition is the partition the node finds itself in, if any.
	Partition *Partition `json:"partition,omitempty"`
	// Workers are what the node's registries (package workers) know of the workers, in
	// the order of Members. It is empty if the node does not choose among workers.
	Workers []WorkerSnapshot `json:"workers,omitempty"`
}

// A WorkerSnapshot says whether a node can choose a worker.
type WorkerSnapshot struct {
	// Name and Boot are those of the member.
	Name string `json:"name"`
	Boot string `json:"boot"`
	// Ready says whether it can be chosen, and Status why or why not. Reason says how
	// its control connection failed; it is "" while there is one.
	Ready  bool   `json:"ready"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// InFlight counts the calls of all callers on it by its last report; Queued of them
	// wait there. Capacity is how many it says that it can run at a time, 0 if it does
	// not say.
	InFlight int `json:"in_flight"`
	Queued   int `json:"queued"`
	Capacity int `json:"capacity"`
	// Pending counts what this node has assigned to it and its report does not have yet.
	Pending int `json:"pending"`
	// MeanService is how long its calls run, and ReportAge how old its last report is.
	// In JSON both are nanoseconds.
	MeanService time.Duration `json:"mean_service"`
	ReportAge   time.Duration `json:"report_age"`
	// Phi is how much its silence speaks against it: above 8, by default, it is late.
	Phi float64 `json:"phi"`
}

// ownVersion returns the version of this library. Finding it takes a while.
var ownVersion = sync.OnceValue(func() string { return version.Read().Version })

// Snapshot returns this node's view of the cluster as it is now. It is the caller's, but
// for the tags of the members, which are shared. Its parts are read one after another:
// a change meanwhile can show in one and not in another.
func (n *Node) Snapshot() Snapshot {
	s := Snapshot{Cluster: n.cfg.Cluster, Version: ownVersion(), Self: n.Self(), Time: time.Now(), Members: n.Members(), Gone: n.Gone(), Workers: n.workers.all()}
	n.view.mu.Lock()
	defer n.view.mu.Unlock()
	s.Seq, s.Health = n.view.feed.seq, n.view.table.Health()
	if p, ok := n.view.table.Partition(); ok {
		s.Partition = (*Partition)(&p)
	}
	return s
}

// workerSources are the functions that list workers in [Node.Snapshot], each under a
// key of its own.
type workerSources struct {
	mu  sync.Mutex // a leaf, not held while the functions run
	fns map[*byte]func() []WorkerSnapshot
}

// add has f list workers until remove is called.
func (w *workerSources) add(f func() []WorkerSnapshot) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fns == nil {
		w.fns = map[*byte]func() []WorkerSnapshot{}
	}
	key := new(byte)
	w.fns[key] = f
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.fns, key)
	}
}

// all returns what all of the functions list.
func (w *workerSources) all() (workers []WorkerSnapshot) {
	w.mu.Lock()
	fns := slices.Collect(maps.Values(w.fns))
	w.mu.Unlock()
	for _, f := range fns {
		workers = append(workers, f()...)
	}
	return workers
}

// adminProcedures returns the procedures of the admin service. Both take one message, an
// empty one, since every call has a request.
func (n *Node) adminProcedures() []extend.Procedure {
	return []extend.Procedure{
		{Spec: adminMembersSpec, Role: role.Admin, Handler: func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			return sendJSON(s, n.Snapshot())
		}},
		{Spec: adminEventsSpec, Role: role.Admin, Handler: func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			// A stream lasts for as long as its peer likes: they are limited.
			peer := rpcnet.ServerCallFrom(ctx).Peer()
			done, err := n.admin.streams.begin(peer.ID)
			if err != nil {
				return err
			}
			defer done()
			for e := range n.Watch(ctx) {
				if err := n.sendEvent(s, peer, e); err != nil {
					return err
				}
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return rpcnet.NewError(rpcnet.CodeUnavailable, "the node has stopped")
		}},
	}
}

// maxEventStreams is how many streams of events a node serves at once, and
// maxEventStreamsEach how many of one certificate: each may hold one event that its
// peer does not read.
const (
	maxEventStreams     = 256
	maxEventStreamsEach = 16
)

// eventStreams counts the streams of events that are open. It is safe for concurrent use.
type eventStreams struct {
	mu    sync.Mutex
	inUse gossip.Share // guarded by mu
}

// newEventStreams returns the count of a new node.
func newEventStreams() eventStreams {
	return eventStreams{inUse: gossip.NewShare(maxEventStreams, maxEventStreamsEach)}
}

// begin counts a stream of a certificate until done is called, or returns an error
// with CodeResourceExhausted.
func (w *eventStreams) begin(who string) (done func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.inUse.Take(who, 1) {
		return nil, rpcnet.NewError(rpcnet.CodeResourceExhausted, fmt.Sprintf(
			"too many streams of events at once: a certificate may have %d, and all together %d", maxEventStreamsEach, maxEventStreams))
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.inUse.Give(who, 1)
	}, nil
}

// open returns how many streams are open, for metrics.
func (w *eventStreams) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inUse.InUse()
}

// sendEvent sends an event. It counts in the endpoint's memory budget until the peer has
// room for it: a KindResync of a large cluster is large, and a peer that does not read
// holds one.
func (n *Node) sendEvent(s rpcnet.ServerStream, peer rpcnet.Peer, e Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	release, err := extend.Reserve(n.ep, peer, "events of a cluster", int64(len(b)))
	if err != nil {
		return err
	}
	defer release()
	return s.Send(b)
}

// sendJSON sends v as one message.
func sendJSON(s rpcnet.ServerStream, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Send(b)
}

// Admin reads the view of the node at the other end of Transport, such as a
// [rpcnet.Conn]. The caller needs no node of its own, but a certificate that the node
// accepts as an administrator's: see [rpcnet.Roles]. An Admin is safe for concurrent use.
// It does not own Transport.
type Admin struct {
	Transport rpcnet.Transport // required
}

// Snapshot returns the node's view of its cluster, as [Node.Snapshot] does there. Errors
// are those of the call.
func (a Admin) Snapshot(ctx context.Context) (Snapshot, error) {
	var v Snapshot
	b, err := rpcnet.CallRaw(ctx, a.Transport, adminMembersSpec.Procedure, nil)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("cluster: reading the members: %w", err)
	}
	return v, nil
}

// Events returns the node's events, as [Node.Watch] does there: first the members as they
// are, and then every change. Each range over it is a call of its own. It always ends
// with an error: that of ctx, that of the connection, or [rpcnet.CodeUnavailable] when
// the node has stopped.
func (a Admin) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s, err := a.Transport.NewStream(ctx, adminEventsSpec)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer s.Close()
		err = s.Send([]byte{})
		if err == nil {
			err = s.CloseSend()
		}
		for err == nil || err == io.EOF { // after EOF, Recv has the reason
			var b []byte
			var e Event
			if err = s.Recv(&b); err != nil {
				break
			}
			if err = json.Unmarshal(b, &e); err != nil {
				break
			}
			if !yield(e, nil) {
				return
			}
		}
		yield(Event{}, err)
	}
}
