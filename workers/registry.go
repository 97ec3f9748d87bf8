package workers

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/phi"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// ErrNoWorker is the error of a choice if no worker can be chosen. The text says
// what was asked for and what is wrong with the workers that there are. Its code is
// Unavailable, and the call was not made.
var ErrNoWorker = failover.ErrNoWorker

// A Registry is a node's live view of the workers of its cluster: who is
// there, whether they answer, what they have to do. It chooses among them.
//
// A worker is a life of a node: a restarted one is a new worker. The next choice
// sees changes of tags and address. If two lives of one name are present at once,
// the newer boot is the worker. The other becomes the worker when that one is gone
// or says that it leaves.
//
// The registry keeps a small connection of its own to each worker, on which the
// worker reports its load every 20 ms while it changes and sends a heartbeat
// otherwise. Three things decide whether a worker can be chosen: phi accrual over
// those heartbeats, the connection, and the node's events.
//
// Its methods are safe for concurrent use. A registry owns one goroutine that
// follows the node's events, one that checks deadlines every 20 ms, one for each
// worker that reads its reports, and short ones that ping late workers or close
// connections to those that are gone. mu guards all state that changes. Nothing
// that may block is called while it is held.
type Registry struct {
	cfg     RegistryConfig
	node    membership
	ep      *rpcnet.Endpoint
	cluster string                                                            // its name; "" if there is none
	origin  time.Time                                                         // instants are durations since
	lines   *loglimit.Limiter                                                 // the log, for what peers can cause
	gate    *gate                                                             // of dials to workers that are only heard of
	dial    func(ctx context.Context, m cluster.Member) (*rpcnet.Conn, error) // to control streams
	unview  func()                                                            // removes its workers from the node's view

	ctx    context.Context // of everything that the registry runs
	cancel context.CancelFunc
	work   sync.WaitGroup

	late       *phi.Lateness
	mu         sync.Mutex // guards what is below
	table      table
	health     healthCheck
	rebalancer *rebalancer                  // nil if it moves nothing
	paced      reportHello                  // what was last told to all workers
	conns      map[*failover.Conns]struct{} // connections of clients, to close if a worker is gone
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
		cfg: cfg, node: members, ep: ep, origin: time.Now(), lines: loglimit.New(cfg.Logger), gate: newGate(), late: phi.NewLateness(checkEvery),
		unview: func() {}, conns: map[*failover.Conns]struct{}{},
	}
	r.dial = func(ctx context.Context, m cluster.Member) (*rpcnet.Conn, error) {
		cfg := dialConfig(ep, m.Addr, m.ServerName)
		return ep.Dial(ctx, m.Addr, &cfg)
	}
	// Tests replace what the health check asks workers with.
	r.health = healthCheck{registry: r, tellPhi: func(string, float64, bool) {}, probe: failover.Ping, stall: phi.NewStall(checkEvery)}
	r.table = newTable(&r.cfg, selector, load.NewPool(randomID(), rand.New(rand.NewPCG(randomID(), randomID()))))
	r.table.added, r.table.removed, r.table.gone = r.added, r.removed, r.gone
	r.rebalancer = newRebalancer(r)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// attach makes the registry one of workers in the node's cluster: they must prove that
// they belong to it, and a late worker is asked by gossip too.
func (r *Registry) attach(n *cluster.Node) {
	r.cluster, r.health.tellPhi = nodes.Cluster(n), nodes.Metrics(n).Phi
	if r.rebalancer != nil {
		r.rebalancer.tellMoved = nodes.Metrics(n).StreamsMoved
	}
	r.health.packets = func(m cluster.Member) bool { return nodes.Ping(n, m) }
}

// start begins to follow the node and to check deadlines.
func (r *Registry) start() {
	r.work.Go(r.follow)
	r.work.Go(r.health.run)
	if r.rebalancer != nil {
		r.work.Go(r.rebalancer.run)
	}
}

// Close ends the registry: its connections are closed, choices fail. It
// returns when nothing of it runs any more. Close the clients over it before: their
// connections are their own. The error is always nil.
func (r *Registry) Close() error {
	r.cancel()
	r.work.Wait()
	r.unview()
	r.lines.Close()
	return nil
}

// now returns the instant of the registry's clock, which does not jump.
func (r *Registry) now() time.Duration { return time.Since(r.origin) }

// follow applies the node's events.
func (r *Registry) follow() {
	// The first event is the whole view. After one that was missed it comes again.
	for e := range r.node.Watch(r.ctx) {
		switch e.Kind {
		case cluster.KindResync:
			r.resync(e.Members)
		case cluster.KindNodeJoined, cluster.KindNodeUpdated, cluster.KindNodeSuspected, cluster.KindNodeRecovered, cluster.KindNodeLeft, cluster.KindNodeFailed:
			r.mu.Lock()
			r.update(e.Member)
			r.mu.Unlock()
		}
	}
	r.cancel() // the node has stopped
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table.retain(r.now(), nil) // without workers all choices fail
}

// resync replaces what is known by the node's whole view.
func (r *Registry) resync(members []cluster.Member) {
	r.mu.Lock()
	r.table.retain(r.now(), members)
	r.mu.Unlock()
	for _, m := range members { // with the lock for each, so that choices need not wait for all
		r.mu.Lock()
		r.update(m)
		r.mu.Unlock()
	}
}

// update applies what the node says of a member. The caller holds mu.
func (r *Registry) update(m cluster.Member) {
	if r.cfg.Zone == "" && m.ID() == r.node.Self().ID() {
		r.table.setZone(m.Tags["zone"])
	}
	r.table.update(r.now(), m)
}

// atATime is how many workers are looked at under one lock.
const atATime = 16

// each calls f for every worker, with mu held and the time of the moment. It releases mu
// after a few workers each, so that choices and reports wait for a microsecond or two and
// not for all workers. A worker that joins or leaves meanwhile is seen or not.
func (r *Registry) each(f func(w *worker, now time.Duration)) {
	for last := uint64(0); ; {
		r.mu.Lock()
		now := r.now()
		some := r.table.pool.Above(last, atATime)
		for _, w := range some {
			last = w.ID
			f(w.Owner.(*worker), now)
		}
		done := len(some) < atATime
		r.mu.Unlock()
		if done {
			return
		}
	}
}

// added begins to read the reports of a worker. The caller holds mu.
func (r *Registry) added(w *worker) {
	ctx, stop := context.WithCancel(r.ctx)
	w.stop = stop
	c := &reportClient{registry: r, worker: w}
	r.work.Go(func() { c.run(ctx) })
}

// removed ends what is done for a worker. The caller holds mu.
func (r *Registry) removed(w *worker) {
	w.stop()
	r.health.tellPhi(w.member.Name, 0, true)
}

// gone closes the connections of clients to a life that is over. The caller holds
// mu.
func (r *Registry) gone(m cluster.Member, atOnce bool) {
	for p := range r.conns {
		r.work.Go(func() { p.Drop(m.Name, m.Boot, atOnce) }) // which waits; mu is held here
	}
}

// reported applies a report, which is a heartbeat too.
func (r *Registry) reported(w *worker, rep load.Report) {
	r.mu.Lock()
	now := r.now()
	if r.health.stall.Late(now) > 0 {
		r.health.excuse(now) // this is the first to run after a stall of this process
	}
	if !w.seen {
		w.seen, w.since = true, now
		w.monitor.Reset(now) // it counts from here, not from when the node was seen
	}
	w.vouched, w.reason = 0, ""
	rep.Interval = min(rep.Interval, maxHeartbeat) // a longer one would never be late
	w.monitor.SetInterval(rep.Interval)
	was := w.monitor.State()
	state := w.monitor.Heartbeat(now)
	r.table.pool.Apply(now, w.load, rep)
	fresh := w.broken // the first report of this connection
	w.broken = false
	r.table.setPhase(now, w)
	m := w.member
	r.mu.Unlock()
	// The node learns that the worker lives only if it may believe the opposite.
	if state != phi.StateSuspect && (fresh || was == phi.StateSuspect) {
		r.node.Recover(m.Name, m.Boot)
	}
}

// lost takes a worker out of the pool because its control stream is not there:
// faster than any detector if a process dies.
func (r *Registry) lost(w *worker, err error) {
	r.mu.Lock()
	now := r.now()
	had := !w.broken
	w.broken, w.reason = true, loglimit.Cut(failover.Reason(err))
	if had {
		r.table.pool.Lost(now, w.load)
		w.monitor.Suspect(now) // it comes back by heartbeats, and slowly
	}
	r.table.setPhase(now, w)
	leaving, m := w.left, w.member
	r.mu.Unlock()
	if had && !leaving { // one that leaves closes its streams; that is no failure
		r.lines.Log(slog.LevelInfo, "lost", "worker does not answer", "worker", m.Name, "addr", m.Addr, "err", err)
		r.node.Suspect(m.Name, m.Boot, 0)
	}
}

// An Assignment is a worker given to a caller.
type Assignment struct {
	// Worker is the worker chosen.
	Worker cluster.Member
	// Cluster is the name of the cluster that the workers are nodes of, "" if there
	// is none.
	Cluster string
	// Ticket goes with the caller's call to the worker (see [WithTicket]), so
	// that the assignment counts until the worker has it and never twice. A ticket
	// that does not arrive counts for 5 s.
	Ticket []byte
	// Reason is why this worker was chosen, Score what was compared.
	Reason string
	Score  float64
	// Full says that all candidates have as many calls as they want to run.
	Full bool
	// Alternates are other workers, the least loaded first.
	Alternates []cluster.Member
}

// Assign chooses a worker for a caller that will call it directly, and counts the
// assignment. The error is [ErrNoWorker] if there is none, or says what is wrong
// with the selector.
func (r *Registry) Assign(req balance.PickRequest) (Assignment, error) {
	if !r.node.Assigns() {
		return Assignment{}, errMinority
	}
	a, t, secret, err := r.assign(&req)
	if err != nil {
		return Assignment{}, err
	}
	// Without the lock, which this would hold longer than the choice does.
	t.Tag = secret.Sign(t.Number, req.Caller)
	a.Ticket = t.Append(nil)
	return a, nil
}

// assign chooses a worker and counts the assignment. The ticket lacks its tag, which is
// made with the secret.
func (r *Registry) assign(req *balance.PickRequest) (a Assignment, t load.Ticket, secret *load.Secret, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, err := r.table.group(req.Selector, req.Caller)
	if err != nil {
		return a, t, nil, err
	}
	now := r.now()
	w, pick, full := g.load.Pick(now, req)
	if w == nil {
		return a, t, nil, r.none(g, req)
	}
	// The ticket counts from here: the next choice sees it.
	t = r.table.pool.Count(now, w, full || req.WaitInQueue, req.Caller)
	a = Assignment{Cluster: r.cluster, Worker: w.Owner.(*worker).member, Reason: pick.Reason, Score: pick.Score, Full: full}
	for _, other := range g.load.Alternates(now, req, w) {
		a.Alternates = append(a.Alternates, other.Owner.(*worker).member)
	}
	return a, t, w.Secret(), nil
}

// Return takes back an assignment that its caller will not use. caller is the one of
// its request. A ticket that was made for another caller is ignored.
func (r *Registry) Return(worker string, ticket []byte, caller string) {
	t, err := load.ParseTicket(ticket)
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.table.named(worker); w != nil && err == nil {
		r.table.pool.Return(w.load, t, caller)
	}
}

// ReportFailure records that a life of a worker has failed a caller whose calls this
// process does not see. caller must be the identity that its certificate proves, not
// what it says of itself. One caller can have a bad network, or lie: if two agree
// within 10 s, the worker is ejected for a while. If the worker is on trial after an
// ejection, the caller of the trial call is enough, once. The failure counts as one of
// now, so a caller should not report failures that are older than 10 s.
func (r *Registry) ReportFailure(worker, boot, caller string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.table.named(worker)
	if w == nil || w.member.Boot != boot {
		return
	}
	now := r.now()
	if r.table.pool.Complaint(now, w.load, caller) {
		until, _ := w.load.Ejected(now)
		r.lines.Log(slog.LevelWarn, "complaints", "callers agree that a worker fails: ejected", "worker", worker, "for", until-now)
	}
	r.table.noteReady(now)
}

// errMinority refuses assignments on the smaller side of a partition: the larger side
// has perhaps replaced the workers that are here.
var errMinority = rpcnet.NewError(rpcnet.CodeUnavailable, "workers: this node is on the smaller side of a partition and assigns no work").WithUnprocessed()

// none returns the error that explains why no worker can be chosen: what was asked
// for, how many workers match, and what is wrong with each. The caller holds mu.
func (r *Registry) none(g *group, req *balance.PickRequest) error {
	selector := req.Selector
	if selector == "" {
		selector = r.table.selector.String()
	}
	msg := fmt.Sprintf("no worker matches %q among %d", selector, len(r.table.workers))
	if n := len(g.load.Members()); n > 0 {
		var why []string
		for s, count := range g.load.Statuses(r.now(), req.Exclude) {
			if count > 0 {
				why = append(why, fmt.Sprintf("%d %s", count, load.Status(s)))
			}
		}
		if w := unreachable(g.load.Of(load.StatusUnreachable)); w != nil {
			why = append(why, fmt.Sprintf("of these %s: %s", w.member.Name, w.reason))
		}
		msg = fmt.Sprintf("none of %d workers that match %q can be chosen: %s", n, selector, strings.Join(why, ", "))
	}
	return rpcnet.NewError(rpcnet.CodeUnavailable, msg).WithCause(ErrNoWorker).WithUnprocessed()
}

// unreachable returns one of ws, which cannot be reached, for which the reason is
// known, nil if there is none among the first hundred.
func unreachable(ws []*load.Candidate) *worker {
	for _, w := range ws[:min(len(ws), 100)] {
		if e := w.Owner.(*worker); e.reason != "" {
			return e
		}
	}
	return nil
}
