package cluster

import (
	"context"
	"iter"
	"time"
)

// A subscriber is one running Watch: its place in the node's feed. Its own loop
// owns it.
type subscriber struct {
	node    *Node
	initial []Member // the members of the beginning that are still to be told; shared
	started time.Time
	seq     uint64 // the last event that it has had
}

// Watch returns the members as they are, one KindNodeJoined each with Initial set
// sorted by name, and then every change, in order. Each range over it is a
// subscription of its own, from the moment the range begins; it ends when ctx
// does, when the loop is left, or after the last event of a node that has
// stopped. A loop that does not come to read holds up nobody and costs nothing:
// when it has fallen 1 024 events behind it gets a KindResync with the present members
// instead of what it missed.
func (n *Node) Watch(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		s := &subscriber{node: n, started: time.Now()}
		n.mu.Lock()
		s.initial, s.seq = n.view(), n.feed.seq
		n.mu.Unlock()
		for {
			stopped := false
			select {
			case <-n.stopped:
				stopped = true // what is in the feed now is all there will be
			default:
			}
			e, changed := s.next()
			switch {
			case e != nil:
				if ctx.Err() != nil || !yield(*e) {
					return
				}
				continue
			case stopped:
				return
			}
			select {
			case <-changed:
			case <-n.stopped:
			case <-ctx.Done():
				return
			}
		}
	}
}

// next returns the next event for the subscriber; if there is none yet, nil and
// what is closed when there is.
func (s *subscriber) next() (e *Event, changed <-chan struct{}) {
	if len(s.initial) > 0 {
		m := s.initial[0]
		if s.initial = s.initial[1:]; len(s.initial) == 0 {
			s.initial = nil
		}
		return &Event{Seq: s.seq, Time: s.started, Kind: KindNodeJoined, Member: m, Initial: true}, nil
	}
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	f := &s.node.feed
	e, missed := f.after(s.seq)
	switch {
	case missed:
		s.seq = f.seq
		return &Event{Seq: f.seq, Time: time.Now(), Kind: KindResync, Members: s.node.view()}, nil
	case e != nil:
		s.seq++
	}
	return e, f.changed
}

// view returns the members present, as the last event has left them, in a slice
// that all who ask before the next event share. The caller holds mu.
func (n *Node) view() []Member {
	if n.feed.view == nil || n.feed.viewSeq != n.feed.seq {
		n.feed.view, n.feed.viewSeq = n.present(), n.feed.seq
	}
	return n.feed.view
}
