package gen_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/kinds"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/shared"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onTransports runs f over TLS and in process.
func onTransports(t *testing.T, srv *rpcnet.Server, f func(t *testing.T, tr rpcnet.Transport)) {
	t.Helper()
	t.Run("inproc", func(t *testing.T) {
		tr := rpcnet.InProcess(srv)
		t.Cleanup(func() { tr.Close() })
		f(t, tr)
	})
	t.Run("tls", func(t *testing.T) {
		f(t, rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil))
	})
}

// An echo answers according to the Name, or the ID, of what it is asked.
type echo struct{ kinds.UnimplementedKinds }

// outcome returns the error that a request asks for.
func outcome(name string) error {
	switch name {
	case "value":
		return kinds.NotFound{Name: "x"}
	case "pointer":
		return &kinds.Overloaded{RetryAfter: time.Second}
	case "wrapped":
		return fmt.Errorf("looking: %w", kinds.NotFound{Name: "x"})
	case "detail":
		return rpcnet.NewError(rpcnet.CodeNotFound, "gone").WithDetail(kinds.NotFound{Name: "x"})
	case "code":
		return rpcnet.NewError(rpcnet.CodeAborted, "try again")
	case "plain":
		return errors.New("a secret of the server")
	case "unknown":
		return &kinds.UnknownFailure{Name: "novel", Raw: cbor.Raw("\x05")}
	}
	return nil
}

var ids = []string{"", "value", "pointer", "wrapped", "detail", "code", "plain", "unknown"}

func (echo) Unary(_ context.Context, req *kinds.All) (*kinds.All, error) {
	return req, outcome(req.Name)
}

func (echo) Feed(_ context.Context, req *kinds.FeedRequest) iter.Seq2[*kinds.Tick, error] {
	return func(yield func(*kinds.Tick, error) bool) {
		for i := range req.Count {
			tick := &kinds.Tick{Seq: uint64(i)}
			if i%2 == 1 {
				tick = &kinds.Tick{}
			}
			if !yield(tick, nil) {
				return
			}
		}
		if err := outcome(ids[req.Since]); err != nil {
			yield(nil, err)
		}
	}
}

func (echo) Upload(_ context.Context, in iter.Seq2[*kinds.Tick, error]) (*kinds.Count, error) {
	out := new(kinds.Count)
	for tick, err := range in {
		if err != nil {
			return nil, err
		}
		if err := outcome(ids[tick.ID]); err != nil {
			return nil, err
		}
		out.N++
		out.Bytes += int64(len(tick.Data))
	}
	return out, nil
}

func (echo) Bidi(_ context.Context, in iter.Seq2[*kinds.Empty, error]) iter.Seq2[kinds.Answer, error] {
	return func(yield func(kinds.Answer, error) bool) {
		for req, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			if err := outcome(ids[req.ResumeFrom]); err != nil {
				yield(nil, err)
				return
			}
			if !yield(kinds.AnswerNothing{}, nil) || !yield(&kinds.AnswerNumber{N: 7}, nil) {
				return
			}
		}
	}
}

func (echo) Union(_ context.Context, in kinds.Answer) (kinds.Answer, error) { return in, nil }

func (echo) Foreign(_ context.Context, e shared.Event) (*shared.Page[kinds.Node], error) {
	return &shared.Page[kinds.Node]{Next: fmt.Sprintf("%T", e)}, nil
}

func (echo) Proto(_ context.Context, in *wrapperspb.StringValue) (*wrapperspb.Int64Value, error) {
	return wrapperspb.Int64(int64(len(in.Value))), outcome(in.Value)
}

func (echo) ProtoFeed(_ context.Context, in *wrapperspb.StringValue) iter.Seq2[*wrapperspb.Int64Value, error] {
	return func(yield func(*wrapperspb.Int64Value, error) bool) {
		for i := range in.Value {
			if !yield(wrapperspb.Int64(int64(i)), nil) {
				return
			}
		}
	}
}

func (echo) Raw(_ context.Context, in *cbor.Raw) (*cbor.Raw, error) { return in, nil }

// checkOutcome says what a caller must find for an outcome.
func checkOutcome(t *testing.T, name string, err error) {
	t.Helper()
	var notFound kinds.NotFound
	var overloaded *kinds.Overloaded
	var unknown *kinds.UnknownFailure
	var detail *codegen.Detail
	ok := false
	switch name {
	case "":
		ok = err == nil
	case "value", "wrapped":
		ok = errors.As(err, &notFound) && notFound.Name == "x" && !errors.As(err, &overloaded)
	case "detail":
		ok = errors.As(err, &notFound) && notFound.Name == "x" && rpcnet.CodeOf(err) == rpcnet.CodeNotFound
	case "pointer":
		ok = errors.As(err, &overloaded) && overloaded.RetryAfter == time.Second && !errors.As(err, &notFound)
	case "code":
		ok = rpcnet.CodeOf(err) == rpcnet.CodeAborted && strings.Contains(err.Error(), "try again") && !errors.As(err, &detail)
	case "plain":
		ok = rpcnet.CodeOf(err) == rpcnet.CodeUnknown && !strings.Contains(err.Error(), "secret")
	case "unknown":
		ok = errors.As(err, &unknown) && unknown.Name == "novel" && string(unknown.Raw) == "\x05"
	}
	if !ok {
		t.Errorf("outcome %q: %v", name, err)
	}
	if _, is := err.(*rpcnet.Error); err != nil && !is {
		t.Errorf("outcome %q: the error is a %T, want *rpcnet.Error", name, err)
	}
}

func sequence[T any](items ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, i := range items {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func collect[T any](seq iter.Seq2[T, error]) (out []T, err error) {
	for v, e := range seq {
		if e != nil {
			return out, e
		}
		out = append(out, v)
	}
	return out, nil
}

func TestEveryShapeWithEveryOutcome(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
	kinds.RegisterKinds(srv, echo{})
	onTransports(t, srv, func(t *testing.T, tr rpcnet.Transport) {
		everyShape(t, kinds.NewKindsClient(tr))
		handles(t, kinds.NewKindsClient(tr))
	})
}

// TestAClientServesAsProxy registers a client as the implementation, twice.
func TestAClientServesAsProxy(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
	kinds.RegisterKinds(srv, echo{})
	first := rpcnet.InProcess(srv)
	defer first.Close()
	proxy := rpcnet.NewServer(nil)
	kinds.RegisterKinds(proxy, kinds.NewKindsClient(first))
	second := rpcnet.InProcess(proxy)
	defer second.Close()
	c := kinds.NewKindsClient(second)
	for _, name := range []string{"", "value", "pointer", "wrapped", "unknown"} {
		_, err := c.Unary(t.Context(), &kinds.All{Name: name})
		checkOutcome(t, name, err)
	}
	novel := &kinds.UnknownAnswer{Name: "novel", Raw: cbor.Raw("\x82\x01\x02")}
	got, err := c.Union(t.Context(), novel)
	if err != nil || !reflect.DeepEqual(got, novel) {
		t.Errorf("%v, %v", got, err)
	}
}

func everyShape(t *testing.T, c kinds.Kinds) {
	ctx := t.Context()
	for i, name := range ids {
		res, err := c.Unary(ctx, &kinds.All{Name: name, Int: 5})
		checkOutcome(t, name, err)
		if err == nil && res.Int != 5 || err != nil && res != nil {
			t.Errorf("unary %q: %v, %v", name, res, err)
		}
		ticks, err := collect(c.Feed(ctx, &kinds.FeedRequest{Since: uint32(i), Count: 4}))
		checkOutcome(t, name, err)
		if len(ticks) != 4 || ticks[2].Seq != 2 || !reflect.DeepEqual(ticks[1], &kinds.Tick{}) {
			t.Errorf("feed %q: %v", name, ticks)
		}
		count, err := c.Upload(ctx, sequence(&kinds.Tick{Data: []byte("abc")}, &kinds.Tick{}, &kinds.Tick{ID: int64(i)}))
		checkOutcome(t, name, err)
		if err == nil && *count != (kinds.Count{N: 3, Bytes: 3}) {
			t.Errorf("upload %q: %v", name, count)
		}
		answers, err := collect(c.Bidi(ctx, sequence(&kinds.Empty{}, &kinds.Empty{ResumeFrom: uint64(i)})))
		checkOutcome(t, name, err)
		if len(answers) < 2 || answers[0] != (kinds.AnswerNothing{}) || answers[1].(*kinds.AnswerNumber).N != 7 {
			t.Errorf("bidi %q: %v", name, answers)
		}
		if name != "code" {
			continue
		}
		_, err = c.Proto(ctx, wrapperspb.String(name))
		checkOutcome(t, name, err)
	}
	// No messages at all, in either direction.
	if ticks, err := collect(c.Feed(ctx, &kinds.FeedRequest{})); ticks != nil || err != nil {
		t.Errorf("empty feed: %v, %v", ticks, err)
	}
	if count, err := c.Upload(ctx, sequence[*kinds.Tick]()); err != nil || *count != (kinds.Count{}) {
		t.Errorf("empty upload: %v, %v", count, err)
	}
	if answers, err := collect(c.Bidi(ctx, sequence[*kinds.Empty]())); answers != nil || err != nil {
		t.Errorf("empty bidi: %v, %v", answers, err)
	}
	// The caller's own error ends the call and is what it sees.
	own := errors.New("own")
	failing := func(yield func(*kinds.Tick, error) bool) { _ = yield(&kinds.Tick{}, nil) && yield(nil, own) }
	if _, err := c.Upload(ctx, failing); !errors.Is(err, own) {
		t.Errorf("upload with a failing sequence: %v", err)
	}
	for _, in := range []kinds.Answer{kinds.AnswerText{Text: "x"}, &kinds.AnswerNumber{N: 1}, kinds.AnswerMany{Answers: []kinds.Answer{nil}}} {
		if got, err := c.Union(ctx, in); err != nil || !reflect.DeepEqual(got, in) {
			t.Errorf("union %#v: %#v, %v", in, got, err)
		}
	}
	if page, err := c.Foreign(ctx, &shared.Deleted{Name: "x"}); err != nil || page.Next != "*shared.Deleted" {
		t.Errorf("foreign: %v, %v", page, err)
	}
	if n, err := c.Proto(ctx, wrapperspb.String("hello")); err != nil || n.Value != 5 {
		t.Errorf("proto: %v, %v", n, err)
	}
	if ns, err := collect(c.ProtoFeed(ctx, wrapperspb.String("abc"))); err != nil || len(ns) != 3 || ns[2].Value != 2 {
		t.Errorf("proto feed: %v, %v", ns, err)
	}
	raw := cbor.Raw("\xa1\x61a\x05")
	if got, err := c.Raw(ctx, &raw); err != nil || string(*got) != string(raw) {
		t.Errorf("raw: %v, %v", got, err)
	}
	for _, f := range []func() error{
		func() error { _, err := c.Unary(ctx, nil); return err },
		func() error { _, err := c.Union(ctx, nil); return err },
		func() error { _, err := c.Proto(ctx, nil); return err },
		func() error { _, err := collect(c.Feed(ctx, nil)); return err },
	} {
		if f() == nil {
			t.Error("a nil request was sent")
		}
	}
}

func handles(t *testing.T, c *kinds.KindsClient) {
	ctx := t.Context()
	bidi, err := c.BidiStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer bidi.Close()
	for range 3 { // ping pong, which two loops cannot do
		if err := bidi.Send(&kinds.Empty{}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := bidi.Recv(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := bidi.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := bidi.Recv(); err != io.EOF {
		t.Errorf("end of bidi: %v", err)
	}
	feed, err := c.FeedStream(ctx, &kinds.FeedRequest{Count: 2, Since: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	ticks, err := collect(feed.All())
	if checkOutcome(t, "value", err); len(ticks) != 2 {
		t.Errorf("feed: %v", ticks)
	}
	upload, err := c.UploadStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer upload.Close()
	if err := upload.Send(&kinds.Tick{Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if count, err := upload.CloseAndRecv(); err != nil || count.Bytes != 1 {
		t.Errorf("upload: %v, %v", count, err)
	}
}

func TestFuncsAndUnimplementedStandIn(t *testing.T) {
	t.Parallel()
	called := false
	fake := &kinds.KindsFuncs{
		UnaryFunc: func(_ context.Context, req *kinds.All) (*kinds.All, error) { called = true; return req, nil },
	}
	if _, err := fake.Unary(t.Context(), &kinds.All{}); err != nil || !called {
		t.Errorf("%v, called: %v", err, called)
	}
	for name, err := range map[string]error{
		"feed":   func() error { _, err := collect(fake.Feed(t.Context(), nil)); return err }(),
		"upload": func() error { _, err := fake.Upload(t.Context(), nil); return err }(),
		"bidi":   func() error { _, err := collect(kinds.UnimplementedKinds{}.Bidi(t.Context(), nil)); return err }(),
		"union":  func() error { _, err := fake.Union(t.Context(), nil); return err }(),
	} {
		if rpcnet.CodeOf(err) != rpcnet.CodeUnimplemented {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongMessageEndsItsCallOnly(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
	kinds.RegisterKinds(srv, echo{})
	onTransports(t, srv, func(t *testing.T, tr rpcnet.Transport) {
		_, err := rpcnet.CallRaw(t.Context(), tr, kinds.KindsUnaryProcedure, []byte("\xa1eitems\x01\x02"))
		if rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument || !strings.Contains(err.Error(), "bytes after the message") {
			t.Errorf("%v", err)
		}
		_, err = rpcnet.CallRaw(t.Context(), tr, kinds.KindsUnaryProcedure, []byte("\xa1dpage\xa1eitems\x81\xa1dnext\x01"))
		if rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument || !strings.Contains(err.Error(), "page: items: next: want text, got unsigned integer (offset 20)") {
			t.Errorf("%v", err)
		}
		if _, err := kinds.NewKindsClient(tr).Unary(t.Context(), &kinds.All{}); err != nil {
			t.Errorf("the connection did not live on: %v", err)
		}
	})
}

func TestJSONIsAnEncodingOfEveryMethod(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
	kinds.RegisterKinds(srv, echo{})
	onTransports(t, srv, func(t *testing.T, tr rpcnet.Transport) {
		c := kinds.NewKindsClient(rpcnet.NewClient(tr, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Encoding: "json"}}))
		in := full()
		got, err := c.Unary(t.Context(), in)
		if err != nil || !reflect.DeepEqual(got, in) {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := c.Union(t.Context(), kinds.AnswerText{Text: "x"}); err != nil || got != (kinds.AnswerText{Text: "x"}) {
			t.Errorf("%+v, %v", got, err)
		}
		_, err = c.Unary(t.Context(), &kinds.All{Name: "pointer"})
		checkOutcome(t, "pointer", err)
	})
}
