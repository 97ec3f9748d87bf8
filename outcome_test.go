package rpcnet_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// Errors whose methods panic, as those of a nil pointer do.
type (
	badText   struct{}
	badCode   struct{ p *int }
	badUnwrap struct{}
)

func (e badText) Error() string     { panic("in Error") }
func (e badCode) Error() string     { return "bad code" }
func (e badCode) Code() rpcnet.Code { return rpcnet.Code(*e.p) }
func (e badUnwrap) Error() string   { return "bad unwrap" }
func (e badUnwrap) Unwrap() error   { panic("in Unwrap") }

// badUnion finds a badCode, and panics over a badUnwrap.
var badUnion = &codegen.ErrorUnion{
	Name: "test.Bad",
	Append: func(dst []byte, err error) ([]byte, bool) {
		var e badCode
		return dst, errors.As(err, &e)
	},
}

// The methods of a handler's error are the handler's code: when they panic, one
// call fails with one line in the log.
func TestErrorsThatPanicCostTheirCallOnly(t *testing.T) {
	t.Parallel()
	var none *rpcnet.Error
	for name, fail := range map[string]error{
		"a nil *Error": none, "Error": badText{}, "Code": badCode{}, "Unwrap": badUnwrap{},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out testkit.Log
			srv := echoServer(&rpcnet.ServerConfig{ErrorText: true, Logger: out.Logger()})
			method := func(procedure string, shape codegen.Shape, inline bool) {
				srv.Register(&rpcnet.Spec{Procedure: procedure, Shape: shape, Inline: inline, Errors: badUnion}, func(context.Context, *rpcnet.Spec, rpcnet.ServerStream) error { return fail })
			}
			method("unary", codegen.ShapeUnary, false)
			method("inline", codegen.ShapeUnary, true)
			method("stream", codegen.ShapeBidi, false)
			srv.Handle("raw", func(context.Context, []byte) ([]byte, error) { return []byte("dropped"), fail })
			conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
			lines := 0
			check := func(procedure string, err error) {
				t.Helper()
				if procedure == "raw" && name == "Code" { // nobody asks for it without a union
					wantCode(t, err, rpcnet.CodeUnknown)
					return
				}
				lines++
				wantCode(t, err, rpcnet.CodeInternal)
				if s := out.String(); strings.Count(s, "\n") != lines || strings.Count(s, "that panics") != lines || !strings.Contains(s, "procedure="+procedure) {
					t.Errorf("%s: want %d lines in the log, got %s", procedure, lines, s)
				}
				mustEcho(t, conn, []byte("alive"))
			}
			for _, procedure := range []string{"raw", "unary", "inline"} {
				_, err := rpcnet.CallRaw(within(t), conn, procedure, nil)
				check(procedure, err)
			}
			check("stream", open(t, within(t), conn, "stream").Recv(new([]byte)))
		})
	}
}

// A call that is kept alive, by a handler that waits or by who keeps its
// context, does not keep others alive with what they held.
func TestLongCallsDoNotKeepOthersAlive(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	entered, release := held(srv)
	calls := make(chan weak.Pointer[rpcnet.ServerCall], 100)
	note := func(ctx context.Context) { calls <- weak.Make(rpcnet.ServerCallFrom(ctx)) }
	srv.Handle("unary", func(ctx context.Context, in []byte) ([]byte, error) { note(ctx); return in, nil })
	texts := make(chan weak.Pointer[byte], 100)
	srv.Handle("trailer", func(ctx context.Context, in []byte) ([]byte, error) {
		v := strings.Repeat("v", 1000)
		texts <- weak.Make(unsafe.StringData(v))
		rpcnet.ServerCallFrom(ctx).SetTrailer("k", v)
		return in, rpcnet.ServerCallFrom(ctx).SetHeader("k", v)
	})
	srv.HandleStream("stream", func(ctx context.Context, _ rpcnet.ServerStream) error { note(ctx); return nil })
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	const long = 20
	ended := make(chan error, long)
	for range long {
		go func() { _, err := rpcnet.CallRaw(within(t), conn, "hold", nil); ended <- err }()
		<-entered
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{Header: rpcnet.Header{"k": {strings.Repeat("v", 1000)}}})
		if _, err := rpcnet.CallRaw(ctx, conn, "unary", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := rpcnet.CallRaw(within(t), conn, "trailer", nil); err != nil {
			t.Fatal(err)
		}
		st := open(t, within(t), conn, "stream")
		if err := st.CloseSend(); err != nil {
			t.Fatal(err)
		}
		st.Recv(new([]byte))
	}
	close(calls)
	close(texts)
	var alive []func() bool
	for p := range calls {
		alive = append(alive, func() bool { return p.Value() != nil })
	}
	for p := range texts {
		alive = append(alive, func() bool { return p.Value() != nil })
	}
	eventually(t, "calls that have ended are free", func() bool {
		runtime.GC()
		left := 0
		for _, f := range alive {
			if f() {
				left++
			}
		}
		return left <= 3 // a goroutine may have the last on its stack still
	})
	close(release)
	for range long {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// The record of a call has no time of a response that did not come.
func TestTimingsOfACallWithoutAResponse(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	srv.HandleStream("fail", func(context.Context, rpcnet.ServerStream) error { return rpcnet.NewError(rpcnet.CodeAborted, "no") })
	srv.HandleStream("late", func(_ context.Context, st rpcnet.ServerStream) error {
		if err := st.Send([]byte("one")); err != nil {
			return err
		}
		return rpcnet.NewError(rpcnet.CodeAborted, "no")
	})
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	check := func(what string, call *rpcnet.Call, responded bool) {
		t.Helper()
		if first, total := call.Timings(); first > 0 != responded || total <= 0 {
			t.Errorf("%s: the first response after %v of %v", what, first, total)
		}
	}
	ctx, call := rpcnet.NewCall(within(t), rpcnet.CallOptions{})
	_, err := rpcnet.CallRaw(ctx, conn, "nobody", nil)
	wantCode(t, err, rpcnet.CodeUnimplemented)
	check("an unknown procedure", call, false)
	if _, err := rpcnet.CallRaw(ctx, conn, "echo", nil); err != nil {
		t.Fatal(err)
	}
	check("echo", call, true)
	wantCode(t, open(t, ctx, conn, "fail").Recv(new([]byte)), rpcnet.CodeAborted)
	check("a stream that fails", call, false)
	st := open(t, ctx, conn, "late")
	if err := st.Recv(new([]byte)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, st.Recv(new([]byte)), rpcnet.CodeAborted)
	check("a stream that fails late", call, true)
}
