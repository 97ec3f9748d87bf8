package bridge

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

// A Bridge is an [http.Handler] that makes calls. It is safe for
// concurrent use.
type Bridge struct {
	cfg     Config
	client  *rpcnet.Client
	catalog *catalog
	guard   *guard
	callers *callers
	lines   *loglimit.Limiter
	memory  *budget.Budget
	bodies  *budget.Kind
	served  atomic.Pointer[served] // nil: not on an endpoint
	streams atomic.Int64           // calls with many responses that run
	// heartbeat is how long a stream is silent before it gets a
	// comment. opening is how long the status of a stream waits
	// for its first message: an error that comes before has a
	// status of its own. Tests shorten them.
	heartbeat, opening time.Duration

	draining context.Context // ends when the endpoint drains
	drain    context.CancelFunc
}

// The times of streams. Proxies close a connection that is silent
// for 30 s or 60 s, so the heartbeat is below. The opening is
// what a person accepts as the time of a start.
const (
	heartbeat = 15 * time.Second
	opening   = time.Second
)

// New returns a bridge to the services behind t. A nil config
// means every default, with which no service can be called; it is
// copied. It fails if the config is wrong or its file of tokens
// cannot be read.
func New(t rpcnet.Transport, config *Config) (*Bridge, error) {
	if t == nil {
		return nil, errNoTransport
	}
	cfg, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bridge{
		cfg: cfg, client: rpcnet.NewClient(t, nil), lines: loglimit.New(cfg.Logger),
		memory: budget.New(cfg.Memory, max(cfg.Memory/2, min(cfg.Memory, cfg.MaxBody))), heartbeat: heartbeat, opening: opening,
	}
	// A caller has half of the memory, and at least what one body
	// takes.
	b.bodies = b.memory.Kind("bodies")
	b.catalog = newCatalog(t, &b.cfg)
	b.draining, b.drain = context.WithCancel(context.Background())
	b.guard = &guard{cfg: &b.cfg, endpoint: b.endpoint}
	b.callers = &callers{lines: b.lines}
	if cfg.Tokens != "" {
		if b.callers.tokens, err = openTokens(cfg.Tokens, b.lines); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// endpoint returns the endpoint on whose port the bridge answers,
// nil if there is none.
func (b *Bridge) endpoint() *rpcnet.Endpoint {
	if s := b.served.Load(); s != nil {
		return s.ep
	}
	return nil
}

// ServeHTTP answers one request. It is for an http.Server of the
// program, for example one on a loopback address for development;
// on an endpoint use [Bridge.Serve]. Callers on such a server
// need a token, since nothing here has verified a certificate.
func (b *Bridge) ServeHTTP(writer http.ResponseWriter, r *http.Request) {
	w := newReply(writer, b.cfg.WriteTimeout)
	defer w.settle(r)
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	// The order is the one that the package comment gives: what
	// costs least, and says least, comes first.
	if !b.guard.pass(w, r) || b.health(w, r) {
		return
	}
	who, ok := b.callers.authenticate(r)
	if !ok {
		h.Set("WWW-Authenticate", challenge)
		// The answer is the same for every path, and has no text:
		// a stranger does not learn what is there.
		w.refuse(http.StatusUnauthorized)
		return
	}
	b.route(w, r, who)
}

// route serves a request of a caller who is known.
func (b *Bridge) route(w *reply, r *http.Request, who caller) {
	path := r.URL.EscapedPath() // an escape is no part of a name, and hides one from proxies
	// Each path needs one role; what is not there looks the same
	// to all.
	serve := func(role role, there bool, f func(*reply, *http.Request)) {
		switch {
		case !there:
			w.fail(http.StatusNotFound, rpcnet.NewError(rpcnet.CodeNotFound, "there is nothing at this path"), nil)
		case !who.may(role):
			w.fail(http.StatusForbidden, rpcnet.Errorf(rpcnet.CodePermissionDenied, "this needs the role %s, %s has %s", role, who.name, who.role), nil)
		default:
			f(w, r)
		}
	}
	// The paths of methods have a dot in their service, so that
	// they are none of these.
	switch {
	case path == "/openapi.json":
		serve(roleAny, r.Method == http.MethodGet, b.catalog.openAPI)
	case path == "/metrics":
		serve(roleView, b.cfg.Metrics != nil, func(w *reply, r *http.Request) { b.cfg.Metrics.ServeHTTP(w, r) })
	case strings.HasPrefix(path, "/debug/pprof/"):
		serve(roleAdmin, b.cfg.Pprof, profile)
	case path == "/grpc.health.v1.Health/Check":
		serve(roleAny, r.Method == http.MethodPost, b.checkHealth)
	default:
		serve(roleCall, true, func(w *reply, r *http.Request) { b.call(w, r, who) })
	}
}
