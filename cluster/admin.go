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
)

// The admin service is served by every node, to administrators (rpcnet.RoleAdmin):
// it only reads. Messages are JSON in raw bytes, so that any
// client can use it without a contract.
var (
	adminMembersSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Admin/Members", Idempotency: rpcnet.NoSideEffects,
		Doc: "Members returns the node's view of the cluster as JSON."}
	adminEventsSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Admin/Events", Shape: rpcnet.Feed, Idempotency: rpcnet.NoSideEffects,
		Doc: "Events returns the members as they are and then every change, one JSON object a message."}
)

// A View is what one node sees of its cluster.
type View struct {
	// Cluster is the cluster's name.
	Cluster string `json:"cluster"`
	// Self is the node that answered.
	Self Member `json:"self"`
	// Time is when it did, by its clock.
	Time time.Time `json:"time"`
	// Seq is the number of the node's last event.
	Seq uint64 `json:"seq"`
	// Health is memberlist's judgement of the node itself, 0 (well) to 7.
	Health int `json:"health"`
	// Members are the present members and Gone those that left or failed and
	// are not forgotten yet.
	Members []Member `json:"members"`
	Gone    []Member `json:"gone,omitempty"`
	// Partition is the partition the node finds itself in, if any.
	Partition *Partition `json:"partition,omitempty"`
	// Workers are what the node's registries know of the workers, in the order of
	// Members; none if the node does not choose among workers.
	Workers []WorkerView `json:"workers,omitempty"`
}

// A WorkerView says whether a node can choose a worker.
type WorkerView struct {
	// Name and Boot are those of the member.
	Name string `json:"name"`
	Boot string `json:"boot"`
	// Ready says whether it can be chosen, Status why, or why not, and Reason how
	// its control connection failed, "" if that is there.
	Ready  bool   `json:"ready"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// View returns this node's view of the cluster.
func (n *Node) View() View {
	v := n.membersView()
	n.mu.Lock()
	views := slices.Collect(maps.Values(n.views))
	n.mu.Unlock()
	for _, f := range views {
		v.Workers = append(v.Workers, f()...)
	}
	return v
}

// addView has f tell of workers in [Node.View] until remove is called.
func (n *Node) addView(f func() []WorkerView) (remove func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.views == nil {
		n.views = map[*byte]func() []WorkerView{}
	}
	key := new(byte)
	n.views[key] = f
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.views, key)
	}
}

// membersView is View without the workers.
func (n *Node) membersView() View {
	v := View{Cluster: n.cfg.Cluster, Self: n.Self(), Time: time.Now(), Members: n.Members(), Gone: n.Gone()}
	n.mu.Lock()
	defer n.mu.Unlock()
	v.Seq, v.Health = n.feed.seq, n.health
	if p, ok := n.detector.current(); ok {
		v.Partition = &p
	}
	return v
}

func (n *Node) adminMethods() []rpcnet.Method {
	return []rpcnet.Method{
		{Spec: adminMembersSpec, Role: rpcnet.RoleAdmin, Handler: func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			return sendJSON(s, n.View())
		}},
		{Spec: adminEventsSpec, Role: rpcnet.RoleAdmin, Handler: func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
			var req []byte
			if err := s.Recv(&req); err != nil {
				return err
			}
			peer := rpcnet.ServerCallFrom(ctx).Peer()
			done, err := n.streams.begin(peer.ID)
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

// eventStreams counts the streams of events.
type eventStreams struct {
	mu    sync.Mutex
	inUse gossip.Share // guarded by mu
}

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

func (w *eventStreams) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inUse.InUse()
}

// sendEvent sends an event, which counts in the endpoint's memory budget until the
// peer has room for it.
func (n *Node) sendEvent(s rpcnet.ServerStream, peer rpcnet.Peer, e Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	release, err := n.ep.Reserve(peer, "events of a cluster", int64(len(b)))
	if err != nil {
		return err
	}
	defer release()
	return s.Send(b)
}

func sendJSON(s rpcnet.ServerStream, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Send(b)
}

// AdminView asks the node at the other end of t for its view. The caller needs
// no node of its own.
func AdminView(ctx context.Context, t rpcnet.Transport) (View, error) {
	var v View
	b, err := rpcnet.CallRaw(ctx, t, adminMembersSpec.Procedure, nil)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("cluster: reading the members: %w", err)
	}
	return v, nil
}

// AdminEvents returns the events of the node at the other end of t, as its
// [Node.Watch] does. It ends with an error: ctx's, or that of the connection.
func AdminEvents(ctx context.Context, t rpcnet.Transport) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s, err := t.NewStream(ctx, adminEventsSpec)
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
