package rpcnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func TestCredentialsShowNoSecrets(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]rpcnet.Credentials{
		"no credentials":                 {},
		"credentials in memory":          rpctest.Credentials(t),
		"credentials in /etc/x/cert.pem": rpcnet.CertFiles("/etc/x/cert.pem", "/etc/x/key.pem", "/etc/x/ca.pem"),
	} {
		for _, verb := range []string{"%v", "%s", "%+v", "%#v"} {
			if got := fmt.Sprintf(verb, c); got != want {
				t.Errorf("%s prints %q, want %q", verb, got, want)
			}
		}
	}
	if _, err := rpcnet.Listen("127.0.0.1:0", rpcnet.Credentials{}, nil); err == nil || !strings.Contains(err.Error(), "rpcnet.CertFiles") {
		t.Errorf("Listen without credentials: %v", err)
	}
	if _, err := rpcnet.Dial(within(t), "127.0.0.1:1", rpcnet.CertFiles("none", "none", "none"), nil); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("Dial with files that are not there: %v", err)
	}
	if _, err := rpcnet.Listen("no port", rpctest.Credentials(t), nil); err == nil {
		t.Error("Listen without a port")
	}
}

func TestErrorValues(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	e := rpcnet.Errorf(rpcnet.CodeNotFound, "no %s", "thing")
	if e.Error() != "NotFound: no thing" || e.Message() != "no thing" || e.Remote() || e.Unprocessed() {
		t.Errorf("%#v", e)
	}
	if rpcnet.NewError(rpcnet.CodeAborted, "").Error() != "Aborted" || rpcnet.Code(99).String() != "Code(99)" {
		t.Error("texts")
	}
	d := &codegen.Detail{Name: "n", Data: make([]byte, 3)}
	full := e.WithCause(cause).WithDetail(d).WithUnprocessed()
	var got *codegen.Detail
	if !errors.Is(full, cause) || !errors.As(full, &got) || got != d || !full.Unprocessed() || d.Error() != "detail n of 3 bytes" {
		t.Errorf("%#v", full)
	}
	if errors.Is(e, cause) || e.Unprocessed() || errors.As(e, &got) {
		t.Error("the With methods change their receiver")
	}
	for _, c := range []struct {
		err  error
		code rpcnet.Code
	}{
		{nil, 0}, {cause, rpcnet.CodeUnknown}, {context.Canceled, rpcnet.CodeCanceled}, {fmt.Errorf("x: %w", context.DeadlineExceeded), rpcnet.CodeDeadlineExceeded},
		{fmt.Errorf("x: %w", full), rpcnet.CodeNotFound}, {coded{}, rpcnet.CodeDataLoss},
	} {
		if got := rpcnet.CodeOf(c.err); got != c.code {
			t.Errorf("CodeOf(%v) = %v, want %v", c.err, got, c.code)
		}
	}
}

type coded struct{}

func (coded) Error() string     { return "coded" }
func (coded) Code() rpcnet.Code { return rpcnet.CodeDataLoss }

func TestNames(t *testing.T) {
	t.Parallel()
	if s := fmt.Sprint(codegen.ShapeUnary, codegen.ShapeClientStream, codegen.ShapeServerStream, codegen.ShapeBidi); s != "unary client stream server stream bidi" {
		t.Error(s)
	}
	if s := fmt.Sprint(codegen.EncodingCBOR, codegen.EncodingJSON, codegen.EncodingProto, codegen.Encoding(9)); s != "cbor json proto Encoding(9)" {
		t.Error(s)
	}
}

type tooBig struct{ Limit uint64 }

func (e *tooBig) Error() string   { return fmt.Sprintf("over %d", e.Limit) }
func (*tooBig) Code() rpcnet.Code { return rpcnet.CodeOutOfRange }

var failures = &codegen.ErrorUnion{
	Name: "test.Failure",
	Append: func(dst []byte, err error) ([]byte, bool) {
		var e *tooBig
		if !errors.As(err, &e) {
			return dst, false
		}
		return cbor.Buffer(dst).AppendUint(e.Limit), true
	},
	Decode: func(d *cbor.Decoder) error { return &tooBig{d.Uint64()} },
}

// A declared error crosses as itself, with its code, also through a server that
// passes it on.
func TestDeclaredErrorsCross(t *testing.T) {
	t.Parallel()
	spec := func(name string) *rpcnet.Spec { return &rpcnet.Spec{Procedure: name, Errors: failures} }
	srv := rpcnet.NewServer(nil)
	srv.Register(spec("fail"), func(context.Context, *rpcnet.Spec, rpcnet.ServerStream) error {
		return fmt.Errorf("wrapped: %w", &tooBig{7})
	})
	tr := rpcnet.InProcess(srv)
	defer tr.Close()
	relay := rpcnet.NewServer(nil)
	relay.Register(spec("relay"), func(ctx context.Context, _ *rpcnet.Spec, _ rpcnet.ServerStream) error {
		return rpcnet.NewClient(tr, nil).Unary(ctx, spec("fail"), []byte{}, new([]byte))
	})
	through := rpcnet.InProcess(relay)
	defer through.Close()
	for name, c := range map[string]*rpcnet.Client{"fail": rpcnet.NewClient(tr, nil), "relay": rpcnet.NewClient(through, nil)} {
		err := c.Unary(within(t), spec(name), []byte{}, new([]byte))
		var e *tooBig
		if !errors.As(err, &e) || e.Limit != 7 {
			t.Errorf("%s: %v", name, err)
		}
		wantCode(t, err, rpcnet.CodeOutOfRange)
	}
	// A caller that does not know the union sees a detail.
	err := rpcnet.NewClient(tr, nil).Unary(within(t), &rpcnet.Spec{Procedure: "fail"}, []byte{}, new([]byte))
	var d *codegen.Detail
	if !errors.As(err, &d) || d.Name != "test.Failure" {
		t.Errorf("%v", err)
	}
}

// jsonNumber transcodes a CBOR number below 24 to its digits and back.
type jsonNumber struct{}

func (jsonNumber) AppendJSON(dst, cbor []byte) ([]byte, error) {
	if len(cbor) != 1 || cbor[0] > 9 {
		return dst, errors.New("not a digit")
	}
	return append(dst, '0'+cbor[0]), nil
}

func (jsonNumber) AppendCBOR(dst, json []byte) ([]byte, error) {
	if len(json) != 1 || json[0] < '0' || json[0] > '9' {
		return dst, errors.New("not a digit")
	}
	return append(dst, json[0]-'0'), nil
}

func number(json codegen.Transcoder) codegen.Message {
	return stub.StructMessage(
		func(b cbor.Buffer, n *uint64) (cbor.Buffer, error) { return b.AppendUint(*n), nil },
		func(d *cbor.Decoder, n *uint64) { *n = d.Uint64() }, json)
}

// Messages cross in the encoding the caller chooses, if the contract has it.
func TestEncodings(t *testing.T) {
	t.Parallel()
	m := number(jsonNumber{})
	spec := &rpcnet.Spec{Procedure: "next", Request: m, Response: m}
	feed := &rpcnet.Spec{Procedure: "next feed", Shape: codegen.ShapeServerStream, Request: m, Response: m}
	next := func(_ context.Context, _ *rpcnet.Spec, st rpcnet.ServerStream) error {
		var n uint64
		if err := st.Recv(&n); err != nil {
			return err
		}
		n++
		return st.Send(&n)
	}
	srv := rpcnet.NewServer(nil)
	srv.Register(spec, next)
	srv.Register(feed, next)
	tr := rpcnet.InProcess(srv)
	defer tr.Close()
	c := rpcnet.NewClient(tr, nil)
	for _, e := range []codegen.Encoding{codegen.EncodingCBOR, codegen.EncodingJSON} {
		for _, spec := range []*rpcnet.Spec{spec, feed} {
			ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{Encoding: e.String()})
			in, out := uint64(7), uint64(0)
			if err := c.Unary(ctx, spec, &in, &out); err != nil || out != 8 {
				t.Errorf("%v: %d, %v", e, out, err)
			}
			in = 9 // 10 is no digit
			err := c.Unary(ctx, spec, &in, &out)
			if e == codegen.EncodingJSON {
				wantCode(t, err, rpcnet.CodeInternal)
			} else if err != nil || out != 10 {
				t.Error(out, err)
			}
			in = 10
			if err := c.Unary(ctx, spec, &in, &out); e == codegen.EncodingJSON {
				wantCode(t, err, rpcnet.CodeInvalidArgument)
			}
		}
	}
	_, err := rpcnet.CallRaw(within(t), tr, "next", []byte("garbage"))
	wantCode(t, err, rpcnet.CodeInvalidArgument)
	// A raw procedure takes bytes and nothing else.
	srv.Handle("bytes", testkit.Echo)
	raw := &rpcnet.Spec{Procedure: "bytes"}
	b := []byte("x")
	if err := c.Unary(within(t), raw, &b, &b); err != nil || string(b) != "x" {
		t.Error(b, err)
	}
	wantCode(t, c.Unary(within(t), raw, "a string", &b), rpcnet.CodeInvalidArgument)
	wantCode(t, c.Unary(within(t), raw, b, new(string)), rpcnet.CodeInternal)
}

// The helpers of generated code end streams as their loops do.
func TestTypedLoops(t *testing.T) {
	t.Parallel()
	m := number(nil)
	feed := &rpcnet.Spec{Procedure: "feed", Shape: codegen.ShapeServerStream, Request: m, Response: m}
	gone := make(chan error, 1)
	srv := rpcnet.NewServer(nil)
	srv.Register(feed, func(ctx context.Context, _ *rpcnet.Spec, st rpcnet.ServerStream) error {
		var n uint64
		if err := st.Recv(&n); err != nil {
			return err
		}
		for i := range n {
			if err := st.Send(&i); err != nil {
				gone <- err
				return err
			}
		}
		return nil
	})
	tr := rpcnet.InProcess(srv)
	defer tr.Close()
	st, err := tr.NewStream(within(t), feed)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	n := uint64(1 << 40)
	if err := st.Send(&n); err != nil {
		t.Fatal(err)
	}
	seq := receive(st)
	for v, err := range seq {
		if err != nil || v == 1000 {
			st.Close()
			break
		}
	}
	wantCode(t, <-gone, rpcnet.CodeCanceled)
}

func receive(st rpcnet.ClientStream) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		for {
			var n uint64
			err := st.Recv(&n)
			if err == io.EOF || !yield(n, err) || err != nil {
				return
			}
		}
	}
}

func TestCallRecordOverTheNetwork(t *testing.T) {
	t.Parallel()
	ep := rpctest.Serve(t, echoServer(nil), nil)
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	ctx, call := rpcnet.NewCall(within(t), rpcnet.CallOptions{})
	if _, err := rpcnet.CallRaw(ctx, conn, "echo", nil); err != nil {
		t.Fatal(err)
	}
	if p := call.Peer(); p.ID != "localhost" || len(p.Chain) == 0 || p.Addr.String() != ep.Addr().String() || len(p.Names) == 0 {
		t.Errorf("%+v", p)
	}
	if conn.Addr() != ep.Addr().String() {
		t.Error(conn.Addr())
	}
	_, err := rpcnet.CallRaw(ctx, conn, "nobody", nil)
	wantCode(t, err, rpcnet.CodeUnimplemented)
	if call.Attempts() != 2 {
		t.Errorf("%d attempts with one record", call.Attempts())
	}
}

func TestZeroValues(t *testing.T) {
	t.Parallel()
	var srv rpcnet.Server
	for range srv.Specs() {
		t.Error("an empty server lists a procedure")
	}
	tr := rpcnet.InProcess(&srv)
	defer tr.Close()
	_, err := rpcnet.CallRaw(within(t), tr, "echo", nil)
	wantCode(t, err, rpcnet.CodeUnimplemented)
	srv.Handle("echo", testkit.Echo)
	mustEcho(t, tr, []byte("x"))
	var c rpcnet.Client
	_, err = c.NewStream(within(t), bidi("echo"))
	for _, err := range []error{err, c.Unary(within(t), &rpcnet.Spec{Procedure: "echo"}, []byte{}, new([]byte))} {
		wantCode(t, err, rpcnet.CodeFailedPrecondition)
		if err == nil || !strings.Contains(err.Error(), "rpcnet.NewClient") {
			t.Errorf("a zero Client: %v", err)
		}
	}
}
