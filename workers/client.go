package workers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/load"
	"github.com/rpcnet-go/rpcnet/workers/balance"
)

// A ClientConfig says how a client calls workers. The zero value is useful.
type ClientConfig struct {
	// Selector restricts all calls of the client, as [WithSelector] does one.
	// Default: any worker of the registry.
	Selector string
	// MaxAttempts is how often a call is made that a handler may have seen.
	// One that no handler saw is tried on every worker. Default 4.
	MaxAttempts int
	// HedgeAfter makes an idempotent unary call a second time, on another
	// worker, when the first has not answered for so long; the first answer
	// counts. At most 5 % of the calls are hedged. Default 0: never.
	HedgeAfter time.Duration
	// Patience is how long a resumable stream waits when there is no worker to
	// go on, or none that takes it. Default 10 s. Negative: not at all.
	Patience time.Duration
	// DialTimeout bounds connecting to a worker. Default 2 s.
	DialTimeout time.Duration
	// DialOptions are for the connections to workers. One with
	// rpcnet.WithVerifyPeer replaces the check that the certificate of who answers
	// may be a worker's.
	DialOptions []rpcnet.DialOption
}

// A Client calls workers. It is an rpcnet.Transport, so every generated client
// works over it; each call goes to the worker that the registry chooses.
//
// A call that no handler saw, because the worker refused it or could not be
// reached, is made again on another worker. One that a handler may have seen
// is made again only if its procedure is idempotent (or the caller says so:
// [WithIdempotent]), nothing of the answer has arrived, and the budget allows:
// 10 tokens, and one more for every 10 calls that succeed. The worker of an
// idempotent unary call that has not answered for 0.5 s is asked whether it
// lives; if it does not say so, it counts as having failed. Streams that have
// begun go on at another worker if their procedure is resumable, and end with
// the error if not.
//
// Connections are made on demand, shared by all calls, and closed when the
// worker is gone. A Client is safe for concurrent use.
type Client struct {
	registry *Registry
	cfg      ClientConfig
	conns    *failover.Conns
	watch    failover.Watch

	mu     sync.Mutex
	budget failover.Budget
	hedges float64 // tokens of 1, a twentieth of one per call
}

// NewClient returns a client over the workers of a registry. An error says
// what is wrong with cfg.
func NewClient(r *Registry, cfg ClientConfig) (*Client, error) {
	if _, err := cluster.ParseSelector(cfg.Selector); err != nil {
		return nil, err
	}
	if cfg.MaxAttempts < 0 || cfg.HedgeAfter < 0 || cfg.DialTimeout < 0 {
		return nil, errors.New("workers: ClientConfig: MaxAttempts, HedgeAfter and DialTimeout must not be negative")
	}
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = 4
	}
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = 2 * time.Second
	}
	c := &Client{registry: r, cfg: cfg}
	c.conns = failover.NewConns(cfg.DialTimeout, func(ctx context.Context, key failover.Key) (*rpcnet.Conn, error) {
		opts := append([]rpcnet.DialOption{verifyWorker(r.ep), verifyAt(key.Addr, key.ServerName), rpcnet.WithTarget(key.Target)}, cfg.DialOptions...)
		return r.ep.Dial(ctx, key.Addr, append(opts, rpcnet.WithFailFast())...)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[c.conns] = struct{}{}
	return c, nil
}

// Close closes the client's connections; calls in flight fail. The registry
// stays.
func (c *Client) Close() error {
	c.registry.mu.Lock()
	delete(c.registry.conns, c.conns)
	c.registry.mu.Unlock()
	c.conns.Close()
	return nil
}

// Registry returns the registry the client chooses by.
func (c *Client) Registry() *Registry { return c.registry }

// WithSelector restricts the calls made with the context to workers whose tags
// match, in addition to the client's own selector.
func WithSelector(ctx context.Context, selector string) context.Context {
	return failover.With(ctx, func(c *failover.Choice) { c.Selector = selector })
}

// WithAffinity gives the calls made with the context an affinity key, as a
// procedure's own route does.
func WithAffinity(ctx context.Context, key string) context.Context {
	return failover.With(ctx, func(c *failover.Choice) { c.Key = key })
}

// WithHint names the worker that served the session before.
func WithHint(ctx context.Context, worker string) context.Context {
	return failover.With(ctx, func(c *failover.Choice) { c.Hint = worker })
}

// WithIdempotent says that calls made with the context may be made twice, for
// procedures without a contract.
func WithIdempotent(ctx context.Context) context.Context {
	return failover.With(ctx, func(c *failover.Choice) { c.Idempotent = true })
}

// WithServedBy calls served with each worker that answers a call made with the
// context, from the goroutine that receives the answer. Through a director
// only the member's name, boot and address are known.
func WithServedBy(ctx context.Context, served func(cluster.Member)) context.Context {
	return failover.With(ctx, func(c *failover.Choice) {
		c.Served = func(name, boot, addr string) { served(cluster.Member{Name: name, Boot: boot, Addr: addr}) }
	})
}

// told returns the load that came with the end of a unary call.
func (l *leg) told(err error) (r load.Report, ok bool) {
	if l.record == nil || err != nil {
		return r, false
	}
	text := l.record.Trailer().Get(loadTrailer)
	if text == "" {
		return r, false
	}
	r, perr := load.ParseReport([]byte(text))
	return r, perr == nil && r.InFlight > 0 && r.Yours > 0
}

// CallWorker makes a unary call of bytes on one worker that the selector
// matches; "" takes any. The result belongs to the caller.
func (c *Client) CallWorker(ctx context.Context, procedure string, data []byte, selector string) ([]byte, error) {
	if selector != "" {
		ctx = WithSelector(ctx, selector)
	}
	return rpcnet.CallRaw(ctx, c, procedure, data)
}

// NewStream starts a call. The worker is chosen when the first request is
// sent, since the choice may depend on it.
func (c *Client) NewStream(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, rpcnet.NewError(rpcnet.CodeOf(err), err.Error()).WithCause(err).WithUnprocessed()
	}
	choice := failover.ChoiceOf(ctx)
	src, wish := &callSource{c, choice}, choice.Wish(c.cfg.Selector)
	if failover.CanResume(spec) {
		return failover.NewResumable(ctx, src, spec, wish), nil
	}
	idempotent := choice.Idempotent || spec.Idempotency != rpcnet.MayHaveSideEffects
	if c.cfg.HedgeAfter > 0 && idempotent && spec.Shape == rpcnet.Unary {
		return &hedgedStream{client: c, ctx: ctx, spec: spec, src: src, wish: wish}, nil
	}
	return failover.NewStream(ctx, src, spec, wish, idempotent), nil
}

// A callSource chooses workers for one call of a client.
type callSource struct {
	*Client
	choice failover.Choice
}

// Next chooses a worker and counts the call on it.
func (s *callSource) Next(_ context.Context, wish *failover.Wish) (failover.Leg, error) {
	r := s.registry
	req := balance.PickRequest{Selector: wish.Selector, Exclude: wish.Exclude, AffinityKey: wish.Key, LastWorker: wish.Hint, WaitInQueue: wish.Patient}
	r.mu.Lock()
	defer r.mu.Unlock()
	g, err := r.group(req.Selector, "")
	if err != nil {
		return nil, rpcnet.NewError(rpcnet.CodeInvalidArgument, err.Error()).WithCause(err).WithUnprocessed()
	}
	picked, _, full := g.load.Pick(r.now(), &req)
	if picked == nil {
		return nil, r.none(g, &req)
	}
	return s.begin(picked.Owner.(*worker), full || req.WaitInQueue, req.WaitInQueue), nil
}

// begin counts a call on w. The ticket, with which the worker tells this
// balancer's calls from others', goes with the call. The caller holds the
// registry's mu.
func (c *Client) begin(w *worker, queueOK, patient bool) *leg {
	w.load.Begin()
	r := c.registry
	return &leg{client: c, worker: w, member: w.member, began: r.now(), patient: patient, ticket: r.pool.Own(w.load, queueOK)}
}

// Retry takes a token of the budget.
func (s *callSource) Retry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.budget.Take()
}

// Answered gives the budget what a success is worth.
func (s *callSource) Answered(l failover.Leg) {
	s.mu.Lock()
	s.budget.Success()
	s.hedges = min(s.hedges+hedgeShare, 5)
	s.mu.Unlock()
	if m := l.(*leg).member; s.choice.Served != nil {
		s.choice.Served(m.Name, m.Boot, m.Addr)
	}
}

// Tell logs what happens to a resumable stream.
func (s *callSource) Tell(_ context.Context, e failover.Event) {
	switch e.Kind {
	case failover.Failed:
		s.registry.lines.Log(slog.LevelInfo, "failed", "stream goes on elsewhere", "failed", e.Worker, "next", e.Next, "err", e.Err)
	case failover.Moved:
		s.registry.log.Debug("stream moves", "from", e.Worker, "next", e.Next)
	}
}

// Patience is how long a resumable stream waits for a worker.
func (s *callSource) Patience() time.Duration { return s.cfg.Patience }

// MaxAttempts is how often a call is made that a handler may have seen.
func (s *callSource) MaxAttempts() int { return s.cfg.MaxAttempts }

// Retryable reports whether another worker may do better.
func (s *callSource) Retryable(err error) bool { return rpcnet.CodeOf(err) == rpcnet.CodeUnavailable }

// Watch looks after the client's calls.
func (s *callSource) Watch() *failover.Watch { return &s.watch }

// A leg is one try of a call on one worker. It counts as in flight from the
// choice to its end.
type leg struct {
	client  *Client
	worker  *worker
	member  cluster.Member
	ticket  load.Ticket
	began   time.Duration
	lease   failover.Lease
	patient bool         // there is no other worker to try
	record  *rpcnet.Call // of a unary call; nil if the caller keeps one itself
	once    sync.Once
}

// Worker returns the worker's name.
func (l *leg) Worker() string { return l.member.Name }

// key tells the lives of a worker apart. Where there is no cluster, whoever answers
// at the address is the worker.
func (l *leg) key() failover.Key {
	k := failover.Key{ID: l.member.ID(), Addr: l.member.Addr, ServerName: l.member.ServerName}
	if c := l.client.registry.cluster; c != "" {
		k.Target = rpcnet.Target{Cluster: c, Node: l.member.Name, Boot: l.member.Boot}
	}
	return k
}

// Open opens the call on the worker.
func (l *leg) Open(ctx context.Context, spec *rpcnet.Spec, attempt int) (rpcnet.ClientStream, error) {
	conn, err := l.lease.Take(ctx, l.client.conns, l.key(), l.patient)
	if err != nil {
		return nil, err
	}
	if spec.Shape == rpcnet.Unary && rpcnet.CallFrom(ctx) == nil {
		ctx, l.record = rpcnet.NewCall(ctx, rpcnet.CallOptions{})
	}
	return l.via(conn, attempt).NewStream(ctx, spec)
}

// via returns conn with what goes with the call. A client's options keep the
// caller's own record of the call.
func (l *leg) via(conn *rpcnet.Conn, attempt int) *rpcnet.Client {
	var b [load.MaxTicketSize]byte
	return rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Ticket: l.ticket.Append(b[:0]), Attempt: attempt}})
}

// Probe asks the worker whether it lives.
func (l *leg) Probe(ctx context.Context) error { return l.lease.Probe(ctx) }

// End says how the try ended.
func (l *leg) End(err error, unary bool) {
	l.once.Do(func() {
		l.lease.Return(err != nil)
		told, tells := l.told(err)
		r := l.client.registry
		r.mu.Lock()
		defer r.mu.Unlock()
		w := l.worker.load
		w.End()
		now := r.now()
		if tells {
			// The worker counted this call still; it is over.
			told.InFlight, told.Yours = told.InFlight-1, told.Yours-1
			r.pool.ApplyPiggybacked(now, w, told)
		}
		switch failover.Judge(err) {
		case failover.Fine:
			w.Health.Success(now)
			if unary {
				w.Latency.Observe(now, now-l.began, false)
			}
		case failover.Bad:
			if w.Health.Failure(now) {
				until, _ := w.Health.Ejected(now)
				r.lines.Log(slog.LevelWarn, "ejected", "worker fails calls: ejected", "worker", l.member.Name, "for", until-now, "err", err)
			}
			if unary {
				w.Latency.Observe(now, now-l.began, true)
			}
		}
	})
}
