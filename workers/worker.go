package workers

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/internal/role"
)

// A WorkerConfig says how much a worker takes on. The zero value is a worker
// without limits.
type WorkerConfig struct {
	// Capacity is how many calls the worker wants to run at once. What is above
	// waits in the queue or is refused before it is decoded, and load is
	// compared by it. Default 0: no limit, and balancers assume the median of the
	// others.
	Capacity int
	// Queue is how many calls may wait. Default 0: as many as Capacity.
	// Negative: none.
	Queue int
	// QueueWait is how long a call may wait. Default 10 s.
	QueueWait time.Duration
	// DrainTimeout is how long calls can go on when the endpoint shuts down or
	// the node leaves; then resumable streams are moved to other workers. It ends
	// earlier if the context of Shutdown or Leave does. Default 30 s. Negative:
	// streams move at once.
	DrainTimeout time.Duration
	// Logger receives what goes wrong. Default slog.Default.
	Logger *slog.Logger
}

// withDefaults returns a copy of c with defaults in place of its zero fields; c may
// be nil.
func (c *WorkerConfig) withDefaults() WorkerConfig {
	cfg := *cmp.Or(c, new(WorkerConfig))
	cfg.QueueWait = cmp.Or(cfg.QueueWait, 10*time.Second)
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, 30*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	return cfg
}

// A Worker is the side of a node that does the work. It counts every call that the
// endpoint's servers serve, from admission to the end of the handler, keeps to its
// capacity, and reports its load to all who choose among workers. Handlers do nothing
// for it. Its methods are safe for concurrent use.
//
//	        NewWorker          Shutdown, Leave       DrainTimeout, or nothing in flight
//	(none) -----------> ready ----------------> draining -----------------------> moving
//	                      |                        |                                |
//	                      +------- Close, or the node stops: closed <---------------+
//
// Ready it admits calls. Draining it refuses new ones as "elsewhere", its reports say
// so, and what runs goes on. Moving it ends resumable streams with a detail with which
// their callers go on at another worker. Closed it reports and counts no more.
//
// mu guards the ledger and the fields below it. Each balancer's stream of reports is
// served by a goroutine of the endpoint, which sleeps on its wake channel. Calls run
// on the goroutines of their handlers and wait in the queue there. A Worker has one
// goroutine of its own, which waits for the node to stop.
type Worker struct {
	cfg    WorkerConfig
	boot   string
	origin time.Time // instants are durations since
	remove func()
	closed chan struct{} // reports end

	mu       sync.Mutex
	ledger   *load.Ledger
	reports  map[*reportStream]struct{}
	watched  bool                  // there was a watcher
	streams  map[*movable]struct{} // resumable streams that run
	draining chan struct{}         // closed when calls are refused for good
	moving   bool                  // streams are moved, also those that begin
	handover load.Handover         // what balancers have asked for
	idle     chan struct{}         // closed when nothing is in flight, if somebody waits
	once     sync.Once
}

// NewWorker makes the node a worker. Its tags must make it one to others
// (role=worker by default). cfg is copied; nil is every default. The worker ends
// when the node stops, or at Close.
func NewWorker(node *cluster.Node, cfg *WorkerConfig) (*Worker, error) {
	w, err := newWorker(node.Endpoint(), node.Self().Boot, cfg)
	if err != nil {
		return nil, err
	}
	nodes.OnLeave(node, w.drain)
	go func() {
		lonely := time.NewTimer(lonelyAfter)
		defer lonely.Stop()
		for {
			select {
			case <-lonely.C:
				w.tellLonely(node.Self().Tags)
				continue
			case <-node.Done():
			case <-w.closed:
			}
			w.Close()
			return
		}
	}()
	return w, nil
}

// lonelyAfter is how long a worker waits for a registry before it logs that there is
// none.
const lonelyAfter = 10 * time.Second

// tellLonely logs that no registry has asked for the worker's load, if none has.
func (w *Worker) tellLonely(tags cluster.Tags) {
	w.mu.Lock()
	watched := w.watched
	w.mu.Unlock()
	if !watched {
		w.cfg.Logger.Warn("no registry watches this worker, so that it is given no calls: its tags must match RegistryConfig.Selector (default role=worker), and registries must reach it",
			"tags", tags, "after", lonelyAfter)
	}
}

// newWorker makes an endpoint a worker without a cluster.
func newWorker(ep *rpcnet.Endpoint, boot string, config *WorkerConfig) (*Worker, error) {
	cfg := config.withDefaults()
	if cfg.Capacity < 0 {
		return nil, fmt.Errorf("workers: WorkerConfig.Capacity is %d, want 0 (no limit) or more", cfg.Capacity)
	}
	w := &Worker{
		cfg: cfg, boot: boot, origin: time.Now(), closed: make(chan struct{}),
		ledger:   load.NewLedger(randomID(), load.Limits{Capacity: cfg.Capacity, Queue: cfg.Queue}),
		reports:  map[*reportStream]struct{}{},
		streams:  map[*movable]struct{}{},
		draining: make(chan struct{}),
	}
	var err error
	w.remove, err = extend.Endpoint(ep, extend.Extension{
		Procedures: []extend.Procedure{
			{Spec: reportSpec, Handler: w.serveReports, Role: role.Director},
			{Spec: paceSpec, Handler: w.servePace, Role: role.Director},
			{Spec: handoverSpec, Handler: w.serveHandover, Role: role.Director},
			{Spec: failover.ProbeSpec, Handler: failover.ServeProbe},
		},
		Interceptor: w.intercept,
		Drain:       w.drain,
	})
	if err != nil {
		return nil, fmt.Errorf("workers: making the endpoint a worker: %w", err)
	}
	return w, nil
}

// Close takes the worker off the endpoint: its reports end, and calls are no
// longer counted. Running calls go on. Closing twice does nothing. The error is always
// nil.
func (w *Worker) Close() error {
	w.once.Do(func() {
		close(w.closed)
		w.remove()
	})
	return nil
}

// InFlight returns the calls admitted and not ended, those that wait among
// them.
func (w *Worker) InFlight() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger.InFlight()
}

// Queued returns the calls that wait for a place.
func (w *Worker) Queued() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger.Queued()
}

// now returns the instant of the worker's clock, which does not jump.
func (w *Worker) now() time.Duration { return time.Since(w.origin) }

// randomID returns a random number above 0.
func randomID() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

// A place is what the worker keeps with a call that waits in the queue. With one that
// runs it keeps the ServerCall alone, if its caller can make it again, or nothing.
type place struct {
	run  chan struct{}      // closed when the call may run
	call *rpcnet.ServerCall // to end it, if its caller can make it again; or nil
}

// supersede ends a call, whose owner is given, because its caller has made it again. The
// caller holds mu, so that the call is not released, and lives.
func supersede(owner any) {
	if p, ok := owner.(*place); ok {
		owner = p.call
	}
	if call, ok := owner.(*rpcnet.ServerCall); ok && call != nil {
		extend.EndCall(call, errSuperseded)
	}
}

// errSuperseded ends a call whose caller has made it again with the same
// ticket.
var errSuperseded = rpcnet.NewError(rpcnet.CodeAborted, "the caller has made the call again")

// intercept counts a call, lets it wait, or refuses it. A call that runs costs one
// allocation, its entry in the ledger. It runs before anything is
// decoded, so that a refusal costs little. A call passes here in this order: its ticket
// is read, the ledger admits it or not, it waits for a place if it must, the handler
// runs, and release gives the place to the next.
func (w *Worker) intercept(next rpcnet.ServerFunc) rpcnet.ServerFunc {
	return func(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream) error {
		call := load.Call{}
		if sc := rpcnet.ServerCallFrom(ctx); sc != nil { // nil in process
			call.Attempt, call.Peer = sc.Attempt(), sc.Peer().ID
			if ticket := extend.Ticket(sc); len(ticket) > 0 {
				t, err := load.ParseTicket(ticket)
				call.Ticket, call.Ticketed = t, err == nil
			}
			// Only a call with a numbered ticket can be replaced by a later attempt.
			if call.Ticketed && call.Ticket.Number != 0 {
				call.Owner = sc
			}
		}
		if deadline, ok := ctx.Deadline(); ok {
			call.Left = max(time.Until(deadline), 1) // 0 means that there is none
		}
		e, run, err := w.admit(call)
		if err != nil {
			return err
		}
		var tell *rpcnet.ServerCall // whose caller wants to know the load
		defer func() { w.release(e, tell) }()
		if run != nil {
			if err := w.wait(ctx, run); err != nil {
				return err
			}
		}
		if spec.Resume != nil && spec.Shape.ServerStreams() {
			return w.serveMovable(ctx, spec, s, next)
		}
		err = next(ctx, spec, s)
		if t, ok := e.Ticket(); ok && t.Number == 0 && spec.Shape == codegen.ShapeUnary {
			tell = rpcnet.ServerCallFrom(ctx)
		}
		return err
	}
}

// admit asks the ledger for a place, and ends an earlier attempt that the call
// replaces. run, if not nil, is closed when the call may run. The error is that of the
// refusal.
func (w *Worker) admit(call load.Call) (e *load.Entry, run <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, replaced, why := w.ledger.Admit(w.now(), call)
	w.changed()
	if replaced != nil {
		supersede(replaced.Owner())
	}
	if why != load.RefusalNone {
		return nil, nil, refusal(why, w.ledger.Wait())
	}
	if !e.Waiting() {
		return e, nil, nil
	}
	p := &place{run: make(chan struct{})}
	p.call, _ = call.Owner.(*rpcnet.ServerCall)
	e.SetOwner(p)
	return e, p.run, nil
}

// refusal is what the caller of a refused call sees: no handler has seen it,
// so it can go to another worker. A superseded call has gone on already: its error is
// another one. after is when a call that is refused for want of room may have some.
func refusal(why load.Refusal, after time.Duration) error {
	switch why {
	case load.RefusalDraining:
		return rpcnet.NewError(rpcnet.CodeUnavailable, "worker: "+why.String()).WithUnprocessed()
	case load.RefusalSuperseded:
		return errSuperseded
	}
	return failover.FullError("worker: "+why.String(), after)
}

// wait lets a call wait for its place: until release gives it one, the worker drains,
// QueueWait is over, or the caller gives up.
func (w *Worker) wait(ctx context.Context, run <-chan struct{}) error {
	t := time.NewTimer(w.cfg.QueueWait)
	defer t.Stop()
	select {
	case <-run:
		return nil
	case <-w.draining:
		return refusal(load.RefusalDraining, 0)
	case <-t.C:
		w.mu.Lock()
		after := w.ledger.Wait()
		w.mu.Unlock()
		return failover.FullError(fmt.Sprintf("worker: no place within %v", w.cfg.QueueWait), after)
	case <-ctx.Done():
		if err := context.Cause(ctx); err == error(errSuperseded) {
			return err
		}
		return ctx.Err()
	}
}

// release gives a call's place to the next in the queue. With tell it sends the worker's
// numbers, in which the call still is, with the end of the call to the balancer that made
// it: one that makes many short calls knows more than reports at their pace can say.
func (w *Worker) release(e *load.Entry, tell *rpcnet.ServerCall) {
	var r load.Report
	w.mu.Lock()
	if tell != nil {
		t, _ := e.Ticket()
		r = w.ledger.Numbers(t.Balancer)
	}
	if next := w.ledger.Release(w.now(), e); next != nil {
		close(next.Owner().(*place).run)
	}
	w.changed()
	w.mu.Unlock()
	if tell != nil {
		var b [64]byte
		extend.TellLoad(tell, r.Append(b[:0]))
	}
}

// drain refuses new calls and tells the balancers, lets what runs finish, and at the
// end of its time moves the streams that can go on elsewhere. It returns when nothing
// is in flight or ctx ends.
func (w *Worker) drain(ctx context.Context) {
	w.mu.Lock()
	if w.ledger.State() != load.StateDraining { // Leave and Shutdown may both come here
		w.ledger.Drain()
		close(w.draining)
	}
	idle := make(chan struct{}) // closed when nothing is in flight
	if w.ledger.InFlight() == 0 {
		close(idle)
	} else if w.idle != nil {
		idle = w.idle
	} else {
		w.idle = idle
	}
	w.changed()
	w.mu.Unlock()
	t := time.NewTimer(max(w.cfg.DrainTimeout, 0))
	defer t.Stop()
	deadline := (<-chan time.Time)(nil)
	if d, ok := ctx.Deadline(); ok {
		// Streams need a moment to move: they do so before ctx cuts them.
		ahead := time.NewTimer(max(time.Until(d)-moveAhead, 0))
		defer ahead.Stop()
		deadline = ahead.C
	}
	select {
	case <-idle:
		return
	case <-t.C:
	case <-deadline:
	case <-ctx.Done():
	}
	w.moveStreams()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// moveAhead is how long before the end of a shutdown's time streams move.
const moveAhead = 200 * time.Millisecond
