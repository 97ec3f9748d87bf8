package rpcnet

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/session"
)

// A Server holds procedures and what surrounds them: interceptors, limits, a
// logger. It serves with [Endpoint.Serve], or in
// process ([InProcess]). The zero value is a server with every default. All
// methods are safe at any time from any goroutine, also while it serves.
type Server struct {
	cfg   ServerConfig
	lines *loglimit.Limiter // to a logger of its own; nil: to the endpoint's

	mu    sync.Mutex                        // of writers; readers load
	table atomic.Pointer[map[string]*entry] // nil: empty

	describeOnce sync.Once // guards described
	described    *entry    // of codegen.DescribeProcedure, once it was asked for
}

// An entry is one procedure of a server. It is immutable: the table of entries is
// copied for each change and replaced, so that a call finds its entry without a lock.
type entry struct {
	server  *Server // whose config applies
	spec    *Spec
	handler ServerFunc // with the server's interceptors around it
	raw     rawHandler // the short cut when nothing is around it; nil otherwise
	system  bool       // of an extension: outside its interceptors
	role    role.Role  // that callers must have
	maxSize int
	limits  messageLimits
	pace    session.Pace // of its handlers
}

// A rawHandler is what [Server.Handle] takes.
type rawHandler = func(ctx context.Context, in []byte) ([]byte, error)

// NewServer returns a server without procedures. A nil config means every
// default; it is copied.
func NewServer(config *ServerConfig) *Server {
	s := &Server{}
	// The config is the caller's: later changes of it have no effect.
	if config != nil {
		s.cfg = *config
		s.cfg.Interceptors = slices.Clone(s.cfg.Interceptors)
	}
	if s.cfg.Logger != nil {
		s.lines = loglimit.New(s.cfg.Logger)
	}
	return s
}

// Register serves a procedure with h. Generated code calls it. It panics if the
// procedure has a name already taken, empty, or longer than 255 bytes: these are
// mistakes in the program.
func (s *Server) Register(spec *Spec, h ServerFunc) {
	if err := s.add(s.entry(spec, h)); err != nil {
		panic("rpcnet: " + err.Error())
	}
}

// Handle serves a unary procedure without a contract: bytes in, bytes out. in is
// valid until h returns; the result is sent before in is used again, so in itself
// is a valid result. It panics as [Server.Register] does.
func (s *Server) Handle(procedure string, h func(ctx context.Context, in []byte) ([]byte, error)) {
	if err := s.add(s.rawEntry(procedure, h)); err != nil {
		panic("rpcnet: " + err.Error())
	}
}

// rawEntry makes the entry of a unary procedure of bytes.
func (s *Server) rawEntry(procedure string, h rawHandler) *entry {
	e := s.entry(&Spec{Procedure: procedure}, func(ctx context.Context, _ *Spec, st ServerStream) error {
		if c, ok := st.(*callStream); ok { // no interceptor looks at the messages
			return c.serveBytes(ctx, h)
		}
		var in []byte
		if err := st.Recv(&in); err != nil {
			return noRequest(err)
		}
		out, err := h(ctx, in)
		if err != nil {
			return err
		}
		return st.Send(out)
	})
	// An interceptor needs a stream to wrap; without one the handler is called with the
	// bytes.
	if len(s.cfg.Interceptors) == 0 {
		e.raw = h
	}
	return e
}

// HandleStream serves a procedure of bytes that streams both ways: Recv takes
// *[]byte, Send []byte. It panics as [Server.Register] does.
func (s *Server) HandleStream(procedure string, h func(ctx context.Context, st ServerStream) error) {
	s.Register(&Spec{Procedure: procedure, Shape: codegen.ShapeBidi}, func(ctx context.Context, _ *Spec, st ServerStream) error { return h(ctx, st) })
}

// Specs yields what the server serves, sorted by name. What is registered after the
// call of Specs is not in it.
func (s *Server) Specs() iter.Seq[*Spec] {
	t := s.entries()
	return func(yield func(*Spec) bool) {
		for _, name := range slices.Sorted(maps.Keys(t)) {
			if !yield(t[name].spec) {
				return
			}
		}
	}
}

// entry makes the entry of a procedure: its handler with the interceptors around it,
// and the limits that apply.
func (s *Server) entry(spec *Spec, h ServerFunc) *entry {
	for _, i := range slices.Backward(s.cfg.Interceptors) {
		h = i(h)
	}
	size := spec.MaxMessageSize
	if size == 0 {
		size = s.cfg.MaxMessageSize
	}
	return &entry{server: s, spec: spec, handler: h, maxSize: sizeLimit(size), limits: serverLimits(spec, &s.cfg)}
}

// add adds entries, all or none. Readers see the table before or after, never between.
func (s *Server) add(entries ...*entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Readers have the old table and keep it. Copying costs little: servers have few
	// procedures, and register them at the start.
	t := maps.Clone(s.entries())
	if t == nil {
		t = map[string]*entry{}
	}
	for _, e := range entries {
		name := e.spec.Procedure
		switch {
		case name == "" || len(name) > 255:
			return fmt.Errorf("procedure name %.40q of %d bytes: want 1 to 255", name, len(name))
		case t[name] != nil:
			return fmt.Errorf("procedure %q is registered twice", name)
		}
		t[name] = e
	}
	s.table.Store(&t)
	return nil
}

// remove takes procedures away. Calls that run go on: they hold their entry. Only
// extensions are removed; a user's procedures stay.
func (s *Server) remove(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := maps.Clone(s.entries())
	for _, n := range names {
		delete(t, n)
	}
	s.table.Store(&t)
}

// entries returns the procedures by name. It must not be changed.
func (s *Server) entries() map[string]*entry {
	if t := s.table.Load(); t != nil {
		return *t
	}
	return nil
}

// lookup returns the entry of a procedure, or nil. A program can take the name of
// codegen.DescribeProcedure for itself.
func (s *Server) lookup(procedure string) *entry {
	e := s.entries()[procedure]
	if e == nil && procedure == codegen.DescribeProcedure && !s.cfg.NoDescribe {
		s.describeOnce.Do(func() { s.described = s.rawEntry(procedure, s.describe) })
		e = s.described
	}
	return e
}

// limiter returns what writes the log lines that calls cause: to the server's own
// logger, or to fallback, that of the endpoint, if the server has none.
func (s *Server) limiter(fallback *loglimit.Limiter) *loglimit.Limiter {
	if s.lines != nil {
		return s.lines
	}
	return fallback
}

// noRequest is the error of a unary call that ended without its request.
func noRequest(err error) error {
	if CodeOf(err) == CodeUnknown { // io.EOF
		return NewError(CodeInvalidArgument, "the call ended without a request")
	}
	return err
}

// sizeLimit returns the limit, in bytes, that a MaxMessageSize of n means. A negative n
// asks for the largest, 1 GiB.
func sizeLimit(n int) int {
	switch {
	case n == 0:
		return codegen.DefaultMaxMessageSize
	case n < 0:
		return 1 << 30
	}
	return n
}
