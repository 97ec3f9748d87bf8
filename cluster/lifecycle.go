package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

// A lifecycle is where the node stands between Join and the end:
//
//	Join -> running -> Leave: leaving -> drains done, left -> Close
//	           |                                               |
//	           +-------- Close: stopping, work ends -> stopped +
//
// What runs on behalf of the node is counted from begin or spawn, which refuse when it
// stops, so that Close can wait for all of it.
type lifecycle struct {
	n        *Node
	joined   chan struct{} // closed when enough members are in the view
	stop     chan struct{} // closed to stop the run goroutine and all it started
	stopped  chan struct{} // closed when nothing of the node runs any more
	joinOnce sync.Once     // guards the close of joined
	stopOnce sync.Once     // guards close
	leaveMu  sync.Mutex    // one Leave at a time; Join holds it until the node can leave
	listMu   sync.Mutex    // keeps list.Leave and list.Shutdown apart
	remove   func()        // takes the node off the endpoint; immutable once leaveMu is free

	mu      sync.Mutex // guards what follows; a leaf
	work    sync.WaitGroup
	closing bool // no more work may start
	drains  []func(context.Context)
}

// newLifecycle returns the lifecycle of a node that has not started. Its remove is set
// when the node is on the endpoint.
func newLifecycle(n *Node) *lifecycle {
	return &lifecycle{n: n, joined: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// join notes that the node has joined: enough members are or were in the view. It is
// idempotent, and does not block.
func (l *lifecycle) join() { l.joinOnce.Do(func() { close(l.joined) }) }

// hasJoined reports whether the node has joined.
func (l *lifecycle) hasJoined() bool { return contexts.Closed(l.joined) }

// stopping reports whether the node stops or has stopped.
func (l *lifecycle) stopping() bool { return contexts.Closed(l.stop) }

// begin counts a piece of work that Close waits for, unless the node stops. The caller
// calls work.Done.
func (l *lifecycle) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	l.work.Add(1)
	return true
}

// spawn runs f on a goroutine that Close waits for. It reports false if the node stops.
func (l *lifecycle) spawn(f func()) bool {
	if !l.begin() {
		return false
	}
	go func() {
		defer l.work.Done()
		f()
	}()
	return true
}

// onLeave registers what leave runs after it has announced that the node leaves. All that
// are registered run at the same time, and leave waits for all of them.
func (l *lifecycle) onLeave(f func(context.Context)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drains = append(l.drains, f)
}

// close is [Node.Close]. The order matters: no work may begin before the endpoint gives
// up the node; memberlist's end makes dials fail that the work waits for; and the log
// is complete before those who watch see the end.
func (l *lifecycle) close() {
	l.stopOnce.Do(func() {
		l.mu.Lock()
		l.closing = true
		l.mu.Unlock()
		close(l.stop)
		l.remove()
		l.listMu.Lock()
		l.n.list.Shutdown() // shuts the transport down, which ends all dials
		l.listMu.Unlock()
		l.work.Wait()
		l.n.view.mu.Lock()
		l.n.view.writeLog()
		l.n.view.mu.Unlock()
		l.n.lines.Close()
		close(l.stopped)
	})
	<-l.stopped
}

// leave is [Node.Leave]. Members hear first that the node will leave, so that they send
// it no new work, and then, when what runs on it has ended, that it has left.
func (l *lifecycle) leave(ctx context.Context) error {
	l.leaveMu.Lock()
	defer l.leaveMu.Unlock()
	if l.stopping() || l.n.self.announceLeaving() != nil {
		return nil
	}
	l.mu.Lock()
	drains := slices.Clone(l.drains)
	l.mu.Unlock()
	var wg sync.WaitGroup
	for _, f := range drains {
		wg.Go(func() { f(ctx) })
	}
	wg.Wait()
	err := l.announceLeft(ctx)
	l.close()
	return err
}

// announceLeft makes the others see that this node has left: by packets, by memberlist's
// own farewell, and by streams to those that packets do not reach. An error says that the
// farewell may not have reached the others, which then find the node failed.
func (l *lifecycle) announceLeft(ctx context.Context) error {
	if !l.begin() {
		return nil
	}
	defer l.work.Done()
	l.listMu.Lock() // Leave panics if the list is shut down meanwhile
	defer l.listMu.Unlock()
	if l.stopping() {
		return nil
	}
	// The fastest word: each member that packets reach knows at once.
	endpoint{l.n}.sendControl(controlLeft)
	// Left and failed look alike to memberlist's callbacks, so that the flag in
	// the meta, which announceLeaving has spread, must be everywhere first.
	// The control packets are faster; this is for those who missed them.
	spread := l.n.cfg.Detection.GossipInterval * 2
	l.n.reach.exchangeByStream(ctx)
	if !l.pause(ctx, spread) {
		return nil
	}
	wait := time.Second
	if d, ok := ctx.Deadline(); ok {
		wait = max(time.Millisecond, min(wait, time.Until(d)))
	}
	err := l.n.list.Leave(wait)
	l.n.view.drain()
	l.n.reach.exchangeByStream(ctx)
	if err != nil && len(l.n.view.others()) > 0 {
		return fmt.Errorf("cluster: leaving: %w", err)
	}
	l.pause(ctx, l.n.cfg.LeaveDelay)
	return nil
}

// pause waits, and reports whether the node did not stop meanwhile. It ends early with
// ctx, so that the node leaves the faster.
func (l *lifecycle) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return true
	case <-l.stop:
		return false
	}
}

// context returns a context that is done when the node stops.
func (l *lifecycle) context() context.Context { return contexts.Until(l.stop) }
