// Package conformance is what every transport must do: a suite of tests that
// runs with a server of its own over whatever connects the two, once with raw
// procedures and once with typed ones.
package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
)

// A Link is a transport to a server, and what can become of the two. Cases that
// need what is nil are skipped.
type Link struct {
	rpcnet.Transport
	// Drain ends the server as [rpcnet.Endpoint.Shutdown] does.
	Drain func(context.Context) error
	// Unsteady returns another transport to the same server, which connects
	// again by itself, and what cuts its connection.
	Unsteady func() (t rpcnet.Transport, cut func())
}

// A Connect serves srv and returns a link to it; all ends with the test.
type Connect func(t *testing.T, srv *rpcnet.Server) Link

// Run runs the suite.
func Run(t *testing.T, connect Connect) {
	for _, a := range []api{raw{}, typed{}} {
		t.Run(a.String(), func(t *testing.T) {
			t.Parallel()
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(&suite{T: t, api: a, connect: connect})
				})
			}
		})
	}
}

// cases are filled by the files of the package.
var cases []testCase

type testCase struct {
	name string
	run  func(*suite)
}

func register(name string, run func(*suite)) bool {
	cases = append(cases, testCase{name, run})
	return true
}

// An api says how the suite's messages, which are bytes, look to a procedure.
type api interface {
	fmt.Stringer
	spec(name string, shape rpcnet.Shape) *rpcnet.Spec
	wrap([]byte) any
	target() any
	bytes(any) []byte
}

type raw struct{}

func (raw) String() string { return "raw" }
func (raw) spec(name string, shape rpcnet.Shape) *rpcnet.Spec {
	return &rpcnet.Spec{Procedure: name, Shape: shape}
}
func (raw) wrap(b []byte) any  { return b }
func (raw) target() any        { return new([]byte) }
func (raw) bytes(m any) []byte { return *m.(*[]byte) }

// A note is the message of the typed procedures.
type note struct{ Body []byte }

var noteMessage = stub.StructMessage(
	func(b cbor.Buffer, n *note) (cbor.Buffer, error) {
		b = b.AppendMap(1)
		b = b.AppendString("body")
		return b.AppendBytes(n.Body), nil
	},
	func(d *cbor.Decoder, n *note) {
		for range d.Map() {
			if d.Text() == "body" {
				n.Body = d.Bytes()
			} else {
				d.Skip()
			}
		}
		d.Leave()
	}, nil)

type typed struct{}

func (typed) String() string { return "typed" }
func (typed) spec(name string, shape rpcnet.Shape) *rpcnet.Spec {
	return &rpcnet.Spec{Procedure: name, Shape: shape, Request: noteMessage, Response: noteMessage}
}
func (typed) wrap(b []byte) any  { return &note{b} }
func (typed) target() any        { return new(note) }
func (typed) bytes(m any) []byte { return m.(*note).Body }

// A suite is one case under way.
type suite struct {
	*testing.T
	api
	connect Connect
}

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// ctx returns a context that outlasts everything that goes well.
func (s *suite) ctx() context.Context {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.Cleanup(cancel)
	return ctx
}

// A peer is the suite's view of one side of a stream: bytes.
type peer struct {
	api
	st interface {
		Send(any) error
		Recv(any) error
	}
}

func (p peer) send(b []byte) error { return p.st.Send(p.wrap(b)) }

func (p peer) recv() ([]byte, error) {
	m := p.target()
	if err := p.st.Recv(m); err != nil {
		return nil, err
	}
	return p.bytes(m), nil
}

// A caller is the caller's side of one stream.
type caller struct {
	peer
	rpcnet.ClientStream
}

func (s *suite) caller(st rpcnet.ClientStream) *caller { return &caller{peer{s.api, st}, st} }

// A handler serves one stream.
type handler func(ctx context.Context, p peer) error

func (s *suite) method(name string, shape rpcnet.Shape, h handler) rpcnet.Method {
	return rpcnet.Method{Spec: s.spec(name, shape), Handler: func(ctx context.Context, _ *rpcnet.Spec, st rpcnet.ServerStream) error {
		return h(ctx, peer{s.api, st})
	}}
}

// A rig is a server with one procedure of each shape and a transport to it.
type rig struct {
	*suite
	server    *rpcnet.Server
	link      Link
	transport rpcnet.Transport // of link
	client    *rpcnet.Client
}

// rig serves methods on a server with a config.
func (s *suite) rig(methods []rpcnet.Method, cfg *rpcnet.ServerConfig) *rig {
	srv := rpcnet.NewServer(cfg)
	srv.Register(methods...)
	return s.rigFor(srv, nil)
}

func (s *suite) rigFor(srv *rpcnet.Server, cfg *rpcnet.ClientConfig) *rig {
	l := s.connect(s.T, srv)
	return &rig{s, srv, l, l.Transport, rpcnet.NewClient(l.Transport, cfg)}
}

func (r *rig) unary(ctx context.Context, name string, in []byte) ([]byte, error) {
	out := r.target()
	if err := r.client.Unary(ctx, r.spec(name, rpcnet.Unary), r.wrap(in), out); err != nil {
		return nil, err
	}
	return r.bytes(out), nil
}

func (r *rig) open(ctx context.Context, name string, shape rpcnet.Shape) *caller {
	r.Helper()
	st, err := r.client.NewStream(ctx, r.spec(name, shape))
	if err != nil {
		r.Fatalf("NewStream: %v", err)
	}
	r.Cleanup(func() { st.Close() })
	return r.caller(st)
}

// stats returns the numbers of the connection under the transport.
func (r *rig) stats() rpcnet.ConnStats {
	r.Helper()
	s, ok := r.transport.(interface{ Stats() rpcnet.ConnStats })
	if !ok {
		r.Fatalf("%T has no Stats", r.transport)
	}
	return s.Stats()
}

// eventually waits until ok.
func (s *suite) eventually(what string, ok func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (s *suite) wantCode(err error, code rpcnet.Code) {
	s.Helper()
	if got := rpcnet.CodeOf(err); got != code {
		s.Errorf("error %v has code %v, want %v", err, got, code)
	}
}

// wantVerdict checks for a refusal that another server would repeat.
func (s *suite) wantVerdict(err error, code rpcnet.Code) {
	s.Helper()
	var e *rpcnet.Error
	if !errors.As(err, &e) || e.Code() != code || e.Unprocessed() {
		s.Errorf("error %v, want %v, and no claim that another server would do better", err, code)
	}
}

// wantEnd checks for the clean end.
func (s *suite) wantEnd(p peer) {
	s.Helper()
	if m, err := p.recv(); err != io.EOF {
		s.Errorf("Recv = %d bytes, %v, want io.EOF", len(m), err)
	}
}

func (s *suite) want(p peer, want []byte) {
	s.Helper()
	m, err := p.recv()
	if err != nil {
		s.Fatalf("Recv: %v, want %d bytes", err, len(want))
	}
	s.same(m, want)
}

func (s *suite) same(got, want []byte) {
	s.Helper()
	if !bytes.Equal(got, want) {
		s.Fatalf("got %d bytes (%.20x), want %d (%.20x)", len(got), got, len(want), want)
	}
}

// noise is what patterns are cut from. Its length is a prime, so that nothing
// the protocol does repeats with it.
var noise = func() []byte {
	b := make([]byte, 1_048_573)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

// pattern returns n bytes in which a shift, a gap or a repetition shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for done := copy(b, noise[n%len(noise):]); done < n; {
		done += copy(b[done:], noise)
	}
	return b
}

// The handlers that most cases need.

func echo(_ context.Context, p peer) error {
	for {
		m, err := p.recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.send(m); err != nil {
			return err
		}
	}
}

func echoOnce(_ context.Context, p peer) error {
	m, err := p.recv()
	if err != nil {
		return err
	}
	return p.send(m)
}

// wait waits until the call's context ends, and tells why.
func wait(ctx context.Context, _ peer) error {
	<-ctx.Done()
	return ctx.Err()
}

// A gate is where handlers report and are held.
type gate struct {
	entered chan context.Context
	release chan struct{}
	inside  atomic.Int64
}

func newGate() *gate {
	return &gate{entered: make(chan context.Context, 1<<16), release: make(chan struct{})}
}

// hold waits until the gate opens, whatever becomes of the call.
func (g *gate) hold(ctx context.Context) {
	g.inside.Add(1)
	defer g.inside.Add(-1)
	g.entered <- ctx
	<-g.release
}

func (s *suite) entered(g *gate) context.Context {
	s.Helper()
	select {
	case ctx := <-g.entered:
		return ctx
	case <-time.After(patience):
		s.Fatal("the handler was not called")
		return nil
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
