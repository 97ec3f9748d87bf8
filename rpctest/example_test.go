package rpctest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// A server and a connection to it, over TLS on the loopback interface. In a test,
// t is its parameter.
func Example() {
	t := new(standIn)
	defer t.end()

	srv := rpcnet.NewServer(nil)
	srv.Handle("echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	ep := rpctest.Serve(t, srv, nil)
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	out, err := rpcnet.CallRaw(context.Background(), conn, "echo", []byte("hello"))
	fmt.Println(string(out), err)
	// Output: hello <nil>
}

// A network that stops for a while: calls keep their deadlines, and the
// connection works again afterwards.
func ExampleProxy() {
	t := new(standIn)
	defer t.end()

	srv := rpcnet.NewServer(nil)
	srv.Handle("echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	ep := rpctest.Serve(t, srv, nil)
	proxy := rpctest.NewProxy(t, ep.Addr().String())
	conn := rpctest.Dial(t, proxy.Addr(), nil)

	proxy.Stall()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := rpcnet.CallRaw(ctx, conn, "echo", []byte("during"))
	fmt.Println(rpcnet.CodeOf(err))

	proxy.Resume()
	out, err := rpcnet.CallRaw(context.Background(), conn, "echo", []byte("after"))
	fmt.Println(string(out), err)
	// Output:
	// DeadlineExceeded
	// after <nil>
}

// A standIn is the part of a *testing.T that the examples need, since an example
// has none.
type standIn struct {
	testing.TB
	cleanups []func()
}

func (t *standIn) Helper()                   {}
func (t *standIn) Log(...any)                {}
func (t *standIn) Logf(string, ...any)       {}
func (t *standIn) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *standIn) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (t *standIn) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }

func (t *standIn) end() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}
