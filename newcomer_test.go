package rpcnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

func TestFieldErrorsNameTheirCodeOnce(t *testing.T) {
	t.Parallel()
	inner := rpcnet.NewError(rpcnet.CodeUnavailable, "no connection")
	wrapped := fmt.Errorf("asking: %w", inner)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"text":          {rpcnet.NewError(rpcnet.CodeUnavailable, inner.Error()), "Unavailable: no connection"},
		"code alone":    {rpcnet.NewError(rpcnet.CodeUnavailable, "Unavailable"), "Unavailable"},
		"a word":        {rpcnet.NewError(rpcnet.CodeInternal, "Internals fail"), "Internal: Internals fail"},
		"format":        {rpcnet.Errorf(rpcnet.CodeUnavailable, "worker %s: %v", "a", inner), "Unavailable: worker a: no connection"},
		"wrapped":       {rpcnet.Errorf(rpcnet.CodeUnavailable, "worker: %v", wrapped), "Unavailable: worker: asking: no connection"},
		"another code":  {rpcnet.Errorf(rpcnet.CodeInternal, "worker: %v", inner), "Internal: worker: Unavailable: no connection"},
		"without a tag": {rpcnet.Errorf(rpcnet.CodeUnavailable, "%v", errors.New("plain")), "Unavailable: plain"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	ctx, cancel := context.WithCancelCause(within(t))
	cancel(rpcnet.NewError(rpcnet.CodeCanceled, "as asked"))
	p := rpcnet.InProcess(rpcnet.NewServer(nil))
	defer p.Close()
	if _, err := rpcnet.CallRaw(ctx, p, "x", nil); err == nil || strings.Count(err.Error(), "Canceled") != 1 {
		t.Errorf("cause of a context: %v", err)
	}
	conn, err := rpcnet.Dial(within(t), "127.0.0.1:1", rpctest.Credentials(t), &rpcnet.DialConfig{Lazy: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx = within(t)
	for ctx.Err() == nil { // until the first attempt has been refused
		if _, err = rpcnet.CallRaw(ctx, conn, "x", nil); err != nil && strings.Contains(err.Error(), "cannot connect") {
			break
		}
		runtime.Gosched()
	}
	if err == nil || !strings.Contains(err.Error(), "cannot connect") || strings.Count(err.Error(), "Unavailable") != 1 {
		t.Errorf("not connected: %v", err)
	}
}

func TestFieldHeaderKeysAreLowered(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(nil)
	srv.Handle("m", func(ctx context.Context, in []byte) ([]byte, error) {
		c := rpcnet.ServerCallFrom(ctx)
		if err := c.SetHeader("X-Answer", "1"); err != nil {
			return nil, err
		}
		c.SetTrailer("X-End", "2")
		return []byte(c.Header().Get("X-Request-ID") + strings.Join(c.Header()["x-request-id"], "")), nil
	})
	local := rpcnet.InProcess(srv)
	defer local.Close()
	for name, tr := range map[string]rpcnet.Transport{"inproc": local, "tls": rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)} {
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{Header: rpcnet.Header{"x-request-id": {"lost"}}})
		ctx, call := rpcnet.NewCall(ctx, rpcnet.CallOptions{Header: rpcnet.Header{"X-Request-Id": {"a"}}})
		out, err := rpcnet.CallRaw(ctx, tr, "m", nil)
		if err != nil || string(out) != "aa" || call.Header().Get("x-ANSWER") != "1" || call.Trailer().Get("x-end") != "2" {
			t.Errorf("%s: %q, %v, %v, %v", name, out, err, call.Header(), call.Trailer())
		}
	}
}

// A lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestFieldNilResponseIsALoggedError(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	spec := sheetSpec(codegen.ShapeUnary)
	srv.Register(spec, stub.HandleUnary(func(context.Context, *sheet) (*sheet, error) { return nil, nil }, stub.NewPointer[sheet]))
	p := rpcnet.InProcess(srv)
	defer p.Close()
	err := rpcnet.NewClient(p, nil).Unary(within(t), spec, rows(1), new(sheet))
	const want = "the handler returned nil and no error"
	if rpcnet.CodeOf(err) != rpcnet.CodeInternal || !strings.Contains(err.Error(), want) {
		t.Errorf("the caller sees %v", err)
	}
	if s := log.String(); !strings.Contains(s, want) || !strings.Contains(s, "level=ERROR") || !strings.Contains(s, "procedure=/x.S/M") {
		t.Errorf("the log has %q", s)
	}
}
