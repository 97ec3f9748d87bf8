package rpcnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func wantCode(t testing.TB, err error, code rpcnet.Code) {
	t.Helper()
	if got := rpcnet.CodeOf(err); got != code {
		t.Errorf("error %v has code %v, want %v", err, got, code)
	}
}

func unprocessed(err error) bool {
	var e *rpcnet.Error
	return errors.As(err, &e) && e.Unprocessed()
}

// echoServer serves "echo", the stream "talk", which is an echo too, and
// "count", which streams as many numbered messages as its request says.
func echoServer(cfg *rpcnet.ServerConfig) *rpcnet.Server {
	srv := rpcnet.NewServer(cfg)
	srv.Handle("echo", testkit.Echo)
	srv.Handle("wait", func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	srv.HandleStream("talk", func(_ context.Context, st rpcnet.ServerStream) error {
		for {
			var m []byte
			if err := st.Recv(&m); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := st.Send(m); err != nil {
				return err
			}
		}
	})
	srv.HandleStream("count", func(_ context.Context, st rpcnet.ServerStream) error {
		var m []byte
		if err := st.Recv(&m); err != nil {
			return err
		}
		for i := range len(m) {
			if err := st.Send(numbered(i)); err != nil {
				return err
			}
		}
		return nil
	})
	return srv
}

func numbered(i int) []byte {
	return append(bytes.Repeat([]byte{byte(i)}, i%3000), byte(i>>8), byte(i))
}

func bidi(name string) *rpcnet.Spec { return &rpcnet.Spec{Procedure: name, Shape: codegen.ShapeBidi} }

func open(t testing.TB, ctx context.Context, tr rpcnet.Transport, name string) rpcnet.ClientStream {
	t.Helper()
	st, err := tr.NewStream(ctx, bidi(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func mustEcho(t testing.TB, tr rpcnet.Transport, in []byte) {
	t.Helper()
	out, err := rpcnet.CallRaw(within(t), tr, "echo", in)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, in) {
		t.Fatalf("echo of %d bytes gave %d others", len(in), len(out))
	}
}

// serving has ep serve srv, and returns when it does.
func serving(ep *rpcnet.Endpoint, srv *rpcnet.Server) {
	go ep.Serve(context.Background(), srv)
	for !ep.Serves() {
		runtime.Gosched()
	}
}
