package director

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// A Config says how a client reaches directors and workers. Credentials or
// Endpoint are required; other zero fields take their defaults.
type Config struct {
	// Credentials prove who the client is, to directors and workers.
	Credentials rpcnet.Credentials
	// Endpoint, if not nil, dials in place of Credentials.
	Endpoint *rpcnet.Endpoint
	// Roles say whose certificate may be a director's, and whose a worker's; others
	// get no call. Default: as certificates say (rpcnet.Roles). With Endpoint, its
	// own rules count instead.
	Roles rpcnet.Roles
	// Selector restricts all calls to workers whose tags match. A call may
	// restrict further with workers.WithSelector. Default: any worker.
	Selector string
	// Patience is how long a resumable stream waits when there is no director
	// and no worker, or none that takes it. Default 30 s. Negative: not at all.
	Patience time.Duration
	// MaxAttempts is how often a call is made that a handler may have seen.
	// Default 4.
	MaxAttempts int
	// AskTimeout is how long a director may take to answer before the next one
	// is asked, or an alternate is used. Default 500 ms.
	AskTimeout time.Duration
	// DialTimeout bounds connecting to a worker. Default 2 s.
	DialTimeout time.Duration
	// DialOptions are for the connections to directors and workers. One with
	// rpcnet.WithVerifyPeer replaces the check of Roles.
	DialOptions []rpcnet.DialOption
	// Retryable says after which errors another worker may do better, beside
	// those of transport. Default: those whose code is Unavailable.
	Retryable func(error) bool
	// OnEvent, if not nil, is told what happens, from the goroutine of the call
	// it happens to; ctx is that call's. It must not block.
	OnEvent func(ctx context.Context, e Event)
	// Logger receives what goes wrong with connections. Default slog.Default.
	Logger *slog.Logger
}

// An Event is a turn in the life of a call.
type Event struct {
	Kind Kind
	// Worker is the worker concerned, "" if none.
	Worker string
	// Addr is its address, with Assigned and Connected.
	Addr string
	// Err is why, with Failed, Moved and Waiting.
	Err error
	// Next is the sequence that a resumable stream goes on with.
	Next uint64
	// Pause is the time until the next question, with Waiting.
	Pause time.Duration
}

// A Kind is what an [Event] tells.
type Kind uint8

// The kinds.
const (
	// Asking: a director is asked for a worker.
	Asking Kind = iota
	// Assigned: it has named one.
	Assigned
	// Alternate: no director names a worker; one named before is used.
	Alternate
	// Connected: the call is open on the worker.
	Connected
	// Failed: the worker has failed the stream, which goes on elsewhere.
	Failed
	// Moved: the worker is leaving. It hands the stream over, or does not take it.
	Moved
	// Resumed: another worker goes on with the stream.
	Resumed
	// Waiting: there is no worker; the next question is asked in Pause.
	Waiting
)

var kindNames = [...]string{"asking", "assigned", "alternate", "connected", "failed", "moved", "resumed", "waiting"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("unknown(%d)", k)
}

// A Client is a transport to the workers that directors assign. It is safe for
// concurrent use. mu guards the fields below it and is not held while anything
// blocks.
type Client struct {
	cfg       Config
	directors []*rpcnet.Conn
	conns     *failover.Conns // to workers
	again     *failover.Conns // to directors whose own connection is down
	watch     failover.Watch

	mu       sync.Mutex
	current  int // the director that answered last
	budget   failover.Budget
	failures []directorv1.Failure
	unused   []directorv1.Unused
	known    map[string]known // workers heard of, by name
}

// maxReports bounds what waits to be told to a director.
const maxReports = 128

// Dial returns a client of the directors at the given addresses. It connects in
// the background: calls wait for a director as long as [Config.AskTimeout] and
// the patience of their kind allow. Close the client when done. An error says
// what is wrong with the configuration; ctx bounds reading the credentials.
func Dial(ctx context.Context, cfg Config, addrs ...string) (*Client, error) {
	if len(addrs) == 0 {
		return nil, errors.New("director: no address of a director")
	}
	if cfg.AskTimeout < 0 || cfg.DialTimeout < 0 || cfg.MaxAttempts < 0 {
		return nil, errors.New("director: AskTimeout, DialTimeout and MaxAttempts must not be negative")
	}
	if _, err := cluster.ParseSelector(cfg.Selector); err != nil {
		return nil, fmt.Errorf("director: Config.Selector: %w", err)
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.Patience, 30*time.Second)
	def(&cfg.AskTimeout, 500*time.Millisecond)
	def(&cfg.DialTimeout, 2*time.Second)
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = 4
	}
	if cfg.Retryable == nil {
		cfg.Retryable = func(err error) bool { return rpcnet.CodeOf(err) == rpcnet.CodeUnavailable }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Client{cfg: cfg, known: map[string]known{}}
	to := func(role rpcnet.Role) func(context.Context, failover.Key) (*rpcnet.Conn, error) {
		return func(ctx context.Context, key failover.Key) (*rpcnet.Conn, error) {
			host, _, _ := net.SplitHostPort(key.Addr)
			return c.dial(ctx, key.Addr, role, rpcnet.WithServerName(host, key.ServerName), rpcnet.WithTarget(key.Target))
		}
	}
	c.conns = failover.NewConns(cfg.DialTimeout, to(rpcnet.RoleWorker))
	c.again = failover.NewConns(cfg.DialTimeout, to(rpcnet.RoleDirector))
	for _, addr := range addrs {
		conn, err := c.dial(ctx, addr, rpcnet.RoleDirector, rpcnet.WithLazyDial())
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("director: %w", err)
		}
		c.directors = append(c.directors, conn)
	}
	c.current = rand.IntN(len(addrs))
	return c, nil
}

// dial connects to an address, where a peer must answer that has the role.
func (c *Client) dial(ctx context.Context, addr string, role rpcnet.Role, more ...rpcnet.DialOption) (*rpcnet.Conn, error) {
	verify := rpcnet.WithVerifyPeer(func(p rpcnet.Peer) error {
		if c.cfg.Endpoint != nil {
			return c.cfg.Endpoint.AllowServer(p, role)
		}
		return c.cfg.Roles.AllowServer(p, role)
	})
	opts := append(append([]rpcnet.DialOption{verify}, more...), c.cfg.DialOptions...)
	opts = append(opts, rpcnet.WithFailFast())
	if c.cfg.Endpoint != nil {
		return c.cfg.Endpoint.Dial(ctx, addr, opts...)
	}
	return rpcnet.Dial(ctx, addr, c.cfg.Credentials, append(opts, rpcnet.WithLogger(c.cfg.Logger))...)
}

// Close closes all connections; calls in flight fail.
func (c *Client) Close() error {
	for _, d := range c.directors {
		d.Close()
	}
	c.again.Close()
	c.conns.Close()
	return nil
}

// NewStream starts a call; a director is asked when the first request is sent.
func (c *Client) NewStream(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, rpcnet.NewError(rpcnet.CodeOf(err), err.Error()).WithCause(err).WithUnprocessed()
	}
	choice := failover.ChoiceOf(ctx)
	src, wish := &source{c, choice}, choice.Wish(c.cfg.Selector)
	if failover.CanResume(spec) {
		return failover.NewResumable(ctx, src, spec, wish), nil
	}
	return failover.NewStream(ctx, src, spec, wish, choice.Idempotent), nil
}

// CallWorker makes a unary call of bytes on a worker.
func (c *Client) CallWorker(ctx context.Context, procedure string, data []byte) ([]byte, error) {
	return rpcnet.CallRaw(ctx, c, procedure, data)
}

// tell reports an event.
func (c *Client) tell(ctx context.Context, e Event) {
	if c.cfg.OnEvent != nil {
		c.cfg.OnEvent(ctx, e)
	}
}
