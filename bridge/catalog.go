package bridge

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

const (
	// catalogAge is how old the table may get before it is asked
	// for anew, beside a request that uses it.
	catalogAge = 30 * time.Second
	// catalogPause is how often a request for an unknown method
	// asks the servers.
	catalogPause = time.Second
	// catalogTimeout bounds one question.
	catalogTimeout = 10 * time.Second
	// maxServices is how many services a table has, and maxAsked
	// how many of them are asked for by name in one turn.
	maxServices, maxAsked = 1000, 100
)

// A method is one that can be called.
type method struct {
	schema *schema.Schema
	facts  *schema.Method
	spec   *codegen.Spec
}

// A table has the methods of services by their path. It is
// immutable.
type table struct {
	methods  map[string]*method
	services map[string]*schema.Schema
}

// A catalog knows the methods of the services that are allowed.
// It asks the servers behind the transport, any of them: a
// service that one has described stays known, since another
// worker of the pool may not have it.
type catalog struct {
	transport rpcnet.Transport
	cfg       *Config
	table     atomic.Pointer[table]

	mu      sync.Mutex // guards what follows
	asked   time.Time
	loading chan struct{} // closed when a question has its answer; nil: none is asked
	err     error         // of the last question
}

// newCatalog returns a catalog that knows nothing yet.
func newCatalog(t rpcnet.Transport, cfg *Config) *catalog {
	c := &catalog{transport: t, cfg: cfg}
	c.table.Store(&table{})
	return c
}

// find returns the method with a path such as
// /greeting.v1.Greeting/Hello, nil if there is none that is
// allowed. The error says why the servers do not answer.
func (c *catalog) find(ctx context.Context, path string) (*method, error) {
	service, _, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok || !c.cfg.allowed(service) {
		return nil, nil
	}
	// The usual case takes no lock but that of refresh, and never
	// waits for a server.
	if m := c.table.Load().methods[path]; m != nil {
		c.refresh(catalogAge)
		return m, nil
	}
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	return c.table.Load().methods[path], nil
}

// has reports whether a service is known and allowed.
func (c *catalog) has(ctx context.Context, service string) bool {
	if !c.cfg.allowed(service) {
		return false
	}
	if c.table.Load().services[service] == nil {
		c.load(ctx)
	}
	return c.table.Load().services[service] != nil
}

// load asks the servers, unless that was done just now, and waits
// for the answer. It is for requests that cannot go on without.
func (c *catalog) load(ctx context.Context) error {
	if wait := c.refresh(catalogPause); wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// refresh asks the servers if the last answer is older than age.
// The question runs on a goroutine of its own, which ends within
// catalogTimeout. It returns what is closed when the question
// that is asked has its answer, nil if none is.
func (c *catalog) refresh(age time.Duration) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Many requests can come for a method that is not known: they
	// share one question.
	if c.loading != nil || !c.asked.IsZero() && time.Since(c.asked) < age {
		return c.loading
	}
	done := make(chan struct{})
	c.loading = done
	go func() {
		defer close(done)
		// The question is not one of the request that happens to
		// come first.
		ctx, cancel := context.WithTimeout(context.Background(), catalogTimeout)
		defer cancel()
		err := c.ask(ctx)
		if err != nil {
			c.cfg.Logger.Log(ctx, slog.LevelWarn, "bridge: the servers do not describe their services", "err", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked, c.loading, c.err = time.Now(), nil, err
	}()
	return done
}

// ask asks the servers for what they serve, and replaces the
// table. Over a pool it is one worker that answers. One goroutine
// runs it at a time.
func (c *catalog) ask(ctx context.Context) error {
	answer, err := rpcnet.CallRaw(ctx, c.transport, codegen.DescribeProcedure, nil)
	if err != nil {
		return err
	}
	services, omitted, err := schema.ParseDescription(answer)
	if err != nil {
		return rpcnet.Errorf(rpcnet.CodeInternal, "%v", err)
	}
	// What did not fit into one answer is asked for by its name,
	// if it can be called.
	for _, name := range omitted[:min(len(omitted), maxAsked)] {
		if !c.cfg.allowed(name) {
			continue
		}
		answer, err := rpcnet.CallRaw(ctx, c.transport, codegen.DescribeProcedure, []byte(name))
		if err != nil {
			return err
		}
		one, _, err := schema.ParseDescription(answer)
		if err != nil {
			return rpcnet.Errorf(rpcnet.CodeInternal, "%v", err)
		}
		services = append(services, one...)
	}
	// Services that another worker has described stay.
	old := c.table.Load()
	next := &table{methods: map[string]*method{}, services: maps.Clone(old.services)}
	if next.services == nil {
		next.services = map[string]*schema.Schema{}
	}
	for _, s := range services {
		if c.cfg.allowed(s.Service) && (next.services[s.Service] != nil || len(next.services) < maxServices) {
			next.services[s.Service] = s
		}
	}
	// The specifications are made once here, and not for each
	// call.
	for _, s := range next.services {
		for _, m := range s.Methods {
			spec, err := s.Spec(m.Name, c.cfg.Int64Strings)
			if err != nil {
				return rpcnet.Errorf(rpcnet.CodeInternal, "%v", err)
			}
			next.methods[spec.Procedure] = &method{s, m, spec}
		}
	}
	c.table.Store(next)
	return nil
}

// sorted returns the services by their names.
func (t *table) sorted() []*schema.Schema {
	return slices.SortedFunc(maps.Values(t.services), func(a, b *schema.Schema) int { return cmp.Compare(a.Service, b.Service) })
}
