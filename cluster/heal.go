package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

// memberlist joins when told and never again. What is missing is done here:
//
//   - seeds are dialled, and their names looked up again, for ever: often while
//     none of them is in the view, else now and then, for islands of the cluster;
//   - views stay partial after quick joins: a node that has joined exchanges
//     its full state with two random members after 0.3 s and after 1 s;
//   - two sides of a healed split do not look for each other: failed members
//     are dialled again;
//   - a node that shows up on its own (a hello, a packet) is joined;
//   - views that differ are noticed by the digest in every ack, and exchanged;
//   - every PushPullInterval a random member is exchanged with, as memberlist
//     would do on a goroutine of its own.

const (
	// reconnectIdle is the time between two attempts to reach failed members
	// when the last failure is more than reconnectBusy ago.
	reconnectIdle = 30 * time.Second
	reconnectBusy = time.Minute
	// contactInterval is the least time between two attempts to join a node
	// that showed up; maxContacts is how many are joined at once.
	contactInterval = 5 * time.Second
	maxContacts     = 4
	// Views of up to smallCluster nodes that differ for divergeSmall are
	// exchanged, larger ones after divergeLarge.
	smallCluster = 100
	divergeSmall = time.Second
	divergeLarge = 5 * time.Second
)

// resyncAfter is when a node that has joined exchanges state again.
var resyncAfter = [...]time.Duration{300 * time.Millisecond, time.Second}

// A healer keeps what the healing knows. The run goroutine drives it. Its lock
// comes before the node's: whoever holds the node's must not take it.
type healer struct {
	packetsLost sync.Once

	mu        sync.Mutex
	contacts  map[string]string    // nodes that showed up, with their addresses
	contacted map[string]time.Time // when they were joined last
	diverged  map[string]divergence
	busy      int       // contacts being joined
	lastLoss  time.Time // the loss that nextDial was planned for
	resyncs   []time.Time
	nextDial  time.Time
	nextSync  time.Time

	seeds    []*seed       // immutable
	seedSeen bool          // one of them is in the view; the run goroutine's
	seedLook time.Time     // when that was looked at; the run goroutine's
	seedWait time.Duration // the run goroutine's
	nextSeed time.Time     // the run goroutine's

	saved    []rememberedMember // what the file holds now; the run goroutine's
	savedAt  time.Time          // the run goroutine's
	nextPull time.Time          // the run goroutine's
}

// A divergence is a member whose view differs from this node's.
type divergence struct {
	addr  string
	since time.Time
}

func (h *healer) init() {
	h.contacts = map[string]string{}
	h.contacted = map[string]time.Time{}
	h.diverged = map[string]divergence{}
	h.seedWait, h.nextSeed = firstRetry, time.Now().Add(firstRetry)
}

func (h *healer) contact(id, addr string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.contacts) < 256 {
		h.contacts[id] = addr
	}
}

func (h *healer) compared(id, addr string, agrees bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if agrees {
		delete(h.diverged, id)
	} else if _, ok := h.diverged[id]; !ok && len(h.diverged) < 256 {
		h.diverged[id] = divergence{addr, now}
	}
}

func (h *healer) scheduleResync(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.resyncs = h.resyncs[:0]
	for _, d := range resyncAfter {
		h.resyncs = append(h.resyncs, now.Add(d))
	}
}

// exchange does a full exchange of state with the node at an address. With an
// id it fails if another node answers.
func (n *Node) exchange(id, addr string) error {
	if !n.begin() {
		return errStopped
	}
	defer n.work.Done()
	target := withoutZone(addr) // the transport knows it
	if id != "" {
		target = id + "/" + target
	}
	_, err := n.list.Join([]string{target})
	n.drain()
	if err == nil {
		return nil
	}
	// memberlist's error has a line for each address and drops the cause.
	if cause := n.transport.LastDialError(addr); cause != nil {
		return fmt.Errorf("%s: %w", addr, cause)
	}
	return fmt.Errorf("%s: %w", addr, err)
}

// heals does what is due. The run goroutine calls it at every tick.
func (n *Node) heals(now time.Time) {
	n.healSeeds(now)
	n.healContacts(now)
	n.healFailed(now)
	n.healViews(now)
	n.pushPull(now)
}

// jitter returns a duration between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// healContacts joins nodes that showed up.
func (n *Node) healContacts(now time.Time) {
	h := &n.heal
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, t := range h.contacted {
		if now.Sub(t) > contactInterval {
			delete(h.contacted, id)
		}
	}
	for id, addr := range h.contacts {
		if h.busy >= maxContacts {
			return
		}
		delete(h.contacts, id)
		if _, recently := h.contacted[id]; recently || !n.transport.Hearsay().Take(1, now) {
			continue // it shows up again
		}
		h.contacted[id] = now
		h.busy++
		n.spawn(func() {
			if !n.listed(id) {
				n.exchange(id, addr)
			}
			h.mu.Lock()
			h.busy--
			h.mu.Unlock()
		})
	}
}

func (n *Node) listed(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[id]
	return m != nil && (m.listed || m.final() || m.replaced)
}

// healFailed dials a failed member: every ReconnectInterval ±50 % in the first
// minute after a failure, then every 30 s, with a chance of failed/alive that is
// at least a half in small clusters (one node with a hole must not wait for the
// law of large numbers), or a tenth in large ones.
func (n *Node) healFailed(now time.Time) {
	h := &n.heal
	n.mu.Lock()
	lastLoss := n.lastLoss
	n.mu.Unlock()
	h.mu.Lock()
	newLoss, due := h.lastLoss != lastLoss, now.After(h.nextDial)
	if newLoss || due {
		interval := reconnectIdle
		if now.Sub(lastLoss) < reconnectBusy {
			interval = n.cfg.Discovery.ReconnectInterval
		}
		h.lastLoss = lastLoss
		if next := now.Add(interval/2 + rand.N(interval)); due || next.Before(h.nextDial) {
			h.nextDial = next
		}
	}
	h.mu.Unlock()
	if !due {
		return
	}
	var failed []Member
	alive := 0
	n.mu.Lock()
	newest := n.newest()
	for _, m := range n.members {
		switch {
		case m.listed:
			alive++
		case m.State == StateFailed && !m.replaced && !m.hidden && newest[m.Name] <= m.Boot:
			failed = append(failed, m.Member)
		}
	}
	n.mu.Unlock()
	if len(failed) == 0 {
		return
	}
	floor := 0.5
	if alive > smallCluster {
		floor = 0.1
	}
	if alive > 1 && rand.Float64() > max(floor, float64(len(failed))/float64(alive)) {
		return
	}
	m := failed[rand.N(len(failed))]
	n.spawn(func() {
		if n.exchange(m.ID(), m.Addr) == nil {
			n.exchangeRandom(2)
		}
	})
}

// newest returns the newest present boot of each name. The caller holds mu.
func (n *Node) newest() map[string]string {
	boots := make(map[string]string, len(n.members))
	for _, m := range n.members {
		if m.State.Present() && m.Boot > boots[m.Name] {
			boots[m.Name] = m.Boot
		}
	}
	return boots
}

// exchangeRandom exchanges state with k random members.
func (n *Node) exchangeRandom(k int) {
	var ms []Member
	for _, m := range n.Members() {
		if m.ID() != n.id {
			ms = append(ms, m)
		}
	}
	rand.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
	for _, m := range ms[:min(k, len(ms))] {
		n.exchange(m.ID(), m.Addr)
	}
}

// healViews exchanges state after joining, and with members whose view differs.
func (n *Node) healViews(now time.Time) {
	h := &n.heal
	h.mu.Lock()
	if len(h.resyncs) > 0 && now.After(h.resyncs[0]) {
		h.resyncs = h.resyncs[1:]
		h.mu.Unlock()
		n.spawn(func() { n.exchangeRandom(2) })
		return
	}
	h.mu.Unlock()

	n.mu.Lock()
	size, changed := len(n.members), n.changed
	n.mu.Unlock()
	patience := divergeSmall
	if size > smallCluster {
		patience = divergeLarge
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(changed) < patience || now.Before(h.nextSync) {
		return
	}
	for id, d := range h.diverged {
		if now.Sub(d.since) < patience {
			continue
		}
		delete(h.diverged, id)
		h.nextSync = now.Add(jitter(2 * patience))
		n.spawn(func() {
			if n.listed(id) {
				n.exchange(id, d.addr)
			}
		})
		return
	}
}

// pushPull exchanges state with a random member when it is time: every
// PushPullInterval, longer by the binary logarithm of the cluster above 32
// members, as memberlist scales it.
func (n *Node) pushPull(now time.Time) {
	h := &n.heal
	if now.Before(h.nextPull) {
		return
	}
	n.mu.Lock()
	size := len(n.members)
	n.mu.Unlock()
	interval := n.cfg.Detection.PushPullInterval
	if size > 32 {
		interval *= time.Duration(math.Ceil(math.Log2(float64(size))-5)) + 1
	}
	if h.nextPull.IsZero() { // not all in step
		h.nextPull = now.Add(rand.N(interval))
		return
	}
	h.nextPull = now.Add(interval)
	n.spawn(func() { n.exchangeRandom(1) })
}

// stopContext is done when the node stops.
func (n *Node) stopContext() context.Context { return contexts.Until(n.stop) }

// dialed is told how each gossip dial ended: evidence about who is where.
func (n *Node) dialed(want, addr string, err error) {
	var other *gossip.OtherNodeError
	refused := errors.Is(err, syscall.ECONNREFUSED)
	if !refused && !errors.As(err, &other) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for _, m := range n.members {
		if m.Addr != addr || m.ID() == n.id {
			continue
		}
		switch {
		case other != nil && m.ID() == other.Want && m.State.Present():
			n.condemn(m, causeReplaced, now)
		case other != nil && m.ID() == other.Want:
			m.replaced = true
		case refused && !m.State.Present():
			m.refused = true
		}
	}
	if other != nil {
		n.settle(addr, other.Got, now)
	}
	if len(n.toLog.queue) > 0 {
		n.judged()
	}
}
