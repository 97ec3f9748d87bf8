package cluster

import (
	"context"
	"iter"
	"sync"
	"time"
)

// subscriberQueue is how many events wait for a subscriber before they are
// given up for one Resync.
const subscriberQueue = 1024

// A subscriber is one running Watch. The node's events go into its queue under
// the node's lock; its own loop takes them out. A full queue is thrown away:
// the subscriber then gets a Resync, made when it comes to read it.
type subscriber struct {
	mu     sync.Mutex
	queue  []Event
	missed bool
	wake   chan struct{} // capacity 1
}

func (s *subscriber) push(e Event) {
	s.mu.Lock()
	if s.missed || len(s.queue) >= subscriberQueue {
		s.missed, s.queue = true, nil
	} else {
		s.queue = append(s.queue, e)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Watch returns the members as they are, one NodeJoined each with Initial set
// sorted by name, and then every change, in order. Each range over it is a
// subscription of its own, from the moment the range begins; it ends when ctx
// does, when the loop is left, or after the last event of a node that has
// stopped. A loop that does not come to read holds up nobody: after 1 024
// events it misses some and gets a Resync with the present members instead.
func (n *Node) Watch(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		s := &subscriber{wake: make(chan struct{}, 1)}
		n.mu.Lock()
		for _, m := range n.present() {
			s.queue = append(s.queue, Event{Seq: n.seq, Time: time.Now(), Kind: NodeJoined, Member: m, Initial: true})
		}
		n.subscribers[s] = struct{}{}
		n.mu.Unlock()
		defer func() {
			n.mu.Lock()
			delete(n.subscribers, s)
			n.mu.Unlock()
		}()
		for {
			stopped := false
			select {
			case <-n.stopped:
				stopped = true // whatever is in the queue is the last
			default:
			}
			for _, e := range n.take(s) {
				if ctx.Err() != nil || !yield(e) {
					return
				}
			}
			if stopped {
				return
			}
			select {
			case <-s.wake:
			case <-n.stopped:
			case <-ctx.Done():
				return
			}
		}
	}
}

// take empties the queue of a subscriber.
func (n *Node) take(s *subscriber) []Event {
	s.mu.Lock()
	events, missed := s.queue, s.missed
	s.queue = nil
	s.mu.Unlock()
	if !missed {
		return events
	}
	// The view and the end of the gap must be one moment: no event is pushed
	// while the node's lock is held.
	n.mu.Lock()
	defer n.mu.Unlock()
	s.mu.Lock()
	s.missed, s.queue = false, nil
	s.mu.Unlock()
	return []Event{{Seq: n.seq, Time: time.Now(), Kind: Resync, Members: n.present()}}
}
