package workers

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// ErrNoWorker is what a choice fails with when no worker can be chosen; the
// error's text says what was asked for and what is wrong with those there are.
// Its code is Unavailable, and the call was not made.
var ErrNoWorker = failover.ErrNoWorker

// A Registry is a node's live view of the workers of its cluster: who is
// there, whether they answer, what they have to do. It chooses among them.
//
// A worker is a life of a node: a restarted one is a new worker, and changes of
// tags and address are seen by the next choice. Of two lives of one name that
// are present at once the newer boot is the worker, and the other when that one
// is gone or says that it leaves. To each worker the registry
// keeps a small connection of its own, on which the worker reports its load
// every 20 ms while it changes and sends a heartbeat otherwise; phi accrual
// over those heartbeats, a broken connection, and the node's events decide who
// can be chosen.
//
// Its methods are safe for concurrent use. A registry owns one goroutine that
// follows the node's events, one that checks deadlines every 20 ms, one per
// worker that reads its reports, and short ones that ping late workers or close
// connections to those that are gone. mu guards all state; nothing blocks while
// it is held.
type Registry struct {
	cfg      RegistryConfig
	selector cluster.Selector
	node     membership
	ep       *rpcnet.Endpoint
	cluster  string    // its name; "" where there is none
	origin   time.Time // instants are durations since
	log      *slog.Logger
	lines    *loglimit.Limiter                                                 // to log, of what peers can cause
	gate     *gate                                                             // of dials to workers that are only heard of
	tellPhi  func(worker string, level float64, gone bool)                     // cluster.Metrics.Phi
	dial     func(ctx context.Context, m cluster.Member) (*rpcnet.Conn, error) // to control streams
	// Whether a late worker lives is asked by gossip's packets (nil for a registry
	// without a node) and over its control connection.
	packets func(cluster.Member) bool
	unview  func() // takes what it tells out of the node's view
	probe   func(context.Context, rpcnet.Transport) error

	ctx    context.Context // of everything the registry runs
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	pool    *load.Pool
	zone    string
	workers map[string]*worker        // by Member.ID
	standby map[string]cluster.Member // present lives of names that have a better one, by Member.ID
	groups  map[string]*group         // by selector
	owned   map[string]int            // how many of them each caller has
	uses    uint64                    // clock of groups
	stall   *phi.Stall
	toldPhi time.Duration                // when the levels were last told to Metrics
	paced   reportHello                  // what was last told to all workers
	changed chan struct{}                // closed and replaced when the set of ready workers changes
	conns   map[*failover.Conns]struct{} // connections to close when a worker is gone
}

// A worker is the registry's record of one worker; mu of the registry
// guards it, but for what is immutable: id, name, boot.
type worker struct {
	id      string // Member.ID
	member  cluster.Member
	load    *load.Candidate
	monitor *phi.Monitor
	conn    *rpcnet.Conn       // of the control stream, present or last
	broken  bool               // the control stream is not there
	seen    bool               // there was one
	proven  string             // the address that has answered last as a worker
	reason  string             // why the control stream is not there
	left    bool               // says that it leaves, or is gone by the node's view
	ready   bool               // could be chosen when last looked at
	vouched int                // pings it has answered since its last heartbeat
	since   time.Duration      // of its first report
	stop    context.CancelFunc // ends its goroutine
	again   chan struct{}      // its address has changed: dial again; capacity 1
}

// NewRegistry returns a registry that follows the node until it stops or
// Close is called. cfg is copied; nil is every default.
func NewRegistry(node *cluster.Node, cfg *RegistryConfig) (*Registry, error) {
	r, err := newRegistry(node.Endpoint(), node, cfg)
	if err != nil {
		return nil, err
	}
	r.attach(node)
	r.unview = nodes.AddWorkers(node, r.view)
	r.start()
	return r, nil
}

// newRegistry returns a registry that does not run yet.
func newRegistry(ep *rpcnet.Endpoint, members membership, config *RegistryConfig) (*Registry, error) {
	cfg := config.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	selector, err := cluster.ParseSelector(cfg.Selector)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		cfg: cfg, selector: selector, node: members, ep: ep,
		origin: time.Now(), log: cfg.Logger, lines: loglimit.New(cfg.Logger), gate: newGate(), tellPhi: func(string, float64, bool) {}, zone: cfg.Zone,
		workers: map[string]*worker{}, standby: map[string]cluster.Member{}, groups: map[string]*group{}, owned: map[string]int{},
		conns: map[*failover.Conns]struct{}{}, probe: failover.Ping,
		unview: func() {}, stall: phi.NewStall(checkEvery), changed: make(chan struct{}),
	}
	r.pool = load.NewPool(randomID(), rand.New(rand.NewPCG(randomID(), randomID())))
	r.dial = func(ctx context.Context, m cluster.Member) (*rpcnet.Conn, error) {
		cfg := dialConfig(ep, m.Addr, m.ServerName)
		return ep.Dial(ctx, m.Addr, &cfg)
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// attach makes the registry one of workers in the node's cluster.
func (r *Registry) attach(n *cluster.Node) {
	r.cluster, r.tellPhi = nodes.Cluster(n), nodes.Metrics(n).Phi
	r.packets = func(m cluster.Member) bool { return nodes.AnswersPackets(n, m) }
}

func (r *Registry) start() {
	r.work.Go(r.follow)
	r.work.Go(r.check)
}

// Close ends the registry: its connections are closed, choices fail. It
// returns when nothing of it runs any more.
func (r *Registry) Close() error {
	r.cancel()
	r.work.Wait()
	r.unview()
	r.lines.Close()
	return nil
}

func (r *Registry) now() time.Duration { return time.Since(r.origin) }

// follow applies the node's events.
func (r *Registry) follow() {
	for e := range r.node.Watch(r.ctx) {
		r.mu.Lock()
		switch e.Kind {
		case cluster.KindResync:
			r.resync(e.Members)
		case cluster.KindNodeJoined, cluster.KindNodeUpdated, cluster.KindNodeSuspected, cluster.KindNodeRecovered, cluster.KindNodeLeft, cluster.KindNodeFailed:
			r.update(e.Member)
		}
		r.mu.Unlock()
	}
	r.cancel() // the node has stopped
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.standby)
	for id := range r.workers {
		r.gone(id, true)
	}
}

// resync replaces what is known by the node's whole view. The caller holds mu.
func (r *Registry) resync(members []cluster.Member) {
	present := map[string]bool{}
	for _, m := range members {
		present[m.ID()] = true
	}
	for id := range r.standby { // first, so that none of these becomes a worker
		if !present[id] {
			r.gone(id, true)
		}
	}
	for id := range r.workers {
		if !present[id] {
			r.gone(id, true)
		}
	}
	for _, m := range members {
		r.update(m)
	}
}

// update takes over what the node says of a member. The caller holds mu.
func (r *Registry) update(m cluster.Member) {
	self := r.node.Self()
	if m.ID() == self.ID() && r.cfg.Zone == "" && r.zone != m.Tags["zone"] {
		r.zone = m.Tags["zone"]
		for _, w := range r.workers {
			r.setZone(w)
		}
	}
	if !m.State.Present() || !r.selector.Matches(m.Tags) {
		r.gone(m.ID(), m.State == cluster.StateFailed)
		return
	}
	w := r.workers[m.ID()]
	if w == nil {
		r.add(m)
		return
	}
	moved := w.member.Addr != m.Addr
	if !w.member.Tags.Equal(m.Tags) {
		r.regroup()
	}
	w.member = m
	r.setZone(w)
	w.left = m.State == cluster.StateLeaving
	r.setPhase(w)
	if moved {
		select {
		case w.again <- struct{}{}:
		default:
		}
	}
	if w.left {
		r.relieve(m.Name)
	}
}

// better reports whether of two lives of a name a should be the worker: the one
// that does not leave, or else the newer.
func better(a, b cluster.Member) bool {
	if leaves := a.State == cluster.StateLeaving; leaves != (b.State == cluster.StateLeaving) {
		return !leaves
	}
	return a.Boot > b.Boot
}

// add makes a life of a node a worker, or has it stand by while a better life of
// its name is there. The caller holds mu.
func (r *Registry) add(m cluster.Member) {
	if other := r.named(m.Name); other != nil {
		if better(other.member, m) {
			r.standby[m.ID()] = m
			return
		}
		r.standby[other.id] = other.member
		r.remove(other)
	}
	delete(r.standby, m.ID())
	ctx, stop := context.WithCancel(r.ctx)
	w := r.enter(m, stop)
	r.work.Go(func() { r.read(ctx, w) })
}

// enter makes the record of a new worker, which nobody reads reports of yet. The
// caller holds mu.
func (r *Registry) enter(m cluster.Member, stop context.CancelFunc) *worker {
	now := r.now()
	w := &worker{id: m.ID(), member: m, load: &load.Candidate{Name: m.Name, Balancer: randomID()}, broken: true, since: now,
		stop: stop, again: make(chan struct{}, 1)}
	w.load.Owner = w
	beat := cmp.Or(r.cfg.HealthCheckInterval, load.Heartbeat(len(r.workers)+1))
	w.monitor, _ = phi.NewMonitor(r.cfg.Phi.detector(beat), now) // validate has checked the configuration
	w.left = m.State == cluster.StateLeaving
	r.setZone(w)
	r.setPhase(w)
	r.workers[w.id] = w
	r.pool.Add(w.load)
	r.regroup()
	return w
}

// remove takes a worker out. The caller holds mu.
func (r *Registry) remove(w *worker) {
	w.stop()
	w.left = true
	w.load.Phase = load.PhaseGone
	delete(r.workers, w.id)
	r.pool.Remove(w.load)
	r.regroup()
	r.signal()
	r.tellPhi(w.member.Name, 0, true)
}

// gone forgets a life of a node that is no worker any more. Connections to it
// are closed at once, or when the last call on them has ended. If it was the
// worker of its name and another life is there, that one is the worker now. The
// caller holds mu.
func (r *Registry) gone(id string, atOnce bool) {
	w, other := r.workers[id], r.standby[id]
	if w == nil && other.Name == "" {
		return
	}
	delete(r.standby, id)
	m := other
	if w != nil {
		m = w.member
	}
	for p := range r.conns {
		r.work.Go(func() { p.Drop(m.Name, m.Boot, atOnce) }) // which waits; mu is held here
	}
	if w == nil {
		return
	}
	r.remove(w)
	r.relieve(w.member.Name)
}

// relieve makes the best life of a name that stands by the worker, if there is no
// better one. The caller holds mu.
func (r *Registry) relieve(name string) {
	next := cluster.Member{}
	for _, m := range r.standby {
		if m.Name == name && (next.Name == "" || better(m, next)) {
			next = m
		}
	}
	if next.Name != "" {
		r.add(next)
	}
}

func (r *Registry) setZone(w *worker) {
	w.load.Penalty = 0
	if r.zone != "" && w.member.Tags["zone"] != r.zone {
		w.load.Penalty = load.ZonePenalty
	}
}
