package cluster

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster/internal/members"
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
	// that showed up, exchangeTime what it has to end an exchange of its own before, and
	// maxContacts how many are joined at once.
	contactInterval = 5 * time.Second
	exchangeTime    = 500 * time.Millisecond
	maxContacts     = 4
	// maxShown is how many nodes that showed up, or whose views differ, are remembered.
	maxShown = 256
	// Views of up to smallCluster nodes that differ for divergeSmall are
	// exchanged, larger ones after divergeLarge.
	smallCluster = 100
	divergeSmall = time.Second
	divergeLarge = 5 * time.Second
)

// resyncAfter is when a node that has joined exchanges state again.
var resyncAfter = [...]time.Duration{300 * time.Millisecond, time.Second}

// A healer brings views together that differ. The run goroutine drives it. Its lock
// comes before the view's: a holder of the view's must not take it.
type healer struct {
	n        *Node
	nextPull time.Time // the run goroutine's, as the next
	putOff   time.Time // since when exchanges are put off; zero if they are not
	// checkedSelf says that this node has dialled itself.
	checkedSelf bool

	mu        sync.Mutex           // guards what follows
	contacts  map[string]contact   // nodes that showed up
	contacted map[string]time.Time // when they were joined last
	diverged  map[string]divergence
	busy      int       // contacts being joined
	lastLoss  time.Time // the loss that nextDial was planned for
	resyncs   []time.Time
	nextDial  time.Time
	nextSync  time.Time
}

// A contact is where a node that showed up is, and when it is to be joined.
type contact struct {
	addr string
	due  time.Time
}

// A divergence is a member whose view differs from this node's, and since when.
type divergence struct {
	addr  string
	since time.Time
}

// newHealer returns a healer that knows of nothing to heal.
func newHealer(n *Node) *healer {
	return &healer{n: n, contacts: map[string]contact{}, contacted: map[string]time.Time{}, diverged: map[string]divergence{}}
}

// contact notes that a node which is not in the view has proved itself to the transport.
// The run goroutine joins it before long. More than maxShown at a time are dropped: they
// show up again. One that has begun an exchange itself, as every newcomer does, has
// exchangeTime to end it.
func (h *healer) contact(id, addr string, exchanges bool, now time.Time) {
	due := now
	if exchanges {
		due = now.Add(h.n.prober.late.Patience(exchangeTime))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, known := h.contacts[id]; known && c.due.Before(due) {
		return
	}
	if len(h.contacts) < maxShown {
		h.contacts[id] = contact{addr, due}
	}
}

// compared notes whether the view of a member that was probed agrees with this node's.
// memberlist calls it for each probe that was answered, so that it must be quick.
func (h *healer) compared(id, addr string, agrees bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if agrees {
		delete(h.diverged, id)
	} else if _, ok := h.diverged[id]; !ok && len(h.diverged) < maxShown {
		h.diverged[id] = divergence{addr, now}
	}
}

// scheduleResync notes that the node has joined now: what others told of while this node
// was not known to them yet reaches it by two more exchanges.
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
func (h *healer) exchange(id, addr string) error {
	n := h.n
	if !n.life.begin() {
		return errStopped
	}
	defer n.life.work.Done()
	// memberlist parses the address, and knows no zones; the transport knows the zone.
	target := withoutZone(addr)
	if id != "" {
		target = id + "/" + target
	}
	_, err := n.list.Join([]string{target})
	n.view.drain()
	if err == nil {
		return nil
	}
	// memberlist's error has a line for each address and drops the cause.
	if cause := n.transport.LastDialError(addr); cause != nil {
		return fmt.Errorf("%s: %w", addr, cause)
	}
	return fmt.Errorf("%s: %w", addr, err)
}

// heal does what is due. The run goroutine calls it at every tick.
func (h *healer) heal(now time.Time) {
	h.joinContacts(now)
	if h.putsOff(now) {
		return
	}
	if !h.checkedSelf {
		h.checkedSelf = true
		h.n.life.spawn(h.n.reach.checkSelf)
	}
	h.reconnect(now)
	h.compareViews(now)
	h.pushPull(now)
}

// jitter returns a duration between half of d and d, so that nodes that started together do
// not do things together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// joinContacts exchanges state with nodes that showed up, each at most once in
// contactInterval, and at most maxContacts at a time: a node that makes up others must
// not keep this one busy.
func (h *healer) joinContacts(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, t := range h.contacted {
		if now.Sub(t) > contactInterval {
			delete(h.contacted, id)
		}
	}
	for id, c := range h.contacts {
		if h.busy >= maxContacts {
			return
		}
		if now.Before(c.due) {
			continue
		}
		delete(h.contacts, id)
		if _, recently := h.contacted[id]; recently || !h.n.transport.Hearsay().Take(1, now) {
			continue // it shows up again
		}
		h.contacted[id] = now
		h.busy++
		h.n.life.spawn(func() {
			if !h.settled(id) {
				h.exchange(id, c.addr)
			}
			h.mu.Lock()
			h.busy--
			h.mu.Unlock()
		})
	}
}

// settled reports whether there is no need to exchange state with a member: see
// [members.Table.Settled].
func (h *healer) settled(id string) (is bool) {
	h.n.view.with(func(t *members.Table) { is = t.Settled(id) })
	return is
}

// reconnect dials a failed member: every ReconnectInterval ±50 % in the first
// minute after a failure, then every 30 s, with a chance of failed/alive that is
// at least a half in small clusters (one node with a hole must not wait for the
// law of large numbers), or a tenth in large ones.
func (h *healer) reconnect(now time.Time) {
	var lastLoss time.Time
	h.n.view.with(func(t *members.Table) { lastLoss = t.LastLoss() })
	h.mu.Lock()
	newLoss, due := h.lastLoss != lastLoss, now.After(h.nextDial)
	// A loss brings the next attempt forward: the lost are perhaps on the far side of a split
	// that has just healed. Every node draws its own time, so that not all dial at once.
	if newLoss || due {
		interval := reconnectIdle
		if now.Sub(lastLoss) < reconnectBusy {
			interval = h.n.cfg.Discovery.ReconnectInterval
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
	var failed []members.Member
	alive := 0
	h.n.view.with(func(t *members.Table) { failed, alive = t.Reconnectable() })
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
	h.n.life.spawn(func() {
		if h.exchange(m.ID(), m.Addr) == nil {
			h.exchangeRandom(2)
		}
	})
}

// exchangeRandom exchanges state with k random members, one after another. An exchange
// that fails is not repeated: another member is chosen the next time.
func (h *healer) exchangeRandom(k int) {
	ms := h.n.view.others()
	rand.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
	for _, m := range ms[:min(k, len(ms))] {
		h.exchange(m.ID(), m.Addr)
	}
}

// compareViews exchanges state after joining, and with a member whose view has differed
// for longer than gossip needs to spread a change. One exchange at a time: it may make
// the other views agree as well.
func (h *healer) compareViews(now time.Time) {
	h.mu.Lock()
	if len(h.resyncs) > 0 && now.After(h.resyncs[0]) {
		h.resyncs = h.resyncs[1:]
		h.mu.Unlock()
		h.n.life.spawn(func() { h.exchangeRandom(2) })
		return
	}
	h.mu.Unlock()

	var size int
	var changed time.Time
	h.n.view.with(func(t *members.Table) { size, changed = t.Size(), t.Changed() })
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
		h.n.life.spawn(func() {
			if h.settled(id) {
				h.exchange(id, d.addr)
			}
		})
		return
	}
}

// pushPull exchanges state with a random member when it is time: every
// PushPullInterval, longer by the binary logarithm of the cluster above 32
// members, as memberlist scales it.
func (h *healer) pushPull(now time.Time) {
	if now.Before(h.nextPull) {
		return
	}
	size := 0
	h.n.view.with(func(t *members.Table) { size = t.Size() })
	interval := h.n.cfg.Detection.PushPullInterval
	if size > 32 {
		interval *= time.Duration(math.Ceil(math.Log2(float64(size))-5)) + 1
	}
	if h.nextPull.IsZero() { // not all in step
		h.nextPull = now.Add(rand.N(interval))
		return
	}
	h.nextPull = now.Add(interval)
	h.n.life.spawn(func() { h.exchangeRandom(1) })
}
