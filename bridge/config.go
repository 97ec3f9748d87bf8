package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Config says what a [Bridge] serves, and which callers get it.
// Zero fields have their defaults. With all of them no service
// can be called.
type Config struct {
	// Logger is where the bridge logs. Default [slog.Default].
	Logger *slog.Logger
	// Services are the services that can be called: full names
	// such as "greeting.v1.Greeting", or prefixes with a star at
	// the end such as "greeting.v1.*". A star never stands for
	// services of the cluster itself ("cluster.v1...."). Default:
	// none.
	Services []string
	// Tokens is a file with the hashes of the tokens that callers
	// without a certificate show: one a line, the SHA-256 of the
	// token in hexadecimal, a role and a name, for example
	// "9f86... call webshop". The roles are "call" (makes calls),
	// "view" (sees metrics) and "admin" (all). The file is read
	// again when it changes; one that does not load leaves the
	// old one in use. Default: no tokens.
	Tokens string
	// Hosts are names under which callers reach the bridge,
	// besides localhost, the names of the endpoint's certificate
	// and the address that a connection came to. A request for
	// another host is refused: a page of a foreign site could
	// have sent it (DNS rebinding). Default none.
	Hosts []string
	// CORS are the origins whose pages can call, such as
	// "https://app.example". There is no "*". Default none.
	CORS []string
	// Metrics serves /metrics to callers with the role view.
	// Default: nothing is there.
	Metrics http.Handler
	// Pprof serves the profiles of the process at /debug/pprof/
	// to callers with the role admin.
	Pprof bool
	// Int64Strings writes integers of 64 bits as strings, for
	// readers such as browsers whose numbers end at 2^53.
	// Requests can have both forms in any case.
	Int64Strings bool
	// Ready returns why the process should get no requests now,
	// nil if it should: for example that a node has not joined.
	// It runs for each request of /readyz, on any goroutine.
	// Default: it always should until its endpoint drains.
	Ready func() error
	// MaxBody limits the body of one request in bytes. Default 4
	// MiB.
	MaxBody int64
	// Memory limits the bodies of all requests that are being
	// served, in bytes; one caller has half of it. Default 256
	// MiB.
	Memory int64
	// BodyTimeout is how long a caller may take to send a body.
	// Default 30 s.
	BodyTimeout time.Duration
	// WriteTimeout ends a request whose caller has not read for
	// that long while a write waits. Default 10 s.
	WriteTimeout time.Duration
}

// withDefaults returns a copy of c, or of the zero value for nil,
// in which no field stands for a default. It fails if a field
// cannot be meant.
func (c *Config) withDefaults() (Config, error) {
	var d Config
	if c != nil {
		d = *c
	}
	d.Logger = cmp.Or(d.Logger, slog.Default())
	d.Services, d.Hosts, d.CORS = slices.Clone(d.Services), slices.Clone(d.Hosts), slices.Clone(d.CORS)
	// Negative numbers mean nothing else than zero: none of these
	// limits can be disabled.
	if d.MaxBody <= 0 {
		d.MaxBody = 4 << 20
	}
	if d.Memory <= 0 {
		d.Memory = 256 << 20
	}
	if d.BodyTimeout <= 0 {
		d.BodyTimeout = 30 * time.Second
	}
	if d.WriteTimeout <= 0 {
		d.WriteTimeout = 10 * time.Second
	}
	// A star in the middle would look as if it worked.
	for _, p := range d.Services {
		if name := strings.TrimSuffix(p, "*"); strings.Contains(name, "*") || p == "" {
			return d, fmt.Errorf("bridge: Config.Services has %q: want the name of a service, or a prefix with one star at its end", p)
		}
	}
	// Browsers send origins in this form, so that a comparison of
	// texts is enough. A star would let every page of the world
	// call with the token of its reader.
	for i, o := range d.CORS {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			return d, fmt.Errorf(`bridge: Config.CORS has %q: want an origin such as "https://app.example"`, o)
		}
		d.CORS[i] = strings.ToLower(o)
	}
	// Hosts are compared without a port and without brackets.
	for i, h := range d.Hosts {
		if h == "" || strings.ContainsAny(h, "/*") {
			return d, fmt.Errorf("bridge: Config.Hosts has %q: want a host name or an address", h)
		}
		d.Hosts[i] = strings.ToLower(strings.Trim(h, "[]"))
	}
	return d, nil
}

// errNoTransport is the error of New without a transport.
var errNoTransport = errors.New("bridge: New needs a transport: rpcnet.InProcess(srv), a connection, or a client of workers")

// allowed reports whether the allow-list has a service.
func (c *Config) allowed(service string) bool {
	for _, p := range c.Services {
		if p == service {
			return true
		}
		// A pattern that says "everything" must not open the
		// control of the cluster.
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(service, prefix) && !internalService(service) {
			return true
		}
	}
	return false
}

// internalService reports whether a service is one of the cluster
// or of this library.
func internalService(service string) bool {
	return strings.HasPrefix(service, "cluster.") || strings.HasPrefix(service, "rpcnet.")
}
