package workers

import (
	"cmp"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/phi"
)

// A worker is the registry's record of one worker, which is one life of a node. The
// registry's mu guards it, except for id, which never changes.
//
//	         first report           silence           more silence
//	gone ----------------> alive ------------> late ----------------> suspected
//	 ^                     ^   ^                |                         |
//	 |                     |   +----------------+                         |
//	 |                     |    any sign of life                          |
//	 |                     +----------------------------------------------+
//	 |                         3 heartbeats in time, and the hold-down over
//	 |
//	 +---- from every phase: the control connection breaks, or the node leaves
//
// It is chosen while it is alive; late or suspected only if there are not enough
// others. Besides its phase its report (it drains), its answers (it is ejected after
// failures) and the caller (who excludes it) decide: see [load.StatusOf].
type worker struct {
	id      string // Member.ID
	member  cluster.Member
	load    *load.Candidate
	monitor *phi.Monitor
	since   time.Duration // of its first report; before that, of its appearance
	left    bool          // says that it leaves, or is gone by the node's view
	vouched int           // pings answered since its last heartbeat

	// The control connection, which a reportClient keeps.
	conn   *rpcnet.Conn  // the present one, or the last
	broken bool          // it is not there
	seen   bool          // a report has arrived
	proven string        // the address that has answered last as a worker
	reason string        // why it is not there
	stop   func()        // ends the reportClient
	readdr chan struct{} // its address has changed: dial again; capacity 1
}

// A table says who the workers are and what is known of them. It is a pure data
// structure: it has no goroutine, no network and no clock. Its owner, the registry,
// guards it with its mu and gives it the time.
//
// Of two lives of one name that are present at once one is the worker and the other
// stands by: see [better].
//
// Invariants: each name has at most one worker; the lives that stand by are of names
// that have a worker, which is better than they are; the pool holds exactly the
// workers, so that the strategies see them; and the members of a group are the workers
// that match its selector.
type table struct {
	cfg      *RegistryConfig
	selector cluster.Selector // of the members that are workers
	zone     string           // the registry's own, "" if zones do not matter
	workers  map[string]*worker
	standby  map[string]cluster.Member // by Member.ID, as workers is
	pool     *load.Pool                // the loads of the workers
	groups   groups
	changed  broadcast // the set of ready workers has changed
	noted    uint64    // load.Pool.Readiness when changed was last looked at

	// What the owner does about changes; called under its mu.
	added   func(*worker)                       // a member has become a worker
	removed func(*worker)                       // a worker is none any more
	gone    func(m cluster.Member, atOnce bool) // a life is over: its connections too
}

// newTable returns a table without workers. cfg stays the owner's.
func newTable(cfg *RegistryConfig, selector cluster.Selector, pool *load.Pool) table {
	return table{
		cfg: cfg, selector: selector, zone: cfg.Zone, pool: pool,
		workers: map[string]*worker{}, standby: map[string]cluster.Member{},
		groups: groups{bySelector: map[string]*group{}, owned: map[string]int{}},
		added:  func(*worker) {}, removed: func(*worker) {}, gone: func(cluster.Member, bool) {},
	}
}

// named returns the worker of that name, nil if there is none.
func (t *table) named(name string) *worker {
	if w := t.pool.Named(name); w != nil {
		return w.Owner.(*worker)
	}
	return nil
}

// retain forgets all lives that are not among members.
func (t *table) retain(now time.Duration, members []cluster.Member) {
	present := map[string]bool{}
	for _, m := range members {
		present[m.ID()] = true
	}
	for id := range t.standby { // first, so that none of these becomes a worker
		if !present[id] {
			t.forget(now, id, true)
		}
	}
	for id := range t.workers {
		if !present[id] {
			t.forget(now, id, true)
		}
	}
}

// update applies what the node says of a member.
func (t *table) update(now time.Duration, m cluster.Member) {
	if !m.State.Present() || !t.selector.Matches(m.Tags) {
		t.forget(now, m.ID(), m.State == cluster.StateFailed)
		return
	}
	w := t.workers[m.ID()]
	if w == nil {
		t.add(now, m)
		return
	}
	// The same life, with other tags, another address or another state. Its load, its
	// health and its control connection stay, unless the address is new.
	moved, tagged := w.member.Addr != m.Addr, !w.member.Tags.Equal(m.Tags)
	w.member = m
	if tagged {
		t.groups.place(w)
	}
	t.setPenalty(w)
	w.left = m.State == cluster.StateLeaving
	t.setPhase(now, w)
	if moved {
		select {
		case w.readdr <- struct{}{}:
		default: // the reportClient has not looked yet, and will read the newest address
		}
	}
	if w.left { // a life that stands by and stays is better
		t.relieve(now, m.Name)
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

// add makes a life of a node a worker, or lets it stand by while a better life of
// its name is there. A worker that is displaced by a better one stands by in turn.
func (t *table) add(now time.Duration, m cluster.Member) {
	if other := t.named(m.Name); other != nil {
		if better(other.member, m) {
			t.standby[m.ID()] = m
			return
		}
		t.standby[other.id] = other.member
		t.remove(other)
	}
	delete(t.standby, m.ID())
	t.added(t.enter(now, m))
}

// enter makes the record of a new worker. It cannot be chosen before its first report.
func (t *table) enter(now time.Duration, m cluster.Member) *worker {
	w := &worker{id: m.ID(), member: m, load: &load.Candidate{Name: m.Name, Balancer: randomID()}, broken: true, since: now,
		stop: func() {}, readdr: make(chan struct{}, 1)}
	w.load.Owner = w
	// The nominal interval until the first report says which one the worker keeps.
	beat := cmp.Or(t.cfg.HealthCheckInterval, load.Heartbeat(len(t.workers)+1))
	w.monitor, _ = phi.NewMonitor(t.cfg.Phi.detector(beat), now) // validate has checked the configuration
	w.left = m.State == cluster.StateLeaving
	t.setPenalty(w)
	t.workers[w.id] = w
	t.pool.Add(now, w.load)
	t.groups.place(w)
	t.setPhase(now, w)
	return w
}

// remove takes a worker out. Calls that run on it go on, until its connections end.
func (t *table) remove(w *worker) {
	w.left = true
	delete(t.workers, w.id)
	t.pool.Remove(w.load) // from the groups too
	t.changed.signal()
	t.removed(w)
}

// forget removes a life of a node that is no worker any more. If it was the worker
// of its name and another life is there, that one becomes the worker. Connections
// to it end at once, or with the last call on them.
func (t *table) forget(now time.Duration, id string, atOnce bool) {
	w, m := t.workers[id], t.standby[id]
	if w != nil {
		m = w.member
	}
	if m.Name == "" {
		return
	}
	delete(t.standby, id)
	t.gone(m, atOnce)
	if w == nil {
		return
	}
	t.remove(w)
	t.relieve(now, w.member.Name)
}

// relieve makes the best life of a name that stands by the worker, if there is no
// better one.
func (t *table) relieve(now time.Duration, name string) {
	next := cluster.Member{}
	for _, m := range t.standby {
		if m.Name == name && (next.Name == "" || better(m, next)) {
			next = m
		}
	}
	if next.Name != "" {
		t.add(now, next)
	}
}

// setZone changes the registry's own zone.
func (t *table) setZone(zone string) {
	if t.zone == zone {
		return
	}
	t.zone = zone
	for _, w := range t.workers {
		t.setPenalty(w)
	}
}

// setPenalty makes a worker of another zone look fuller.
func (t *table) setPenalty(w *worker) {
	w.load.Penalty = 0
	if t.zone != "" && w.member.Tags["zone"] != t.zone {
		w.load.Penalty = load.ZonePenalty
	}
}

// setPhase derives a worker's phase and weight from all that is known.
func (t *table) setPhase(now time.Duration, w *worker) {
	phase := load.PhaseAlive
	switch {
	case w.left || w.broken: // stronger evidence than any silence
		phase = load.PhaseGone
	case w.monitor.State() == phi.StateSuspect:
		phase = load.PhaseSuspected
	case w.monitor.State() == phi.StateLate:
		phase = load.PhaseLate
	}
	w.load.Weight = t.weight(now, w)
	t.pool.SetPhase(now, w.load, phase)
	t.noteReady(now)
}

// weight returns the share of its capacity that w counts with. It is less while the
// worker recovers, and with [RegistryConfig.SlowStart] while it is new.
func (t *table) weight(now time.Duration, w *worker) float64 {
	weight := w.monitor.Weight(now)
	if t.cfg.SlowStart > 0 {
		weight *= load.SlowStart(now-w.since, t.cfg.SlowStart, 1)
	}
	return weight
}

// noteReady wakes those who wait for workers (see [Registry.WaitReady]) if other workers can be chosen than when it was last
// called. Time alone changes that too, as when an ejection ends: that is why the health
// check calls it every 20 ms.
func (t *table) noteReady(now time.Duration) {
	t.pool.Advance(now)
	if ready := t.pool.Readiness(); ready != t.noted {
		t.noted = ready
		t.changed.signal()
	}
}
