// Package conformance is a suite of tests that every transport must pass: calls of
// each shape, metadata, limits, cancellation, deadlines and the end of servers and
// connections. Each case has a server of its own, and runs once with raw procedures
// and once with typed ones. The tests of rpcnet run it over TLS and in process.
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
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
)

// A Link is a transport to a server, with ways to disturb it. A case that needs a
// field that is nil is skipped.
type Link struct {
	rpcnet.Transport
	// Drain ends the server as [rpcnet.Endpoint.Shutdown] does.
	Drain func(context.Context) error
	// Unsteady returns another transport to the same server that reconnects by
	// itself, and a function that cuts its connection.
	Unsteady func() (t rpcnet.Transport, cut func())
}

// A Connect serves srv and returns a link to it. Both end with the test.
type Connect func(t *testing.T, srv *rpcnet.Server) Link

// Run runs the suite as parallel subtests of t.
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

// cases are the cases of the suite. Each file of the package registers its own.
var cases []testCase

// A testCase is one case.
type testCase struct {
	name string
	run  func(*suite)
}

// register adds a case. It returns a value so that a variable can be initialised
// with it, which happens before any test.
func register(name string, run func(*suite)) bool {
	cases = append(cases, testCase{name, run})
	return true
}

// An api converts between the suite's messages, which are bytes, and those of a
// procedure.
type api interface {
	fmt.Stringer
	spec(name string, shape codegen.Shape) *rpcnet.Spec
	wrap([]byte) any  // the message to send
	target() any      // the value to receive into
	bytes(any) []byte // the bytes of a received value
}

// raw is the api of procedures of bytes.
type raw struct{}

func (raw) String() string { return "raw" }
func (raw) spec(name string, shape codegen.Shape) *rpcnet.Spec {
	return &rpcnet.Spec{Procedure: name, Shape: shape}
}
func (raw) wrap(b []byte) any  { return b }
func (raw) target() any        { return new([]byte) }
func (raw) bytes(m any) []byte { return *m.(*[]byte) }

// A note is the message of the typed procedures, with the methods that generated
// code has.
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

// typed is the api of procedures of notes.
type typed struct{}

func (typed) String() string { return "typed" }
func (typed) spec(name string, shape codegen.Shape) *rpcnet.Spec {
	return &rpcnet.Spec{Procedure: name, Shape: shape, Request: noteMessage, Response: noteMessage}
}
func (typed) wrap(b []byte) any  { return &note{b} }
func (typed) target() any        { return new(note) }
func (typed) bytes(m any) []byte { return m.(*note).Body }

// A suite is one case that runs, with an api and a transport.
type suite struct {
	*testing.T
	api
	connect Connect
}

// patience is how long a case waits for something that must happen. It is far
// longer than anything takes.
const patience = 60 * time.Second

// ctx returns a context that ends after patience, so that a case that hangs fails.
func (s *suite) ctx() context.Context {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.Cleanup(cancel)
	return ctx
}

// A peer is one side of a stream whose messages are bytes.
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

// A method is a procedure of a rig.
type method struct {
	spec    *rpcnet.Spec
	handler rpcnet.ServerFunc
}

func (s *suite) method(name string, shape codegen.Shape, h handler) method {
	return method{spec: s.spec(name, shape), handler: func(ctx context.Context, _ *rpcnet.Spec, st rpcnet.ServerStream) error {
		return h(ctx, peer{s.api, st})
	}}
}

// A rig is a server and a transport to it.
type rig struct {
	*suite
	server    *rpcnet.Server
	link      Link
	transport rpcnet.Transport // of link
	client    *rpcnet.Client
}

// serve adds methods to a server.
func serve(srv *rpcnet.Server, methods ...method) {
	for _, m := range methods {
		srv.Register(m.spec, m.handler)
	}
}

// rig serves methods on a server with a config.
func (s *suite) rig(methods []method, cfg *rpcnet.ServerConfig) *rig {
	srv := rpcnet.NewServer(cfg)
	serve(srv, methods...)
	return s.rigFor(srv, nil)
}

func (s *suite) rigFor(srv *rpcnet.Server, cfg *rpcnet.ClientConfig) *rig {
	l := s.connect(s.T, srv)
	return &rig{s, srv, l, l.Transport, rpcnet.NewClient(l.Transport, cfg)}
}

// unary makes a unary call.
func (r *rig) unary(ctx context.Context, name string, in []byte) ([]byte, error) {
	out := r.target()
	if err := r.client.Unary(ctx, r.spec(name, codegen.ShapeUnary), r.wrap(in), out); err != nil {
		return nil, err
	}
	return r.bytes(out), nil
}

// open starts a stream that is closed with the test.
func (r *rig) open(ctx context.Context, name string, shape codegen.Shape) *caller {
	r.Helper()
	st, err := r.client.NewStream(ctx, r.spec(name, shape))
	if err != nil {
		r.Fatalf("NewStream: %v", err)
	}
	r.Cleanup(func() { st.Close() })
	return r.caller(st)
}

// stats returns the counters of the transport's connection.
func (r *rig) stats() rpcnet.ConnStats {
	r.Helper()
	s, ok := r.transport.(interface{ Stats() rpcnet.ConnStats })
	if !ok {
		r.Fatalf("%T has no Stats", r.transport)
	}
	return s.Stats()
}

// eventually waits until ok returns true. what says what was expected.
func (s *suite) eventually(what string, ok func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// wantCode checks the code of an error.
func (s *suite) wantCode(err error, code rpcnet.Code) {
	s.Helper()
	if got := rpcnet.CodeOf(err); got != code {
		s.Errorf("error %v has code %v, want %v", err, got, code)
	}
}

// wantVerdict checks for a refusal with a code that is not marked as unprocessed,
// so that no client tries another server.
func (s *suite) wantVerdict(err error, code rpcnet.Code) {
	s.Helper()
	var e *rpcnet.Error
	if !errors.As(err, &e) || e.Code() != code || e.Unprocessed() {
		s.Errorf("error %v, want %v, and no claim that another server would do better", err, code)
	}
}

// wantEnd checks for the clean end of a stream.
func (s *suite) wantEnd(p peer) {
	s.Helper()
	if m, err := p.recv(); err != io.EOF {
		s.Errorf("Recv = %d bytes, %v, want io.EOF", len(m), err)
	}
}

// want checks the next message of a stream.
func (s *suite) want(p peer, want []byte) {
	s.Helper()
	m, err := p.recv()
	if err != nil {
		s.Fatalf("Recv: %v, want %d bytes", err, len(want))
	}
	s.same(m, want)
}

// same compares two messages and prints no more than their beginnings.
func (s *suite) same(got, want []byte) {
	s.Helper()
	if !bytes.Equal(got, want) {
		s.Fatalf("got %d bytes (%.20x), want %d (%.20x)", len(got), got, len(want), want)
	}
}

// noise is the text that patterns are cut from. Its length is a prime, so its
// repetitions do not coincide with those of frames or windows.
var noise = func() []byte {
	b := make([]byte, 1_048_573)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

// pattern returns n bytes that differ from themselves shifted, so a lost, repeated
// or misplaced part is found.
func pattern(n int) []byte {
	b := make([]byte, n)
	for done := copy(b, noise[n%len(noise):]); done < n; {
		done += copy(b[done:], noise)
	}
	return b
}

// echo is a handler that sends back each message.
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

// echoOnce is a handler that sends back the first message.
func echoOnce(_ context.Context, p peer) error {
	m, err := p.recv()
	if err != nil {
		return err
	}
	return p.send(m)
}

// wait is a handler that waits until the call's context ends, and returns its error.
func wait(ctx context.Context, _ peer) error {
	<-ctx.Done()
	return ctx.Err()
}

// A gate holds handlers until the test opens it.
type gate struct {
	entered chan context.Context // of each handler that has come
	release chan struct{}        // closed to open the gate
	inside  atomic.Int64         // how many handlers are held
}

func newGate() *gate {
	return &gate{entered: make(chan context.Context, 1<<16), release: make(chan struct{})}
}

// hold waits until the gate opens, even if the call ends before.
func (g *gate) hold(ctx context.Context) {
	g.inside.Add(1)
	defer g.inside.Add(-1)
	g.entered <- ctx
	<-g.release
}

// entered waits for a handler and returns its context.
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
