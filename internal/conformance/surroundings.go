package conformance

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

// reflectHeader is a handler that sends back the metadata of its request as header
// and as trailer.
func reflectHeader(ctx context.Context, p peer) error {
	call := rpcnet.ServerCallFrom(ctx)
	m, err := p.recv()
	if err != nil {
		return err
	}
	for k, v := range call.Header() {
		if err := call.SetHeader("h-"+k, v...); err != nil {
			return err
		}
		call.SetTrailer("t-"+k, v...)
	}
	if string(m) == "fail" {
		return rpcnet.NewError(rpcnet.CodeAborted, "as asked")
	}
	return p.send(m)
}

var _ = register("HeadersAndTrailers", func(s *suite) {
	r := s.rig([]method{s.method("unary", codegen.ShapeUnary, reflectHeader), s.method("serverstream", codegen.ShapeServerStream, reflectHeader)}, nil)
	r.server.Handle("raw", func(ctx context.Context, in []byte) ([]byte, error) {
		rpcnet.ServerCallFrom(ctx).SetTrailer("t-raw", rpcnet.ServerCallFrom(ctx).Header().Get("one"))
		return in, rpcnet.ServerCallFrom(ctx).SetHeader("h-raw", "yes")
	})
	want := rpcnet.Header{"one": {"1"}, "many.of_them-0": {"a", "", "ä", strings.Repeat("x", 3000)}, "bytes-bin": {"\xff\x00"}}
	options := rpcnet.CallOptions{Header: want}
	check := func(call *rpcnet.Call) {
		s.Helper()
		for k, v := range want {
			if got := call.Header()["h-"+k]; !slices.Equal(got, v) {
				s.Errorf("header %q = %q, want %q", k, got, v)
			}
			if got := call.Trailer()["t-"+k]; !slices.Equal(got, v) {
				s.Errorf("trailer %q = %q, want %q", k, got, v)
			}
		}
	}
	ctx, call := rpcnet.NewCall(s.ctx(), options)
	if _, err := r.unary(ctx, "unary", []byte("x")); err != nil {
		s.Fatal(err)
	}
	check(call)
	_, err := r.unary(ctx, "unary", []byte("fail"))
	s.wantCode(err, rpcnet.CodeAborted)
	check(call)
	ctx, call = rpcnet.NewCall(s.ctx(), options)
	c := r.open(ctx, "serverstream", codegen.ShapeServerStream)
	if err := c.send([]byte("x")); err != nil {
		s.Fatal(err)
	}
	s.want(c.peer, []byte("x"))
	if got := call.Header().Get("h-one"); got != "1" {
		s.Errorf("the header is not there with the first response: %q", got)
	}
	s.wantEnd(c.peer)
	check(call)
	ctx, call = rpcnet.NewCall(s.ctx(), options)
	if _, err := rpcnet.CallRaw(ctx, r.transport, "raw", nil); err != nil {
		s.Fatal(err)
	}
	if call.Header().Get("h-raw") != "yes" || call.Trailer().Get("t-raw") != "1" {
		s.Errorf("raw call: header %v, trailer %v", call.Header(), call.Trailer())
	}
})

var _ = register("BadMetadataFailsItsCallOnly", func(s *suite) {
	many := make([]string, 2000)
	r := s.rig([]method{
		s.method("unary", codegen.ShapeUnary, reflectHeader),
		s.method("bidi", codegen.ShapeBidi, echo),
		s.method("flood", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
			for i := range 100 {
				if err := rpcnet.ServerCallFrom(ctx).SetHeader(fmt.Sprint(i), strings.Repeat("x", 1000)); err != nil {
					return err
				}
			}
			return p.send(nil)
		}),
		s.method("trail", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
			for i := range 100 {
				rpcnet.ServerCallFrom(ctx).SetTrailer(fmt.Sprint(i), strings.Repeat("x", 1000))
			}
			return p.send(nil)
		}),
		s.method("many", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
			rpcnet.ServerCallFrom(ctx).SetTrailer("many", many...)
			return p.send(nil)
		}),
		s.method("late", codegen.ShapeServerStream, func(ctx context.Context, p peer) error {
			if err := p.send(nil); err != nil {
				return err
			}
			return rpcnet.ServerCallFrom(ctx).SetHeader("late", "x")
		}),
	}, nil)
	other := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
	for name, h := range map[string]rpcnet.Header{
		"empty key":            {"": {"x"}},
		"space":                {"a b": {"x"}},
		"not UTF-8":            {"a": {"\xff"}},
		"17 KiB":               {"a": {strings.Repeat("x", 17<<10)}},
		"100 000 empty values": {"a": make([]string, 100_000)},
		"2000 empty values":    {"a": many},
	} {
		ctx, _ := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{Header: h})
		if _, err := r.unary(ctx, "unary", nil); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument && rpcnet.CodeOf(err) != rpcnet.CodeResourceExhausted {
			s.Errorf("%s: %v", name, err)
		}
	}
	_, err := r.unary(s.ctx(), "flood", nil)
	s.wantCode(err, rpcnet.CodeResourceExhausted)
	for _, name := range []string{"trail", "many"} {
		_, err = r.unary(s.ctx(), name, nil)
		s.wantCode(err, rpcnet.CodeInternal)
	}
	late := r.open(s.ctx(), "late", codegen.ShapeServerStream)
	s.want(late.peer, nil)
	_, err = late.recv()
	s.wantCode(err, rpcnet.CodeFailedPrecondition)
	if err := other.send([]byte("x")); err != nil {
		s.Fatal(err)
	}
	s.want(other.peer, []byte("x"))
})

// The largest allowed metadata, message and details fit into their frames.
var _ = register("LargestMetadataIsTaken", func(s *suite) {
	const values, maxMetadataSize = 900, 16 << 10
	h := rpcnet.Header{"k": make([]string, values)}
	for i := range h["k"] {
		h["k"][i] = strings.Repeat("v", (maxMetadataSize-100)/values)
	}
	r := s.rig([]method{s.method("unary", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		call := rpcnet.ServerCallFrom(ctx)
		if got := len(call.Header()["k"]); got != values {
			return rpcnet.Errorf(rpcnet.CodeDataLoss, "%d values came", got)
		}
		if err := call.SetHeader("k", h["k"]...); err != nil {
			return err
		}
		call.SetTrailer("k", h["k"]...)
		e := rpcnet.NewError(rpcnet.CodeAborted, strings.Repeat("m", 100_000))
		for i := range 100 {
			e = e.WithDetail(&codegen.Detail{Name: fmt.Sprint(i), Data: make([]byte, 1000)})
		}
		return e
	}), s.method("bidi", codegen.ShapeBidi, echo)}, nil)
	other := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
	ctx, call := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{Header: rpcnet.Header{"k": h["k"]}})
	_, err := r.unary(ctx, "unary", pattern(100_000))
	s.wantCode(err, rpcnet.CodeAborted)
	if !maps.EqualFunc(call.Header(), h, slices.Equal) || !maps.EqualFunc(call.Trailer(), h, slices.Equal) {
		s.Error("the metadata came back otherwise")
	}
	if err := other.send([]byte("x")); err != nil {
		s.Fatal(err)
	}
	s.want(other.peer, []byte("x"))
})

var _ = register("CallRecord", func(s *suite) {
	r := s.rig([]method{s.method("unary", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		call := rpcnet.ServerCallFrom(ctx)
		if call.Spec().Procedure != "unary" {
			return rpcnet.NewError(rpcnet.CodeInternal, call.Spec().Procedure)
		}
		return p.send(fmt.Appendf(nil, "attempt %d priority %d", call.Attempt(), call.Priority()))
	})}, nil)
	ctx, call := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{Attempt: 3, Priority: -5})
	out, err := r.unary(ctx, "unary", nil)
	if err != nil || string(out) != "attempt 3 priority -5" {
		s.Fatalf("%q, %v", out, err)
	}
	first, total := call.Timings()
	if call.Attempts() != 1 || first <= 0 || total < first {
		s.Errorf("record: %d attempts, first after %v, total %v", call.Attempts(), first, total)
	}
	// Options of an outer NewCall apply below those of an inner one.
	inner, record := rpcnet.NewCall(ctx, rpcnet.CallOptions{Priority: 7})
	if out, err = r.unary(inner, "unary", nil); err != nil || string(out) != "attempt 3 priority 7" {
		s.Errorf("%q, %v", out, err)
	}
	if record.Attempts() != 1 || call.Attempts() != 1 {
		s.Errorf("attempts: inner %d, outer %d", record.Attempts(), call.Attempts())
	}
	// A client's options are below those of the call, through any number of clients.
	c := rpcnet.NewClient(rpcnet.NewClient(r.transport, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Priority: 1, Attempt: 1}}), &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Priority: 2}})
	for _, x := range []struct {
		ctx  context.Context
		want string
	}{{s.ctx(), "attempt 1 priority 2"}, {ctx, "attempt 3 priority -5"}, {func() context.Context { ctx, _ := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{}); return ctx }(), "attempt 1 priority 2"}} {
		out := r.target()
		if err := c.Unary(x.ctx, r.spec("unary", codegen.ShapeUnary), r.wrap(nil), out); err != nil || string(r.bytes(out)) != x.want {
			s.Errorf("%q, %v, want %q", r.bytes(out), err, x.want)
		}
	}
	// What an interceptor chooses with NewCall counts, inside any client.
	through := func(next rpcnet.ClientFunc) rpcnet.ClientFunc {
		return func(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
			ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{Priority: 9})
			return next(ctx, spec)
		}
	}
	c = rpcnet.NewClient(rpcnet.NewClient(r.transport, &rpcnet.ClientConfig{Interceptors: []func(rpcnet.ClientFunc) rpcnet.ClientFunc{through}}), &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Attempt: 2}})
	for _, outer := range []context.Context{s.ctx(), ctx} {
		out := r.target()
		want := "attempt 2 priority 9"
		if outer == ctx {
			want = "attempt 3 priority 9"
		}
		if err := c.Unary(outer, r.spec("unary", codegen.ShapeUnary), r.wrap(nil), out); err != nil || string(r.bytes(out)) != want {
			s.Errorf("%q, %v, want %q", r.bytes(out), err, want)
		}
	}
})

// A handler's context has no values of its caller's, so a handler does not pass
// them on by accident.
var _ = register("NothingOfTheCallerIsForwarded", func(s *suite) {
	far := s.rig([]method{s.method("far", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		if h := rpcnet.ServerCallFrom(ctx).Header(); len(h) > 0 {
			return rpcnet.Errorf(rpcnet.CodeInternal, "forwarded %v", h)
		}
		return p.send(nil)
	})}, nil)
	near := s.rig([]method{s.method("near", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		m, err := far.unary(ctx, "far", nil)
		if err != nil {
			return rpcnet.NewError(rpcnet.CodeInternal, err.Error())
		}
		return p.send(m)
	})}, nil)
	ctx, _ := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{Header: rpcnet.Header{"authorization": {"secret"}}})
	if _, err := near.unary(ctx, "near", nil); err != nil {
		s.Error(err)
	}
})

// counting is a server stream that counts its messages.
type counting struct {
	rpcnet.ServerStream
	sent, received atomic.Int64
}

func (c *counting) Send(m any) error { c.sent.Add(1); return c.ServerStream.Send(m) }
func (c *counting) Recv(m any) error {
	err := c.ServerStream.Recv(m)
	if err == nil {
		c.received.Add(1)
	}
	return err
}

var _ = register("InterceptorsAroundAllShapes", func(s *suite) {
	var mu sync.Mutex
	var log []string
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, fmt.Sprintf(format, args...))
	}
	server := func(name string) func(rpcnet.ServerFunc) rpcnet.ServerFunc {
		return func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
			return func(ctx context.Context, spec *rpcnet.Spec, st rpcnet.ServerStream) error {
				if rpcnet.ServerCallFrom(ctx).Header().Get("token") == "" {
					return rpcnet.NewError(rpcnet.CodeUnauthenticated, "no token").WithUnprocessed()
				}
				c := &counting{ServerStream: st}
				err := next(context.WithValue(ctx, ctxKey{}, name), spec, c)
				note("%s %s: %d in, %d out, %v", name, spec.Procedure, c.received.Load(), c.sent.Load(), err)
				return err
			}
		}
	}
	client := func(name string) func(rpcnet.ClientFunc) rpcnet.ClientFunc {
		return func(next rpcnet.ClientFunc) rpcnet.ClientFunc {
			return func(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
				note("%s %s", name, spec.Procedure)
				ctx, _ = rpcnet.NewCall(ctx, rpcnet.CallOptions{Header: rpcnet.Header{"token": {name}}})
				return next(ctx, spec)
			}
		}
	}
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{server("outer"), server("inner")}})
	serve(srv, append(s.shapes(), s.method("who", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		return p.send(fmt.Appendf(nil, "%v %s", ctx.Value(ctxKey{}), rpcnet.ServerCallFrom(ctx).Header().Get("token")))
	}))...)
	srv.Handle("raw", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	r := s.rigFor(srv, &rpcnet.ClientConfig{Interceptors: []func(rpcnet.ClientFunc) rpcnet.ClientFunc{client("first"), client("second")}})

	_, err := rpcnet.CallRaw(s.ctx(), r.transport, "raw", nil) // not through the client
	var e *rpcnet.Error
	if s.wantCode(err, rpcnet.CodeUnauthenticated); err != nil {
		if e = err.(*rpcnet.Error); !e.Unprocessed() {
			s.Error("the refusal of an interceptor lost that no handler saw the call")
		}
	}
	if out, err := r.unary(s.ctx(), "who", nil); err != nil || string(out) != "inner second" {
		s.Errorf("%q, %v", out, err)
	}
	if out, err := rpcnet.CallRaw(s.ctx(), r.client, "raw", []byte("x")); err != nil || string(out) != "x" {
		s.Errorf("%q, %v", out, err)
	}
	for _, name := range []string{"clientstream", "bidi"} {
		shape := map[string]codegen.Shape{"clientstream": codegen.ShapeClientStream, "bidi": codegen.ShapeBidi}[name]
		c := r.open(s.ctx(), name, shape)
		for range 3 {
			if err := c.send([]byte("x")); err != nil {
				s.Fatal(err)
			}
		}
		if err := c.CloseSend(); err != nil {
			s.Fatal(err)
		}
		for {
			if _, err := c.recv(); err != nil {
				if err != io.EOF {
					s.Error(err)
				}
				break
			}
		}
	}
	f := r.open(s.ctx(), "serverstream", codegen.ShapeServerStream)
	if err := f.send([]byte{2, 0, 0, 0, 1, 0, 0, 0}); err != nil {
		s.Fatal(err)
	}
	for range 2 {
		if _, err := f.recv(); err != nil {
			s.Fatal(err)
		}
	}
	s.wantEnd(f.peer)
	var want []string
	for _, c := range []string{"who: 0 in, 1 out", "raw: 1 in, 1 out", "clientstream: 3 in, 1 out", "bidi: 3 in, 3 out", "serverstream: 1 in, 2 out"} {
		name, _, _ := strings.Cut(c, ":")
		want = append(want, "first "+name, "second "+name, "inner "+c+", <nil>", "outer "+c+", <nil>")
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(log, want) {
		s.Errorf("interceptors saw\n%s\nwant\n%s", strings.Join(log, "\n"), strings.Join(want, "\n"))
	}
})

type ctxKey struct{}
