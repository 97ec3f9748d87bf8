package workers

import (
	"context"
	"fmt"
	"log/slog"

	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// A ClientConfig says how calls over several workers are made. A [Client] takes it,
// and director.ClientConfig holds one. The zero value has every default.
type ClientConfig struct {
	// Selector restricts all calls to workers whose tags match. A call may restrict
	// further. Default: any worker.
	Selector string
	// MaxAttempts is how often a call is made that a handler may have seen. A call
	// that no handler saw is tried on every worker. Default 4.
	MaxAttempts int
	// HedgeAfter makes an idempotent unary call a second time, on another worker,
	// when the first has not answered for so long. The first answer counts. At most
	// 5 % of the calls are hedged. Default 0: never.
	HedgeAfter time.Duration
	// ResumeTimeout is how long a resumable stream waits when there is no worker to
	// go on, or none that takes it. Default 30 s. Negative: not at all.
	ResumeTimeout time.Duration
	// DialTimeout bounds connecting to a worker. Default 2 s.
	DialTimeout time.Duration
	// Dial says how to connect to workers. VerifyPeer replaces the check that the
	// certificate is one of a worker, ServerNames the names that the
	// worker has announced, Target the worker itself. FailFast is always set.
	Dial rpcnet.DialConfig
	// Retryable reports after which errors another worker may do better, beside
	// those of calls that no handler saw. Default: those whose code is Unavailable.
	Retryable func(error) bool
	// OnEvent, if not nil, is called with what happens to the calls, on the
	// goroutine of the call it happens to. ctx is that call's. It must not block.
	OnEvent func(ctx context.Context, e Event)
}

// calls returns the configuration for package failover.
func (c *ClientConfig) calls() failover.Config {
	cfg := failover.Config{
		Selector: c.Selector, MaxAttempts: c.MaxAttempts, HedgeAfter: c.HedgeAfter,
		ResumeTimeout: c.ResumeTimeout, DialTimeout: c.DialTimeout, Retryable: c.Retryable,
	}
	if on := c.OnEvent; on != nil {
		cfg.OnEvent = func(ctx context.Context, e failover.Event) {
			on(ctx, Event{Kind: EventKind(e.Kind), Worker: e.Worker, Attempt: e.Attempt, Addr: e.Addr, Err: e.Err, Next: e.Next, Pause: e.Pause})
		}
	}
	return cfg
}

func init() {
	hook.Calls = (*ClientConfig).calls
	hook.AddUnaryShortcut(func(t any) hook.UnaryTransport {
		if c, ok := t.(*Client); ok {
			return c.calls
		}
		return nil
	})
}

// An Event is a turn in the life of a call over several workers.
type Event struct {
	// Kind is what has happened.
	Kind EventKind
	// Worker is the name of the worker concerned, "" if none is.
	Worker string
	// Attempt numbers the attempts of the call, from 0, with EventConnected, EventFailed,
	// EventMoved and EventResumed. It is what the worker sees as ServerCall.Attempt.
	Attempt int
	// Addr is its address, with EventAssigned, EventAlternate and EventConnected.
	Addr string
	// Err is why, with EventFailed, EventMoved and EventWaiting.
	Err error
	// Next is the sequence that a resumable stream goes on with.
	Next uint64
	// Pause is the time until a worker is looked for again, with EventWaiting.
	Pause time.Duration
}

// An EventKind is what an [Event] tells.
type EventKind uint8

// The kinds. EventAsking and EventAlternate are of director.Client alone. From
// EventFailed on they are of resumable streams alone.
const (
	// EventAsking: a director is asked for a worker.
	EventAsking = EventKind(failover.Asking)
	// EventAssigned: a worker was chosen.
	EventAssigned = EventKind(failover.Assigned)
	// EventAlternate: no director names a worker, or the call is hedged: a worker
	// named before is used.
	EventAlternate = EventKind(failover.Alternate)
	// EventConnected: the call is open on the worker.
	EventConnected = EventKind(failover.Connected)
	// EventFailed: the worker has failed the stream, which goes on elsewhere.
	EventFailed = EventKind(failover.Failed)
	// EventMoved: the worker leaves, or is fuller than others. It hands the stream over, or
	// does not take it.
	EventMoved = EventKind(failover.Moved)
	// EventResumed: another worker goes on with the stream.
	EventResumed = EventKind(failover.Resumed)
	// EventWaiting: there is no worker. One is looked for again after Pause.
	EventWaiting = EventKind(failover.Waiting)
)

var eventNames = [...]string{"asking", "assigned", "alternate", "connected", "failed", "moved", "resumed", "waiting"}

// String returns the kind's name in lower case.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("unknown(%d)", k)
}

// A Client calls workers. It is an rpcnet.Transport, so every generated client
// works over it; each call goes to the worker that the registry chooses.
//
// A call that no handler saw, because the worker refused it or could not be
// reached, is made again on another worker. A call that a handler can have seen
// is made again only if its procedure is idempotent (or the caller says so:
// rpcnet.CallOptions.Idempotent), nothing of the answer has arrived, and the budget allows:
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
	calls    *failover.Client
}

// NewClient returns a client over the workers of a registry. Default for cfg nil:
// [ClientConfig]'s zero value. The configuration is copied. The error says what is
// wrong with it.
func NewClient(r *Registry, cfg *ClientConfig) (*Client, error) {
	if cfg == nil {
		cfg = &ClientConfig{}
	}
	chosen := cfg.Dial
	dial := func(ctx context.Context, to failover.Worker) (*rpcnet.Conn, error) {
		own := dialConfig(r.ep, to.Addr, to.ServerName)
		own.Target = to.Required()
		return r.ep.Dial(ctx, to.Addr, failover.DialConfig(chosen, own))
	}
	calls := cfg.calls()
	calls.OnEvent = r.logged(calls.OnEvent)
	fc, err := failover.NewClient(calls, picker{r}, dial)
	if err != nil {
		return nil, fmt.Errorf("workers: ClientConfig: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[fc.Conns()] = struct{}{}
	return &Client{r, fc}, nil
}

// logged returns an OnEvent that logs what happens to resumable streams, and calls
// next.
func (r *Registry) logged(next func(context.Context, failover.Event)) func(context.Context, failover.Event) {
	return func(ctx context.Context, e failover.Event) {
		switch e.Kind {
		case failover.Failed:
			r.lines.Log(slog.LevelInfo, "failed", "stream goes on elsewhere", "failed", e.Worker, "next", e.Next, "err", e.Err)
		case failover.Moved:
			r.cfg.Logger.Debug("stream moves", "from", e.Worker, "next", e.Next)
		}
		if next != nil {
			next(ctx, e)
		}
	}
}

// Close closes the client's connections; calls in flight fail. The registry
// stays.
func (c *Client) Close() error {
	c.registry.mu.Lock()
	delete(c.registry.conns, c.calls.Conns())
	c.registry.mu.Unlock()
	c.calls.Close()
	return nil
}

// Registry returns the registry the client chooses by.
func (c *Client) Registry() *Registry { return c.registry }

// NewStream starts a call. The worker is chosen when the first request is
// sent, since the choice may depend on it.
func (c *Client) NewStream(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	return c.calls.NewStream(ctx, spec)
}

// CallWorker makes a unary call of bytes on one worker that the selector
// matches; "" takes any. The result belongs to the caller.
func (c *Client) CallWorker(ctx context.Context, procedure string, data []byte, selector string) ([]byte, error) {
	return c.calls.CallWorker(ctx, procedure, data, selector)
}
