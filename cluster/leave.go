package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Leave takes the node out of the cluster in good order: it announces that it
// will leave, so that nobody gives it new work; lets what runs on it finish, as
// long as ctx allows; tells all members that it has left, which they see as
// KindNodeLeft; goes on gossiping for LeaveDelay; and stops. A second call, or one
// after Close, does nothing. The endpoint stays open.
func (n *Node) Leave(ctx context.Context) error {
	n.leaveMu.Lock()
	defer n.leaveMu.Unlock()
	select {
	case <-n.stop:
		return nil
	default:
	}
	if err := n.announceLeaving(); err != nil {
		return nil // closed meanwhile
	}
	n.mu.Lock()
	drains := slices.Clone(n.drains)
	n.mu.Unlock()
	var wg sync.WaitGroup
	for _, f := range drains {
		wg.Go(func() { f(ctx) })
	}
	wg.Wait()
	err := n.tellLeft(ctx)
	n.Close()
	return err
}

// announceLeaving makes the others see this node as leaving. It is idempotent.
func (n *Node) announceLeaving() error {
	if n.leaving.Swap(true) {
		return nil
	}
	n.tellAll(controlLeaving)
	n.tagsMu.Lock()
	defer n.tagsMu.Unlock()
	return n.announce()
}

// tellLeft tells everybody that this node has left.
func (n *Node) tellLeft(ctx context.Context) error {
	if !n.begin() {
		return nil
	}
	defer n.work.Done()
	n.listMu.Lock() // Leave panics if the list is shut down meanwhile
	defer n.listMu.Unlock()
	select {
	case <-n.stop:
		return nil
	default:
	}
	n.tellAll(controlLeft)
	// Left and failed look alike to memberlist's callbacks, so that the flag in
	// the meta, which announceLeaving has spread, must be everywhere first.
	// The control packets are faster; this is for those who missed them.
	spread := n.cfg.Detection.GossipInterval * 2
	n.tellByStream(ctx)
	if !n.pause(ctx, spread) {
		return nil
	}
	wait := time.Second
	if d, ok := ctx.Deadline(); ok {
		wait = max(time.Millisecond, min(wait, time.Until(d)))
	}
	err := n.list.Leave(wait)
	n.drain()
	n.tellByStream(ctx)
	if err != nil && n.alone() {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("cluster: leaving: %w", err)
	}
	n.pause(ctx, n.cfg.LeaveDelay)
	return nil
}

func (n *Node) alone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.present()) <= 1
}

// pause waits, and reports whether neither ctx nor the node ended meanwhile.
func (n *Node) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return true // leave the faster
	case <-n.stop:
		return false
	}
}
