package failover

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// A Config says how a client makes its calls. The zero value has the defaults,
// which are documented where users see them: workers.ClientConfig.
type Config struct {
	// Selector is what the tags of a worker must match in each call.
	Selector string
	// MaxAttempts bounds the attempts of one call that a handler can have seen.
	MaxAttempts int
	// HedgeAfter is when an idempotent unary call is made a second time. 0: never.
	HedgeAfter time.Duration
	// ResumeTimeout is how long a resumable stream waits for a worker. Negative: not at
	// all.
	ResumeTimeout time.Duration
	// DialTimeout bounds connecting to a worker.
	DialTimeout time.Duration
	// Retryable reports whether another worker can do better after an error.
	Retryable func(error) bool
	// OnEvent hears what happens to calls. nil: nothing does.
	OnEvent func(ctx context.Context, e Event)
}

// defaults returns c with the defaults in place of zeros, or what is wrong with it.
func (c Config) defaults() (Config, error) {
	if _, err := cluster.ParseSelector(c.Selector); err != nil {
		return c, err
	}
	if c.MaxAttempts < 0 || c.HedgeAfter < 0 || c.DialTimeout < 0 {
		return c, errors.New("MaxAttempts, HedgeAfter and DialTimeout must not be negative")
	}
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 4)
	c.ResumeTimeout = cmp.Or(c.ResumeTimeout, 30*time.Second)
	c.DialTimeout = cmp.Or(c.DialTimeout, 2*time.Second)
	if c.Retryable == nil {
		c.Retryable = func(err error) bool { return rpcnet.CodeOf(err) == rpcnet.CodeUnavailable }
	}
	return c, nil
}

// A Client makes calls over the workers that a picker chooses. It is an
// rpcnet.Transport. It is safe for concurrent use. mu guards the fields below it and
// is not held while anything blocks.
type Client struct {
	cfg      Config
	picker   Picker
	conns    *Conns
	watchdog unaryWatchdog
	// streams makes the unary calls that need a [Stream] or two.
	streams *rpcnet.Client
	// unaries are the [unaryCall]s that are not in use. They are this client's because
	// their channels may not leave a synctest bubble.
	unaries sync.Pool
	// full says that budget and hedges are as full as they get.
	full atomic.Bool

	mu sync.Mutex
	// budget bounds the calls that are made again after a handler can have seen them.
	budget Budget
	// hedges are the hedges saved up: a call that is answered adds hedgeShare.
	hedges float64
}

// NewClient returns a client. dial makes the connections to workers. The error says
// what is wrong with cfg.
func NewClient(cfg Config, p Picker, dial func(ctx context.Context, to Worker) (*rpcnet.Conn, error)) (*Client, error) {
	cfg, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, picker: p, conns: NewConns(cfg.DialTimeout, dial)}
	c.streams = rpcnet.NewClient(c, nil)
	return c, nil
}

// Close closes the connections to workers. Calls in flight fail, and so do those that
// are made later.
func (c *Client) Close() { c.conns.Close() }

// Config returns the configuration, with defaults.
func (c *Client) Config() Config { return c.cfg }

// Conns returns the connections to workers.
func (c *Client) Conns() *Conns { return c.conns }

// Tell reports an event of the call that ctx is of.
func (c *Client) Tell(ctx context.Context, e Event) {
	if c.cfg.OnEvent != nil {
		c.cfg.OnEvent(ctx, e)
	}
}

// takeRetry takes a token of the budget of calls made again.
func (c *Client) takeRetry() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full.Store(false)
	return c.budget.Take()
}

// succeeded gives the budgets what a call that was answered is worth. While they are
// full it takes no lock, which all calls share.
func (c *Client) succeeded() {
	if c.full.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.Success()
	c.hedges = min(c.hedges+hedgeShare, maxHedges)
	c.full.Store(c.budget.Left() == budgetTokens && c.hedges == maxHedges)
}

// NewStream starts a call. A worker is chosen when the first request is sent, since
// the choice may depend on it.
func (c *Client) NewStream(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, rpcnet.NewError(rpcnet.CodeOf(err), err.Error()).WithCause(err).WithUnprocessed()
	}
	o := rpcnet.CallFrom(ctx).Options()
	// A resumable stream needs no promise of its procedure: it repeats nothing.
	if CanResume(spec) {
		return c.newResumable(ctx, spec, o), nil
	}
	o.Idempotent = o.Idempotent || spec.Idempotency != codegen.IdempotencyUnknown
	if c.cfg.HedgeAfter > 0 && o.Idempotent && spec.Shape == codegen.ShapeUnary {
		return c.newHedged(ctx, spec, o), nil
	}
	return c.newRetried(ctx, spec, o), nil
}

// CallWorker makes a unary call of bytes on one worker that the selector matches. ""
// takes any worker. The result belongs to the caller.
func (c *Client) CallWorker(ctx context.Context, procedure string, data []byte, selector string) ([]byte, error) {
	var out []byte
	err := c.callUnary(ctx, &rpcnet.Spec{Procedure: procedure}, data, &out, selector)
	return out, err
}

// Narrow returns the selector of a call that brings one, "" if it does not: a
// worker must match the client's own too.
func (c *Client) Narrow(selector string) string {
	switch own := c.cfg.Selector; {
	case own == "":
		return selector
	case selector == "":
		return own
	default:
		return own + "," + selector
	}
}
