package cluster

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/internal/gossip"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A Node is one member's own side of a cluster: its view of the others and its
// place among them. Its methods are safe for concurrent use. After Close or
// Leave the view stays as it was last; changes fail with
// [rpcnet.CodeUnavailable].
type Node struct {
	cfg       Config // populated; immutable
	ep        *rpcnet.Endpoint
	id        string
	advertise netip.AddrPort // with the zone, of those that need one
	guessed   bool           // advertise is a guess
	transport *gossip.Transport
	list      *memberlist.Memberlist
	remove    func() // takes the node off the endpoint
	// namesBound: Config.VerifyNode is set. Immutable.
	namesBound bool
	log        *slog.Logger
	lines      *loglimit.Limiter // of what others cause

	inbox inbox        // what memberlist has told; a leaf lock of its own
	tags  atomic.Value // Tags, this node's
	// certificate is the node's own as it was seen last (the run goroutine's), and
	// serverName the name that others verify it by.
	certificate *x509.Certificate
	serverName  atomic.Pointer[string]
	told        toldNames // of others
	leaving     atomic.Bool
	hash        atomic.Uint64 // of the ids memberlist holds alive, for AckPayload
	tagsMu      sync.Mutex    // one change of tags at a time
	listMu      sync.Mutex    // keeps list.Leave and list.Shutdown apart
	fails       probeFails    // failed probes until the next tick
	warned      warnings      // what was said about the configuration
	byStream    streamsOnly

	mu            sync.Mutex // guards what follows
	members       map[string]*member
	feed          feed // the last events, for subscribers
	toLog         eventLog
	counts        [StateFailed + 1]int // as last told to Metrics
	detector      detector
	health        int // as last told to Metrics
	unwell        time.Time
	stalled       time.Time // when this node last found that it had not run
	degraded      bool
	assigns       bool
	partitions    int             // KindPartitionDetected and KindPartitionHealed told so far
	asked         time.Time       // last roll call
	rolling       bool            // one is under way
	rolls         int             // complete ones since the detector was calm
	silent        map[string]bool // whom the last one did not reach, by id
	changed       time.Time       // last change of what memberlist holds alive
	lastLoss      time.Time       // last time a member left the view
	selectors     map[string]Selector
	drains        []func(context.Context)
	workerSources map[*byte]func() []WorkerSnapshot // of registries, see addWorkers
	streams       eventStreams                      // streams of Admin/Events; a lock of its own

	heal healer // owned by the run goroutine, but for its own lock

	// Work in the background, guarded by mu: who answers at which address, who
	// of two of one name lives, who of those declared dead does.
	questions                map[string]*question // by address
	askers, conflicts, calls pool

	joined   chan struct{} // closed when enough members are in the view
	joinOnce sync.Once
	stop     chan struct{} // closed to stop the run goroutine and all it started
	stopped  chan struct{} // closed when nothing of the node runs any more
	stopOnce sync.Once
	leaveMu  sync.Mutex
	work     sync.WaitGroup
	closing  bool // guarded by mu: no more work may start
}

// errStopped is what changes return after Close or Leave.
var errStopped error = stoppedError{}

type stoppedError struct{}

func (stoppedError) Error() string { return "cluster: the node has stopped" }

// Unwrap makes a handler that returns e fail with this code and text.
func (e stoppedError) Unwrap() error { return rpcnet.NewError(rpcnet.CodeUnavailable, e.Error()) }

// Join makes the endpoint a node of a cluster. The endpoint carries one node at
// a time; after Close or Leave it can join again, as a new boot.
//
// Without seeds the node is the first. With seeds, Join waits until one of them
// answers or the first attempt to reach them has failed, at most JoinTimeout; if
// none answers it returns a node that goes on trying in the background, or an
// error with WaitForSeed. ctx bounds Join alone. See [Node.Joined].
func Join(ctx context.Context, ep *rpcnet.Endpoint, config *Config) (*Node, error) {
	if config == nil {
		return nil, errors.New("cluster: Join needs a Config with at least a Name, got nil")
	}
	bound, nameless := config.VerifyNode != nil, config.Cluster == ""
	cfg := config.populate()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	advertise, guessed, err := advertiseAddr(ctx, &cfg, ep.Addr())
	if err != nil {
		return nil, err
	}
	boot := newBoot()
	n := &Node{
		cfg: cfg, ep: ep, id: cfg.Name + "@" + boot, advertise: advertise, guessed: guessed,
		log:        cfg.Logger.With("node", cfg.Name),
		lines:      loglimit.New(cfg.Logger.With("node", cfg.Name)),
		inbox:      inbox{wake: make(chan struct{}, 1)},
		members:    map[string]*member{},
		feed:       newFeed(),
		toLog:      eventLog{limit: gossip.Bucket{Rate: eventLines}},
		streams:    newEventStreams(),
		selectors:  map[string]Selector{},
		assigns:    true,
		silent:     map[string]bool{},
		namesBound: bound,
		questions:  map[string]*question{},
		askers:     pool{limit: maxAskers},
		conflicts:  pool{limit: maxConflictAskers},
		calls:      pool{limit: maxLastCalls},
		joined:     make(chan struct{}),
		stop:       make(chan struct{}),
		stopped:    make(chan struct{}),
	}
	n.detector = newDetector(&n.cfg)
	hook.Detector(ctx, n.describeDetector)
	n.heal.init()
	n.tags.Store(cfg.Tags.Clone())
	n.checkCertificate()
	if err := n.fits(cfg.Tags); err != nil {
		return nil, err
	}
	n.transport, err = gossip.New(gossip.Config{
		ID: n.id, Cluster: cfg.Cluster, Advertise: advertise, NamesBound: bound,
		Endpoint: hook.WrapSockets(ctx, advertise.String(), endpoint{n}),
		Started: func(id string) time.Time {
			_, boot, _ := splitID(id)
			return startOf(boot)
		},
		Observer: gossipMetrics{cfg.Metrics}, Contact: n.contact, Control: n.control, Dialed: n.dialed,
		Elsewhere: n.elsewhere,
	})
	if err != nil {
		return nil, err
	}
	n.list, err = memberlist.Create(n.listConfig())
	if err != nil {
		n.transport.Shutdown()
		return nil, fmt.Errorf("cluster: joining: %w", err)
	}
	n.heal.seeds = newSeeds(cfg.Seeds, loadMembers(&n.cfg, n.log), advertise.String())
	for _, s := range n.heal.seeds {
		n.standFor(s, nil, s.addrs)
	}
	n.drain() // this node is in its own view
	// From here on the endpoint may call the node, even to leave, which must
	// wait until the node can be taken off.
	n.leaveMu.Lock()
	n.remove, err = ep.Extend(n.extension())
	if err != nil {
		n.list.Shutdown()
		n.leaveMu.Unlock()
		return nil, fmt.Errorf("cluster: joining: %w", err)
	}
	if nameless {
		n.warnOfNoName()
	}
	n.spawn(n.run)
	n.spawn(n.checkSelf)
	n.leaveMu.Unlock()
	if err := n.firstContact(ctx); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// warnOfNoName tells that the cluster has no name of its own, which matters when
// seeds are given: a wrong one may be of another cluster without a name.
func (n *Node) warnOfNoName() {
	level := slog.LevelInfo
	if len(n.heal.seeds) > 0 {
		level = slog.LevelWarn
	}
	n.log.Log(backgroundCtx, level, "this cluster has no name of its own: through a wrong seed it would become one with any other "+
		"of the same certificate authority that has none either; give each a name with cluster.Config.Cluster", "cluster", n.cfg.Cluster)
}

// Endpoint returns the endpoint the node was made with.
func (n *Node) Endpoint() *rpcnet.Endpoint { return n.ep }

// Joined returns a channel that is closed when the node has joined: when another
// member is in the view or, with Config.ExpectNodes, as many as that; at once if
// the node has no seeds (its own address is none) and expects nobody. It stays
// closed.
func (n *Node) Joined() <-chan struct{} { return n.joined }

// Done returns a channel that is closed when the node has stopped.
func (n *Node) Done() <-chan struct{} { return n.stopped }

// Self returns this node as a member.
func (n *Node) Self() Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members[n.id].Member
}

// Members returns the members present (alive, suspect or leaving), this node
// among them, sorted by name and boot. The slice is the caller's.
func (n *Node) Members() []Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.present()
}

// Gone returns the members that have left or failed and are not forgotten yet,
// sorted. A failed one is dialled again for Config.Discovery.ReconnectFor; one that left
// or was replaced is forgotten after a few minutes.
func (n *Node) Gone() []Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ms []Member
	for _, m := range n.members {
		if !m.State.Present() && !m.hidden {
			ms = append(ms, m.Member)
		}
	}
	slices.SortFunc(ms, compareMembers)
	return ms
}

// Lookup returns the member of that name; of several, the newest boot that is
// present, or else the newest that is gone. ok is false if there is none.
func (n *Node) Lookup(name string) (m Member, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.members {
		if o.Name != name || o.hidden {
			continue
		}
		better := o.State.Present() && !m.State.Present() || o.State.Present() == m.State.Present() && o.Boot > m.Boot
		if !ok || better {
			m, ok = o.Member, true
		}
	}
	return m, ok
}

// NodesWith returns the present members whose tags match the selector, sorted.
// The selector's text is parsed once per node; a bad one is a
// [rpcnet.CodeInvalidArgument].
func (n *Node) NodesWith(selector string) ([]Member, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.selectors[selector]
	if !ok {
		var err error
		if s, err = ParseSelector(selector); err != nil {
			return nil, err
		}
		if len(n.selectors) >= 1024 { // made from data, then: start over
			clear(n.selectors)
		}
		n.selectors[selector] = s
	}
	return slices.DeleteFunc(n.present(), func(m Member) bool { return !s.Matches(m.Tags) }), nil
}

// Select is NodesWith for a parsed selector.
func (n *Node) Select(s Selector) []Member {
	return slices.DeleteFunc(n.Members(), func(m Member) bool { return !s.Matches(m.Tags) })
}

// Assigns reports whether this node may assign work: always, except until as
// many members as Config.ExpectNodes have been in the view, and on the smaller
// side of a partition when Config.Partition.OnMinority has said no, for as long as the
// partition lasts: until the others are back or known to be gone.
func (n *Node) Assigns() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.assigns && (n.cfg.ExpectNodes == 0 || n.isJoined())
}

// Partition returns the partition this node finds itself in, and false if there
// is none.
func (n *Node) Partition() (Partition, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.detector.current()
}

// present returns the members of the view, sorted. The caller holds mu.
func (n *Node) present() []Member {
	ms := make([]Member, 0, len(n.members))
	for _, m := range n.members {
		if m.State.Present() && !m.hidden {
			ms = append(ms, m.Member)
		}
	}
	slices.SortFunc(ms, compareMembers)
	return ms
}

// SetTags replaces the node's tags. It fails, and changes nothing, if they are
// not valid or larger than [maxTagsSize]. It returns when this node's own view
// shows them; the others hear of it through gossip, usually within 0.2 s.
func (n *Node) SetTags(tags Tags) error {
	return n.changeTags(func(Tags) Tags { return tags.Clone() })
}

// UpdateTags sets these tags and keeps the others. As [Node.SetTags].
func (n *Node) UpdateTags(tags Tags) error {
	return n.changeTags(func(t Tags) Tags {
		for k, v := range tags {
			t[k] = v
		}
		return t
	})
}

// RemoveTags removes tags; those that are not there are no error. As
// [Node.SetTags].
func (n *Node) RemoveTags(keys ...string) error {
	return n.changeTags(func(t Tags) Tags {
		for _, k := range keys {
			delete(t, k)
		}
		return t
	})
}

func (n *Node) changeTags(change func(Tags) Tags) error {
	n.tagsMu.Lock()
	defer n.tagsMu.Unlock()
	select {
	case <-n.stop:
		return errStopped
	default:
	}
	old := n.tags.Load().(Tags)
	copied := Tags{}
	for k, v := range old {
		copied[k] = v
	}
	tags := change(copied)
	if err := cmp.Or(tags.Validate(), n.fits(tags)); err != nil {
		return err
	}
	if tags.Equal(old) {
		return nil
	}
	n.tags.Store(tags)
	return n.announce()
}

// announce makes memberlist take and spread this node's meta. The caller holds
// tagsMu.
func (n *Node) announce() error {
	if !n.begin() {
		return errStopped
	}
	defer n.work.Done()
	// The time-out is for waiting until the message was sent, which nobody
	// needs; what must happen now has happened before that wait.
	n.list.UpdateNode(time.Nanosecond)
	n.drain()
	return nil
}

// begin counts a piece of work that Close waits for, unless the node stops.
func (n *Node) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return false
	}
	n.work.Add(1)
	return true
}

// spawn runs f on a goroutine that Close waits for.
func (n *Node) spawn(f func()) {
	if n.begin() {
		go func() {
			defer n.work.Done()
			f()
		}()
	}
}

// Close stops the node without a word: to the others it has crashed. It
// returns when nothing of the node uses the endpoint any more, which is then free
// to join again; a probe that was under way sleeps on for a moment. It is
// idempotent and never fails.
func (n *Node) Close() error {
	n.stopOnce.Do(func() {
		n.mu.Lock()
		n.closing = true
		n.mu.Unlock()
		close(n.stop)
		n.remove()
		n.listMu.Lock()
		n.list.Shutdown() // shuts the transport down, which ends all dials
		n.listMu.Unlock()
		n.work.Wait()
		n.mu.Lock()
		n.logEvents()
		n.mu.Unlock()
		n.lines.Close()
		close(n.stopped)
	})
	<-n.stopped
	return nil
}
