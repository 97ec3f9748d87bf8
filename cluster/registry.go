package cluster

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster/balance"
	"github.com/rpcnet-go/rpcnet/cluster/phi"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/routed"
)

// A RegistryConfig says which nodes are workers and how one is chosen. Zero
// fields take their defaults.
type RegistryConfig struct {
	// Strategy chooses among the workers. Default balance.LeastConnections.
	Strategy balance.Strategy
	// Selector says which nodes are workers. Default "role=worker".
	Selector string
	// Zone is the chooser's zone: workers whose tag "zone" is another count as
	// fuller by balance.ZonePenalty. Default: the node's own tag "zone"; with
	// neither, zones do not matter.
	Zone string
	// SlowStart is how long a worker that is new takes to count with its full
	// capacity. Default 0: at once. Its load is known from its first report, so
	// it is not flooded.
	SlowStart time.Duration
	// Logger receives what happens to workers. Default slog.Default.
	Logger *slog.Logger
}

// ErrNoWorker is what a choice fails with when no worker can be chosen; the
// error's text says what was asked for and what is wrong with those there are.
// Its code is Unavailable, and the call was not made.
var ErrNoWorker = routed.ErrNoWorker

// A WorkerRegistry is a node's live view of the workers of its cluster: who is
// there, whether they answer, what they have to do. It chooses among them.
//
// A worker is a life of a node: a restarted one is a new worker, and changes of
// tags and address are seen by the next choice. To each worker the registry
// keeps a small connection of its own, on which the worker reports its load
// every 20 ms while it changes and sends a heartbeat otherwise; phi accrual
// over those heartbeats, a broken connection, and the node's events decide who
// can be chosen.
//
// Its methods are safe for concurrent use. A registry owns one goroutine that
// follows the node's events, one that checks deadlines every 20 ms, and one per
// worker that reads its reports. mu guards all state; nothing blocks while it
// is held.
type WorkerRegistry struct {
	cfg      RegistryConfig
	selector Selector
	node     membership
	ep       *rpcnet.Endpoint
	phi      phi.Config
	beat     time.Duration // asked of workers; 0: by the number of workers
	origin   time.Time     // instants are durations since
	log      *slog.Logger

	ctx    context.Context // of everything the registry runs
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	pool    *load.Pool
	zone    string
	workers map[string]*workerEntry // by Member.ID
	groups  map[string]*group       // by selector
	uses    uint64                  // clock of groups
	stall   *phi.Stall
	paced   watchHello                 // what was last told to all workers
	changed chan struct{}              // closed and replaced when the set of ready workers changes
	conns   map[*routed.Conns]struct{} // connections to close when a worker is gone
}

// A workerEntry is the registry's record of one worker; mu of the registry
// guards it, but for what is immutable: id, name, boot.
type workerEntry struct {
	id      string // Member.ID
	member  Member
	load    *load.Worker
	monitor *phi.Monitor
	conn    *rpcnet.Conn // of the control stream, present or last
	broken  bool         // the control stream is not there
	seen    bool         // there was one
	left    bool         // says that it leaves, or is gone by the node's view
	since   time.Duration
	stop    context.CancelFunc // ends its goroutine
	again   chan struct{}      // its address has changed: dial again; capacity 1
}

// A group is a selector with the workers it chooses.
type group struct {
	selector Selector
	load     *load.Group
	used     uint64
	stale    bool
}

// maxGroups bounds the selectors remembered; the least recently used goes.
const maxGroups = 256

// NewWorkerRegistry returns a registry that follows the node until it stops or
// Close is called.
func NewWorkerRegistry(node *Node, cfg RegistryConfig) (*WorkerRegistry, error) {
	return newRegistry(node.Endpoint(), node, node.cfg, cfg)
}

// newRegistry takes the detector's settings from those of a node.
func newRegistry(ep *rpcnet.Endpoint, members membership, of Config, cfg RegistryConfig) (*WorkerRegistry, error) {
	if cfg.Selector == "" {
		cfg.Selector = "role=worker"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.SlowStart < 0 {
		return nil, fmt.Errorf("cluster: RegistryConfig.SlowStart is %v, want 0 or more", cfg.SlowStart)
	}
	selector, err := ParseSelector(cfg.Selector)
	if err != nil {
		return nil, err
	}
	r := &WorkerRegistry{
		cfg: cfg, selector: selector, node: members, ep: ep, phi: of.Phi, beat: of.HealthCheckInterval,
		origin: time.Now(), log: cfg.Logger, zone: cfg.Zone,
		workers: map[string]*workerEntry{}, groups: map[string]*group{}, conns: map[*routed.Conns]struct{}{},
		stall: phi.NewStall(checkEvery), changed: make(chan struct{}),
	}
	r.pool = load.NewPool(randomID(), rand.New(rand.NewPCG(randomID(), randomID())))
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.work.Go(r.follow)
	r.work.Go(r.check)
	return r, nil
}

// Close ends the registry: its connections are closed, choices fail. It
// returns when nothing of it runs any more.
func (r *WorkerRegistry) Close() error {
	r.cancel()
	r.work.Wait()
	return nil
}

func (r *WorkerRegistry) now() time.Duration { return time.Since(r.origin) }

// follow applies the node's events.
func (r *WorkerRegistry) follow() {
	for e := range r.node.Watch(r.ctx) {
		r.mu.Lock()
		switch e.Kind {
		case Resync:
			present := map[string]bool{}
			for _, m := range e.Members {
				present[m.ID()] = true
				r.update(m)
			}
			for id, w := range r.workers {
				if !present[id] {
					r.remove(w)
				}
			}
		case NodeJoined, NodeUpdated, NodeSuspected, NodeRecovered, NodeLeft, NodeFailed:
			r.update(e.Member)
		}
		r.mu.Unlock()
	}
	r.cancel() // the node has stopped
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		r.remove(w)
	}
}

// update takes over what the node says of a member. The caller holds mu.
func (r *WorkerRegistry) update(m Member) {
	self := r.node.Self()
	if m.ID() == self.ID() && r.cfg.Zone == "" && r.zone != m.Tags["zone"] {
		r.zone = m.Tags["zone"]
		for _, w := range r.workers {
			r.setZone(w)
		}
	}
	w := r.workers[m.ID()]
	switch {
	case !m.State.Present() || !r.selector.Matches(m.Tags):
		if w != nil {
			w.member.State = m.State
			r.remove(w)
		}
		return
	case w == nil:
		r.add(m)
		return
	}
	moved := w.member.Addr != m.Addr
	if !w.member.Tags.Equal(m.Tags) {
		r.regroup()
	}
	w.member = m
	r.setZone(w)
	w.left = m.State == StateLeaving
	r.setPhase(w)
	if moved {
		select {
		case w.again <- struct{}{}:
		default:
		}
	}
}

func (r *WorkerRegistry) add(m Member) {
	for _, other := range r.workers { // two lives of one name: the newer counts
		if other.member.Name == m.Name {
			if other.member.Boot > m.Boot {
				return
			}
			r.remove(other)
		}
	}
	ctx, stop := context.WithCancel(r.ctx)
	now := r.now()
	w := &workerEntry{id: m.ID(), member: m, load: &load.Worker{Name: m.Name}, broken: true, since: now,
		stop: stop, again: make(chan struct{}, 1)}
	w.load.Owner = w
	cfg := r.phi
	cfg.Interval = cmp.Or(r.beat, load.Heartbeat(len(r.workers)+1))
	w.monitor, _ = phi.NewMonitor(cfg, now) // Join has checked the configuration
	w.left = m.State == StateLeaving
	r.setZone(w)
	r.setPhase(w)
	r.workers[w.id] = w
	r.pool.Add(w.load)
	r.regroup()
	r.work.Go(func() { r.read(ctx, w) })
}

func (r *WorkerRegistry) remove(w *workerEntry) {
	w.stop()
	w.left = true
	w.load.Phase = load.Gone
	delete(r.workers, w.id)
	r.pool.Remove(w.load)
	r.regroup()
	r.signal()
	gone := w.member.State != StateLeft && w.member.State != StateLeaving
	for p := range r.conns {
		r.work.Go(func() { p.Drop(w.id, gone) }) // which waits; mu is held here
	}
}

func (r *WorkerRegistry) setZone(w *workerEntry) {
	w.load.Penalty = 0
	if r.zone != "" && w.member.Tags["zone"] != r.zone {
		w.load.Penalty = balance.ZonePenalty
	}
}

// regroup makes all groups find their members again. The caller holds mu.
func (r *WorkerRegistry) regroup() {
	for _, g := range r.groups {
		g.stale = true
	}
}

// group returns the group of a selector. The caller holds mu.
func (r *WorkerRegistry) group(selector string) (*group, error) {
	g := r.groups[selector]
	if g == nil {
		s, err := ParseSelector(selector)
		if err != nil {
			return nil, err
		}
		if len(r.groups) >= maxGroups {
			oldest := ""
			for name, o := range r.groups {
				if oldest == "" || o.used < r.groups[oldest].used {
					oldest = name
				}
			}
			delete(r.groups, oldest)
		}
		g = &group{selector: s, load: r.pool.NewGroup(r.cfg.Strategy), stale: true}
		r.groups[selector] = g
	}
	r.uses++
	g.used = r.uses
	if g.stale {
		g.stale = false
		ws := make([]*load.Worker, 0, r.pool.Len())
		for _, w := range r.pool.Workers() {
			if g.selector.Matches(w.Owner.(*workerEntry).member.Tags) {
				ws = append(ws, w)
			}
		}
		g.load.Set(ws)
	}
	return g, nil
}

// setPhase derives a worker's phase from all that is known. The caller holds
// mu.
func (r *WorkerRegistry) setPhase(w *workerEntry) {
	phase := load.Alive
	switch {
	case w.left || w.broken:
		phase = load.Gone
	case w.monitor.State() == phi.Suspect:
		phase = load.Suspected
	case w.monitor.State() == phi.Late:
		phase = load.Late
	}
	if was := w.load.Phase; was != phase {
		w.load.Phase = phase
		if was == load.Gone || phase == load.Gone {
			r.signal()
		}
	}
}

// signal wakes those who wait for a change of the ready workers. The caller
// holds mu.
func (r *WorkerRegistry) signal() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// ready reports whether w could be chosen by anybody. The caller holds mu.
func (r *WorkerRegistry) ready(w *workerEntry) bool {
	return load.StatusOf(r.now(), w.load, &load.Wish{}) <= load.IsLate
}

// Count returns how many workers can be chosen now.
func (r *WorkerRegistry) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count()
}

func (r *WorkerRegistry) count() int {
	n := 0
	for _, w := range r.workers {
		if r.ready(w) {
			n++
		}
	}
	return n
}

// WaitReady waits until at least n workers can be chosen.
func (r *WorkerRegistry) WaitReady(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		have, changed := r.count(), r.changed
		r.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("cluster: %d of %d workers are ready: %w", have, n, ctx.Err())
		case <-r.ctx.Done():
			return ErrStopped
		}
	}
}

// Workers returns all workers of the cluster as they are known now, those that
// cannot be chosen too, sorted by name.
func (r *WorkerRegistry) Workers() []WorkerInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.infos(&load.Wish{}, func(*workerEntry) bool { return true })
}

// Worker returns the worker of that name as it is known now.
func (r *WorkerRegistry) Worker(name string) (WorkerInfo, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.named(name)
	if w == nil {
		return WorkerInfo{}, false
	}
	return r.info(w, &load.Wish{}), true
}

func (r *WorkerRegistry) infos(wish *load.Wish, want func(*workerEntry) bool) []WorkerInfo {
	infos := make([]WorkerInfo, 0, len(r.workers))
	for _, w := range r.workers {
		if want(w) {
			infos = append(infos, r.info(w, wish))
		}
	}
	slices.SortFunc(infos, func(a, b WorkerInfo) int { return compareMembers(a.Member, b.Member) })
	return infos
}

// A WorkerInfo is what a registry knows of one worker at one moment.
type WorkerInfo struct {
	// Member is the node: name, boot, address, tags.
	Member
	// Ready says whether the worker can be chosen; Status why, or why not.
	Ready  bool
	Status string
	// InFlight counts the calls on the worker as it last reported, whoever
	// makes them; Queued of them wait.
	InFlight, Queued int
	// Own counts the calls of this process, Pending the assignments it has made
	// that have not arrived yet.
	Own, Pending int
	// Estimate is what the strategies compare with Capacity, which is the
	// declared one, or the median of the others', times the weight of a worker
	// that comes back.
	Estimate, Capacity float64
	// Declared is the capacity the worker declares, 0 if none.
	Declared int
	// MeanService is how long its calls run, QueueDelay how long they wait.
	MeanService, QueueDelay time.Duration
	// ReportAge is the time since its last report.
	ReportAge time.Duration
	// Phi is the suspicion level of its heartbeats.
	Phi float64
	// Choosers is how many others, this one included, it reports to.
	Choosers int
}

func (r *WorkerRegistry) info(w *workerEntry, wish *load.Wish) WorkerInfo {
	now := r.now()
	status := load.StatusOf(now, w.load, wish)
	i := WorkerInfo{Member: w.member, Ready: status <= load.IsLate, Status: status.String(), Phi: w.monitor.Phi(now)}
	if status == load.Candidate {
		i.Status = "ready"
	}
	rep := w.load.Report()
	i.InFlight, i.Queued, i.Declared, i.Choosers = int(rep.InFlight), int(rep.Queued), int(rep.Capacity), int(rep.Choosers)
	i.MeanService, i.QueueDelay = rep.MeanService, rep.QueueDelay
	i.Own, i.Pending = w.load.Own(), w.load.Pending(now)
	i.Capacity = r.pool.Capacity(w.load)
	if w.load.Known() {
		i.ReportAge, i.Estimate = w.load.Age(now), r.pool.Estimate(now, w.load)
	}
	return i
}

// String returns the worker in one line.
func (i WorkerInfo) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s (%d connections, estimate %.1f of %g): %s", i.Name, i.Addr, i.InFlight, i.Estimate, i.Capacity, i.Status)
	return b.String()
}
