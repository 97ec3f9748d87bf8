package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
)

var _ = register("UnknownProcedure", func(s *suite) {
	r := s.rig(nil, nil)
	_, err := r.unary(s.ctx(), "nobody", []byte("x"))
	s.wantVerdict(err, rpcnet.CodeUnimplemented)
	if err == nil || !strings.Contains(err.Error(), `"nobody"`) {
		s.Errorf("the error does not name the procedure: %v", err)
	}
	for _, shape := range []codegen.Shape{codegen.ShapeServerStream, codegen.ShapeClientStream, codegen.ShapeBidi} {
		c := r.open(s.ctx(), "nobody", shape)
		_, err := c.recv()
		s.wantCode(err, rpcnet.CodeUnimplemented)
		_, again := c.recv()
		s.wantCode(again, rpcnet.CodeUnimplemented)
	}
})

var _ = register("BadProcedureNamesHurtNobody", func(s *suite) {
	r := s.rig(s.shapes(), nil)
	other := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
	for _, name := range []string{"", strings.Repeat("x", 256), strings.Repeat("x", 70_000)} {
		if _, err := r.unary(s.ctx(), name, nil); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument {
			s.Errorf("a name of %d bytes: %v", len(name), err)
		}
		if _, err := r.client.NewStream(s.ctx(), r.spec(name, codegen.ShapeBidi)); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument {
			s.Errorf("a name of %d bytes: %v", len(name), err)
		}
		_, err := rpcnet.CallRaw(s.ctx(), r.transport, name, nil)
		s.wantCode(err, rpcnet.CodeInvalidArgument)
	}
	if err := other.send([]byte("x")); err != nil {
		s.Fatal(err)
	}
	s.want(other.peer, []byte("x"))
	_, err := r.unary(s.ctx(), strings.Repeat("x", 255), nil)
	s.wantCode(err, rpcnet.CodeUnimplemented)
})

var _ = register("EveryCodeCrosses", func(s *suite) {
	r := s.rig([]method{s.method("fail", codegen.ShapeBidi, func(_ context.Context, p peer) error {
		m, err := p.recv()
		if err != nil {
			return err
		}
		return rpcnet.Errorf(rpcnet.Code(m[0]), "failed with %d", m[0])
	})}, nil)
	for code := rpcnet.CodeCanceled; code <= rpcnet.CodeUnauthenticated; code++ {
		check := func(err error) {
			s.Helper()
			var e *rpcnet.Error
			if !errors.As(err, &e) || e.Code() != code || e.Message() != fmt.Sprintf("failed with %d", byte(code)) || !e.Remote() || e.Unprocessed() {
				s.Errorf("%v came as %#v", code, err)
			}
		}
		_, err := r.unary(s.ctx(), "fail", []byte{byte(code)})
		check(err)
		c := r.open(s.ctx(), "fail", codegen.ShapeBidi)
		if err := c.send([]byte{byte(code)}); err != nil {
			s.Fatal(err)
		}
		_, err = c.recv()
		check(err)
	}
})

// A handler's error is never a success, even if its code is OK.
var _ = register("ErrorWithoutACodeIsNotSuccess", func(s *suite) {
	r := s.rig([]method{s.method("zero", codegen.ShapeBidi, func(context.Context, peer) error {
		return rpcnet.NewError(0, "no code")
	})}, nil)
	_, err := r.unary(s.ctx(), "zero", nil)
	s.wantCode(err, rpcnet.CodeUnknown)
	_, err = r.open(s.ctx(), "zero", codegen.ShapeBidi).recv()
	s.wantCode(err, rpcnet.CodeUnknown)
})

var _ = register("HandlerErrorIsNotData", func(s *suite) {
	r := s.rig([]method{s.method("two", codegen.ShapeServerStream, func(_ context.Context, p peer) error {
		for _, m := range []string{"one", "two"} {
			if err := p.send([]byte(m)); err != nil {
				return err
			}
		}
		return rpcnet.NewError(rpcnet.CodeDataLoss, "the third is gone")
	})}, nil)
	c := r.open(s.ctx(), "two", codegen.ShapeServerStream)
	if err := c.send(nil); err != nil {
		s.Fatal(err)
	}
	s.want(c.peer, []byte("one"))
	s.want(c.peer, []byte("two"))
	m, err := c.recv()
	if m != nil || rpcnet.CodeOf(err) != rpcnet.CodeDataLoss {
		s.Errorf("after the error: %q, %v", m, err)
	}
})

var _ = register("PlainErrorsKeepTheirText", func(s *suite) {
	secret := func(context.Context, peer) error { return fmt.Errorf("password %w", errors.New("hunter2")) }
	hidden := s.rig([]method{s.method("secret", codegen.ShapeUnary, secret)}, nil)
	_, err := hidden.unary(s.ctx(), "secret", nil)
	s.wantCode(err, rpcnet.CodeUnknown)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		s.Errorf("the text of a plain error left the server: %v", err)
	}
	shown := s.rig([]method{s.method("secret", codegen.ShapeUnary, secret)}, &rpcnet.ServerConfig{ErrorText: true})
	_, err = shown.unary(s.ctx(), "secret", nil)
	s.wantCode(err, rpcnet.CodeUnknown)
	if err == nil || !strings.Contains(err.Error(), "password hunter2") {
		s.Errorf("ErrorText: %v", err)
	}
})

var _ = register("ContextErrorsOfAHandlerCross", func(s *suite) {
	for _, c := range []struct {
		err  error
		code rpcnet.Code
	}{{context.Canceled, rpcnet.CodeCanceled}, {context.DeadlineExceeded, rpcnet.CodeDeadlineExceeded}} {
		r := s.rig([]method{s.method("fail", codegen.ShapeUnary, func(context.Context, peer) error {
			return fmt.Errorf("while asking another: %w", c.err)
		})}, nil)
		_, err := r.unary(s.ctx(), "fail", nil)
		s.wantCode(err, c.code)
		if !errors.Is(err, c.err) {
			s.Errorf("%v is not %v", err, c.err)
		}
	}
})

var _ = register("DetailsCross", func(s *suite) {
	local := errors.New("stays here")
	r := s.rig([]method{s.method("fail", codegen.ShapeUnary, func(context.Context, peer) error {
		return rpcnet.NewError(rpcnet.CodeAborted, "conflict").WithDetail(&codegen.Detail{Name: "a.B", Data: []byte{1, 2}}).
			WithDetail(local).WithDetail(&codegen.Detail{Name: "empty"}).WithCause(local)
	})}, nil)
	_, err := r.unary(s.ctx(), "fail", nil)
	s.wantCode(err, rpcnet.CodeAborted)
	var d *codegen.Detail
	if !errors.As(err, &d) || d.Name != "a.B" || string(d.Data) != "\x01\x02" {
		s.Errorf("detail %+v in %v", d, err)
	}
	if errors.Is(err, local) || strings.Contains(fmt.Sprintf("%+v", err), "stays") {
		s.Errorf("a local detail or cause has crossed: %+v", err)
	}
})

var _ = register("RemoteErrorsAreNotPassedOn", func(s *suite) {
	inner := s.rig([]method{s.method("fail", codegen.ShapeUnary, func(context.Context, peer) error {
		return rpcnet.NewError(rpcnet.CodeNotFound, "the inner secret")
	})}, nil)
	outer := s.rig([]method{s.method("ask", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		_, err := inner.unary(ctx, "fail", nil)
		return err
	})}, nil)
	_, err := outer.unary(s.ctx(), "ask", nil)
	s.wantCode(err, rpcnet.CodeUnknown)
	if err == nil || strings.Contains(err.Error(), "secret") {
		s.Errorf("a remote error was passed on: %v", err)
	}
})

var _ = register("SizeLimits", func(s *suite) {
	const option = "MaxMessageSize"
	r := s.rig(append(s.shapes(), s.method("big", codegen.ShapeServerStream, func(_ context.Context, p peer) error {
		if err := p.send([]byte("small")); err != nil {
			return err
		}
		return p.send(pattern(200_000))
	}), s.method("bigger", codegen.ShapeUnary, func(_ context.Context, p peer) error {
		return p.send(pattern(3 << 20))
	}), s.method("big enough", codegen.ShapeUnary, func(_ context.Context, p peer) error {
		return p.send(pattern(900_000))
	}), s.method("a bit too big", codegen.ShapeUnary, func(_ context.Context, p peer) error {
		return p.send(pattern(10_000))
	})), &rpcnet.ServerConfig{MaxMessageSize: 1 << 20})
	check := func(what string, err error) {
		s.Helper()
		s.wantCode(err, rpcnet.CodeResourceExhausted)
		if err == nil || !strings.Contains(err.Error(), option) {
			s.Errorf("%s: the error does not name the option: %v", what, err)
		}
	}
	// The server's limit, with a message of one frame and one larger than a window.
	_, err := r.unary(s.ctx(), "unary", pattern(1<<20+1))
	check("request over the server's limit", err)
	_, err = r.unary(s.ctx(), "unary", pattern(4<<20-100))
	check("request far over the server's limit", err)
	_, err = r.unary(s.ctx(), "bigger", nil)
	check("response over the server's limit", err)
	// The caller's own limit.
	_, err = r.unary(s.ctx(), "unary", pattern(5<<20))
	check("request over the caller's limit", err)
	ctx, _ := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{MaxMessageSize: 100_000})
	tight, _ := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{MaxMessageSize: 9000})
	c := r.open(ctx, "big", codegen.ShapeServerStream)
	if err := c.send(nil); err != nil {
		s.Fatal(err)
	}
	s.want(c.peer, []byte("small"))
	_, err = c.recv()
	check("response over the caller's limit", err)
	_, err = r.unary(ctx, "unary", pattern(100_001))
	check("request over the call's limit", err)
	for range 20 { // the status that follows may come before or after
		_, err = r.unary(ctx, "big enough", nil)
		check("unary response over the caller's limit", err)
		_, err = r.unary(tight, "a bit too big", nil)
		check("unary response over the caller's limit, in one frame", err)
	}
	// A stream's limit holds for each message, not for their sum.
	b := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
	for range 3 {
		if err := b.send(pattern(1<<20 - 100)); err != nil {
			s.Fatal(err)
		}
		s.want(b.peer, pattern(1<<20-100))
	}
	err = b.send(pattern(1<<20 + 1))
	for err == nil {
		_, err = b.recv()
	}
	if err == io.EOF {
		_, err = b.recv()
	}
	check("message of a stream over the server's limit", err)
	// Small messages still pass.
	if out, err := r.unary(s.ctx(), "unary", pattern(100)); err != nil || len(out) != 100 {
		s.Error(len(out), err)
	}
})

var _ = register("PanicIsOneFailedCall", func(s *suite) {
	boom := func(_ context.Context, p peer) error {
		if err := p.send([]byte("before")); err != nil {
			return err
		}
		var none map[string]int
		none["x"] = 1 //lint:ignore SA5000 it panics
		return nil
	}
	noError := func(context.Context, peer) error { // it is one: a nil pointer in an interface
		var none *rpcnet.Error
		return none
	}
	r := s.rig(append(s.shapes(), s.method("boom", codegen.ShapeServerStream, boom), s.method("bang", codegen.ShapeUnary, boom), s.method("nil", codegen.ShapeUnary, noError)), nil)
	r.server.Handle("raw", func(context.Context, []byte) ([]byte, error) { panic("raw") })
	other := r.open(s.ctx(), "bidi", codegen.ShapeBidi)
	check := func(err error) {
		s.Helper()
		s.wantCode(err, rpcnet.CodeInternal)
		if err != nil && strings.Contains(err.Error(), "nil map") {
			s.Errorf("the panic's text left the server: %v", err)
		}
	}
	_, err := r.unary(s.ctx(), "bang", nil)
	check(err)
	_, err = r.unary(s.ctx(), "nil", nil)
	check(err)
	_, err = rpcnet.CallRaw(s.ctx(), r.transport, "raw", nil)
	check(err)
	c := r.open(s.ctx(), "boom", codegen.ShapeServerStream)
	s.want(c.peer, []byte("before"))
	_, err = c.recv()
	check(err)
	if err := other.send([]byte("alive")); err != nil {
		s.Fatal(err)
	}
	s.want(other.peer, []byte("alive"))
})

var _ = register("WrongNumberOfMessages", func(s *suite) {
	r := s.rig([]method{
		s.method("none", codegen.ShapeUnary, func(context.Context, peer) error { return nil }),
		s.method("two", codegen.ShapeUnary, func(_ context.Context, p peer) error {
			if err := p.send(nil); err != nil {
				return err
			}
			return p.send(nil)
		}),
		s.method("serverstream", codegen.ShapeServerStream, func(_ context.Context, p peer) error {
			for range 3 {
				if err := p.send(nil); err != nil {
					return err
				}
			}
			return nil
		}),
		s.method("silent", codegen.ShapeServerStream, func(context.Context, peer) error { return nil }),
		s.method("echo", codegen.ShapeUnary, echoOnce),
	}, nil)
	for _, name := range []string{"none", "two", "serverstream", "silent"} {
		if _, err := r.unary(s.ctx(), name, nil); rpcnet.CodeOf(err) != rpcnet.CodeInternal {
			s.Errorf("a unary call of %q: %v", name, err)
		}
	}
	// A call that ends without its request.
	c := r.open(s.ctx(), "echo", codegen.ShapeUnary)
	if err := c.CloseSend(); err != nil {
		s.Fatal(err)
	}
	if _, err := c.recv(); err == nil || err == io.EOF {
		s.Errorf("a unary call without a request: %v", err)
	}
})

var _ = register("RegistrationWhileServing", func(s *suite) {
	g := newGate()
	r := s.rig([]method{s.method("hold", codegen.ShapeUnary, func(ctx context.Context, p peer) error {
		g.hold(ctx)
		return echoOnce(ctx, p)
	})}, nil)
	held := make(chan error, 1)
	go func() {
		_, err := r.unary(s.ctx(), "hold", nil)
		held <- err
	}()
	s.entered(g)
	for i := range 100 { // while a handler runs, neither waits for the other
		name := fmt.Sprintf("new %d", i)
		_, err := r.unary(s.ctx(), name, nil)
		s.wantCode(err, rpcnet.CodeUnimplemented)
		serve(r.server, s.method(name, codegen.ShapeUnary, echoOnce))
		if out, err := r.unary(s.ctx(), name, []byte(name)); err != nil || string(out) != name {
			s.Fatalf("%s: %q, %v", name, out, err)
		}
	}
	close(g.release)
	if err := <-held; err != nil {
		s.Error(err)
	}
})

var _ = register("EncodingThatTheProcedureDoesNotSpeak", func(s *suite) {
	r := s.rig(s.shapes(), nil)
	r.server.Handle("raw", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	ctx, _ := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{Encoding: "xml"})
	_, err := r.unary(ctx, "unary", nil)
	s.wantCode(err, rpcnet.CodeInvalidArgument)
	_, err = r.client.NewStream(ctx, r.spec("bidi", codegen.ShapeBidi))
	s.wantCode(err, rpcnet.CodeInvalidArgument)
	for _, e := range []string{"json", "proto"} {
		ctx, _ := rpcnet.NewCall(s.ctx(), rpcnet.CallOptions{Encoding: e})
		_, err := r.unary(ctx, "unary", nil)
		s.wantCode(err, rpcnet.CodeUnimplemented)
		if err == nil || !strings.Contains(err.Error(), "[cbor]") {
			s.Errorf("the error has no list of encodings: %v", err)
		}
		_, err = r.client.NewStream(ctx, r.spec("bidi", codegen.ShapeBidi))
		s.wantCode(err, rpcnet.CodeUnimplemented)
		// Here only the server knows.
		_, err = rpcnet.CallRaw(ctx, r.transport, "raw", nil)
		s.wantVerdict(err, rpcnet.CodeUnimplemented)
		if err == nil || !strings.Contains(err.Error(), "[cbor]") {
			s.Errorf("the error has no list of encodings: %v", err)
		}
	}
})
