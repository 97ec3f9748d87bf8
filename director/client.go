package director

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/directorv1"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/workers"
)

// A ClientConfig says how a client reaches directors and workers. Credentials or
// Endpoint are required; other zero fields take their defaults.
type ClientConfig struct {
	// ClientConfig says how calls are made, as for a workers.Client. Its DialTimeout
	// and Dial are for the connections to directors too. While no director
	// answers, a resumable stream waits for one as long as ResumeTimeout.
	workers.ClientConfig
	// Credentials prove who the client is, to directors and workers. A ticket of a
	// director is good only for the same certificate at the worker, so there is one
	// for both.
	Credentials rpcnet.Credentials
	// Endpoint, if not nil, dials in place of Credentials, with its own certificate
	// and logger. It must be open as long as the client is.
	Endpoint *rpcnet.Endpoint
	// Roles say which certificates can be a director's, and which a worker's. Servers
	// with others get no call. Default: as certificates say (rpcnet.Roles). With
	// Endpoint, its own rules count instead.
	Roles rpcnet.Roles
	// AskTimeout is how long a director may take to answer before the next one
	// is asked, or an alternate is used. Default 500 ms.
	AskTimeout time.Duration
	// Logger receives what goes wrong with connections. Default slog.Default. With
	// Endpoint, its own logger counts instead.
	Logger *slog.Logger
}

// A Client is a transport to the workers that directors assign. It is safe for
// concurrent use. mu guards the fields below it and is not held while anything
// blocks.
type Client struct {
	// cfg does not change after Dial.
	cfg ClientConfig
	// calls makes the calls: attempts, resumed streams, hedges, connections to workers.
	calls *failover.Client
	// directors has one connection for each address of Dial, in their order. They
	// connect again by themselves. askers ask them.
	directors []*rpcnet.Conn
	askers    []*directorv1.DirectorClient
	// again has connections to directors whose own connection is down: see reconnect.
	again *failover.Conns

	mu sync.Mutex
	// current is the director that answered last, the first to be asked.
	current int
	// failures and unused go to a director with the next question. At most maxReports of
	// each are kept, the last ones.
	failures []directorv1.Failure
	unused   []directorv1.Unused
	// known are the workers that were named, by name.
	known  map[string]known
	leases leases
}

// maxReports bounds what waits to be reported to a director, while none answers. The
// newest are kept, since the oldest say least about the workers of now.
const maxReports = 128

// callsOf makes the configuration of package failover of that of a client. Package
// workers sets the hook, so that both kinds of client check and fill in their
// configuration in the same way.
var callsOf = hook.Calls.(func(*workers.ClientConfig) failover.Config)

func init() {
	hook.AddUnaryShortcut(func(t any) hook.UnaryTransport {
		if c, ok := t.(*Client); ok {
			return c.calls
		}
		return nil
	})
}

// Dial returns a client of the directors at the given addresses. It connects in
// the background. A call waits for a director as long as [ClientConfig.AskTimeout], and a
// resumable stream as long as ResumeTimeout. cfg is copied. ctx bounds reading the
// credentials. Close the client when done. The error says what is wrong with cfg.
func Dial(ctx context.Context, cfg *ClientConfig, addrs ...string) (*Client, error) {
	if len(addrs) == 0 {
		return nil, errors.New("director: no address of a director")
	}
	c := &Client{known: map[string]known{}}
	c.leases.init(c)
	if cfg != nil {
		c.cfg = *cfg
	}
	if c.cfg.AskTimeout < 0 {
		return nil, errors.New("director: ClientConfig: AskTimeout must not be negative")
	}
	c.cfg.AskTimeout = cmp.Or(c.cfg.AskTimeout, 500*time.Millisecond)
	if c.cfg.Logger == nil {
		c.cfg.Logger = slog.Default()
	}
	// Directors and workers are dialled alike, but for the role that they must have.
	to := func(role role.Role) func(context.Context, failover.Worker) (*rpcnet.Conn, error) {
		return func(ctx context.Context, to failover.Worker) (*rpcnet.Conn, error) {
			host, _, _ := net.SplitHostPort(to.Addr)
			return c.dial(ctx, to.Addr, role, rpcnet.DialConfig{ServerNames: []string{host, to.ServerName}, Target: to.Required()})
		}
	}
	// From here on c.cfg is not written: dialling starts and reads it.
	calls, err := failover.NewClient(callsOf(&c.cfg.ClientConfig), picker{c}, to(role.Worker))
	if err != nil {
		return nil, fmt.Errorf("director: ClientConfig: %w", err)
	}
	c.calls = calls
	c.again = failover.NewConns(calls.Config().DialTimeout, to(role.Director))
	for _, addr := range addrs {
		conn, err := c.dial(ctx, addr, role.Director, rpcnet.DialConfig{Lazy: true})
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("director: %w", err)
		}
		c.directors = append(c.directors, conn)
		c.askers = append(c.askers, directorv1.NewDirectorClient(conn))
	}
	c.current = rand.IntN(len(addrs)) // so that clients spread over the directors
	return c, nil
}

// dial connects to an address, where a peer must answer that has the role.
func (c *Client) dial(ctx context.Context, addr string, role role.Role, own rpcnet.DialConfig) (*rpcnet.Conn, error) {
	own.VerifyPeer = func(p rpcnet.Peer) error {
		if c.cfg.Endpoint != nil {
			return extend.AllowServer(extend.Roles(c.cfg.Endpoint), p, role)
		}
		return extend.AllowServer(c.cfg.Roles, p, role)
	}
	if c.cfg.Endpoint != nil {
		return c.cfg.Endpoint.Dial(ctx, addr, failover.DialConfig(c.cfg.Dial, own))
	}
	own.Logger = c.cfg.Logger
	return rpcnet.Dial(ctx, addr, c.cfg.Credentials, failover.DialConfig(c.cfg.Dial, own))
}

// Close closes all connections. Calls in flight fail, and so do later ones. Before, it
// gives leased workers back to the directors, which takes at most 100 ms. It is
// idempotent, and its error is always nil.
func (c *Client) Close() error {
	c.leases.end()
	for _, d := range c.directors {
		d.Close()
	}
	c.again.Close()
	c.calls.Close()
	return nil
}

// NewStream starts a call. A director is asked when the first request is sent, so
// errors of directors come from Send or Recv and not from here. Generated clients
// call it; programs rarely do.
func (c *Client) NewStream(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
	return c.calls.NewStream(ctx, spec)
}

// CallWorker makes a unary call of bytes on one worker that the selector
// matches; "" takes any. The result belongs to the caller. The error is the
// worker's, or has CodeUnavailable if there is no worker.
func (c *Client) CallWorker(ctx context.Context, procedure string, data []byte, selector string) ([]byte, error) {
	return c.calls.CallWorker(ctx, procedure, data, selector)
}
