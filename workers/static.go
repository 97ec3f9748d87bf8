package workers

import (
	"context"
	"iter"
	"sync"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
)

// A membership is what a registry needs of a cluster: who is there, and where to hand
// evidence of what it finds out. A [cluster.Node] is one, and so is a [StaticMembers].
type membership interface {
	Watch(ctx context.Context) iter.Seq[cluster.Event]
	Self() cluster.Member
	Assigns() bool
	Suspect(name, boot string, phi float64) bool
	Recover(name, boot string) bool
	ReportUnreachable(name, boot string) bool
	ReportReplaced(name, boot string) bool
}

// A StaticMembers is a list of workers that the program keeps, for registries without
// gossip: [NewStaticRegistry]. It is safe for concurrent use.
type StaticMembers struct {
	mu      sync.Mutex
	members map[string]cluster.Member // by name
	seq     uint64
	changed broadcast
}

// NewStaticMembers returns the list of the given members. Name and Addr are required.
// An empty Boot stands for any process that answers at the address.
func NewStaticMembers(ms ...cluster.Member) *StaticMembers {
	s := &StaticMembers{}
	s.Set(ms...)
	return s
}

// Set replaces the list.
func (s *StaticMembers) Set(ms ...cluster.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = make(map[string]cluster.Member, len(ms))
	for _, m := range ms {
		s.members[m.Name] = m
	}
	s.seq++
	s.changed.signal()
}

// Watch yields the whole list now and whenever it changes. Changes that come faster
// than they are taken are one.
func (s *StaticMembers) Watch(ctx context.Context) iter.Seq[cluster.Event] {
	return func(yield func(cluster.Event) bool) {
		for {
			s.mu.Lock()
			e := cluster.Event{Seq: s.seq, Kind: cluster.KindResync, Members: make([]cluster.Member, 0, len(s.members))}
			for _, m := range s.members {
				e.Members = append(e.Members, m)
			}
			changed := s.changed.wait()
			s.mu.Unlock()
			if !yield(e) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Self returns no member: the list has no node of its own.
func (s *StaticMembers) Self() cluster.Member { return cluster.Member{} }

// Assigns reports true: there are no partitions without a cluster.
func (s *StaticMembers) Assigns() bool { return true }

// Suspect does nothing: the registry keeps what it suspects to itself.
func (s *StaticMembers) Suspect(string, string, float64) bool { return false }

// Recover does nothing.
func (s *StaticMembers) Recover(string, string) bool { return false }

// ReportUnreachable does nothing: the list says who is there.
func (s *StaticMembers) ReportUnreachable(string, string) bool { return false }

// ReportReplaced does nothing, for the same reason.
func (s *StaticMembers) ReportReplaced(string, string) bool { return false }

// NewStaticRegistry returns a registry of the workers in a list, which it calls
// through ep. There is no gossip: the registry's own connections tell who
// lives. cfg is copied; nil is every default. Close the registry when done.
func NewStaticRegistry(ep *rpcnet.Endpoint, members *StaticMembers, cfg *RegistryConfig) (*Registry, error) {
	r, err := newRegistry(ep, members, cfg)
	if err != nil {
		return nil, err
	}
	r.start()
	return r, nil
}

// NewStaticWorker makes an endpoint a worker that belongs to no cluster, for
// [NewStaticRegistry]. cfg is copied; nil is every default. The worker ends with
// Close.
func NewStaticWorker(ep *rpcnet.Endpoint, cfg *WorkerConfig) (*Worker, error) {
	return newWorker(ep, "", cfg)
}
