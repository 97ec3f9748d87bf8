package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/extend"
)

// The feed of the workers, for pages and commands that show them as they change: one that
// asked for a [Snapshot] again and again would get all workers each time.
var adminWorkersSpec = &rpcnet.Spec{Procedure: "/cluster.v1.Admin/Workers", Shape: codegen.ShapeServerStream, Idempotency: codegen.IdempotencyNoSideEffects,
	Doc: "Workers returns what the node knows of the workers that it can choose, and then every change, one JSON object a message."}

// workersPace is how often the feed looks for changes. Loads change with every call, and
// no reader is faster.
const workersPace = 250 * time.Millisecond

// A workersMessage is one of the feed. The first has all workers, and each further one
// those that have changed.
type workersMessage struct {
	// Time is that of the message, by the clock of the node.
	Time time.Time `json:"time"`
	// Workers are new or have changed, in the order of their names.
	Workers []WorkerSnapshot `json:"workers,omitempty"`
	// Gone are no workers of the cluster any more, by name and boot.
	Gone []workerKey `json:"gone,omitempty"`
}

// A workerKey tells a worker from others, and from its earlier lives.
type workerKey struct {
	Name string `json:"name"`
	Boot string `json:"boot"`
}

// feed serves the feed. It ends with the call, or with the node.
func (e endpoint) feed(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var req []byte
	if err := s.Recv(&req); err != nil {
		return err
	}
	peer := rpcnet.ServerCallFrom(ctx).Peer()
	done, err := e.n.admin.streams.begin(peer.ID)
	if err != nil {
		return err
	}
	defer done()
	tick := time.NewTicker(workersPace)
	defer tick.Stop()
	sent := map[workerKey]WorkerSnapshot{}
	for first := true; ; first = false {
		m := changes(sent, e.n.workers.all())
		if first || len(m.Workers) > 0 || len(m.Gone) > 0 {
			m.Time = time.Now()
			b, err := json.Marshal(m)
			if err != nil {
				return err
			}
			if err := e.sendCounted(s, peer, b); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.n.Done():
			return errStopped
		}
	}
}

// sendCounted sends a message that counts in the endpoint's memory budget until the peer
// has room for it.
func (e endpoint) sendCounted(s rpcnet.ServerStream, peer rpcnet.Peer, b []byte) error {
	release, err := extend.Reserve(e.n.ep, peer, "feeds of workers", int64(len(b)))
	if err != nil {
		return err
	}
	defer release()
	return s.Send(b)
}

// changes returns how now differs from what was sent, and notes it as sent. What only
// grows old, such as the age of a report, is no change.
func changes(sent map[workerKey]WorkerSnapshot, now []WorkerSnapshot) (m workersMessage) {
	seen := make(map[workerKey]bool, len(now))
	for _, w := range now {
		key := workerKey{w.Name, w.Boot}
		seen[key] = true
		// The mean follows every call by a little, and the phi the clock: both come with
		// the next change.
		steady := w
		steady.ReportAge, steady.Phi, steady.MeanService = 0, 0, 0
		if old, ok := sent[key]; ok && old == steady {
			continue
		}
		sent[key] = steady
		m.Workers = append(m.Workers, w)
	}
	for key := range sent {
		if !seen[key] {
			delete(sent, key)
			m.Gone = append(m.Gone, key)
		}
	}
	return m
}

// Workers returns what the node knows of the workers that it can choose, in the order of
// their names: first as they are, and again after every change of their load, their
// readiness or the reason against it. It is empty for a node that does not choose. Each
// range over it is a call of its own, and each list is the caller's. It always ends with an
// error: that of ctx, that of the connection, or [rpcnet.CodeUnavailable] when the node has
// stopped.
func (a Admin) Workers(ctx context.Context) iter.Seq2[[]WorkerSnapshot, error] {
	return func(yield func([]WorkerSnapshot, error) bool) {
		s, err := a.Transport.NewStream(ctx, adminWorkersSpec)
		if err != nil {
			yield(nil, err)
			return
		}
		defer s.Close()
		known := map[workerKey]WorkerSnapshot{}
		for err = codegen.SendOne(s, []byte{}); err == nil; {
			var b []byte
			if err = s.Recv(&b); err != nil {
				break
			}
			var m workersMessage
			if err = json.Unmarshal(b, &m); err != nil {
				err = fmt.Errorf("cluster: reading the workers: %w", err)
				break
			}
			m.apply(known)
			list := slices.SortedFunc(maps.Values(known), func(a, b WorkerSnapshot) int {
				return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Boot, b.Boot))
			})
			if !yield(list, nil) {
				return
			}
		}
		if err == io.EOF {
			err = errStopped
		}
		yield(nil, err)
	}
}

// apply changes what is known of the workers.
func (m *workersMessage) apply(known map[workerKey]WorkerSnapshot) {
	for _, w := range m.Workers {
		known[workerKey{w.Name, w.Boot}] = w
	}
	for _, key := range m.Gone {
		delete(known, key)
	}
}
