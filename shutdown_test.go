package rpcnet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/internal/wire"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// held serves echoServer with "hold" beside it, which reports its context and
// ends when release is closed.
func held(srv *rpcnet.Server) (entered chan context.Context, release chan struct{}) {
	entered, release = make(chan context.Context, 100), make(chan struct{})
	srv.Handle("hold", func(ctx context.Context, in []byte) ([]byte, error) {
		entered <- ctx
		select {
		case <-release:
			return in, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return entered, release
}

func TestShutdownLetsCallsFinishAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	entered, release := held(srv)
	heard := make(chan struct{})
	srv.HandleStream("polite", func(ctx context.Context, st rpcnet.ServerStream) error {
		if err := st.Send([]byte("hello")); err != nil {
			return err
		}
		<-rpcnet.ServerCallFrom(ctx).Draining()
		close(heard)
		return st.Send([]byte("goodbye"))
	})
	ep := rpctest.Listen(t, nil)
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background(), srv) }()
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	held := make(chan error, 1)
	ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
	go func() {
		out, err := rpcnet.CallRaw(ctx, conn, "hold", []byte("to the end"))
		if err == nil && string(out) != "to the end" {
			err = errors.New(string(out))
		}
		held <- err
	}()
	hctx := <-entered
	st := open(t, within(t), conn, "polite")
	var m []byte
	if err := st.Recv(&m); err != nil {
		t.Fatal(err)
	}
	late := open(t, within(t), conn, "talk") // made before, sent after
	shut := make(chan error, 1)
	go func() { shut <- ep.Shutdown(within(t)) }()
	<-heard
	if err := st.Recv(&m); err != nil || string(m) != "goodbye" {
		t.Errorf("%q, %v", m, err)
	}
	if err := st.Recv(&m); err != io.EOF {
		t.Error(err)
	}
	err := late.Recv(&m)
	wantCode(t, err, rpcnet.CodeUnavailable)
	if !unprocessed(err) {
		t.Errorf("a refusal by a draining server leaves doubt: %v", err)
	}
	_, err = rpcnet.CallRaw(within(t), conn, "echo", nil)
	wantCode(t, err, rpcnet.CodeUnavailable)
	if !unprocessed(err) {
		t.Errorf("a call to a draining server leaves doubt: %v", err)
	}
	if hctx.Err() != nil {
		t.Errorf("the drain cancelled a call: %v", context.Cause(hctx))
	}
	select {
	case err := <-shut:
		t.Errorf("Shutdown returned %v with a call in flight", err)
	default:
	}
	close(release)
	for what, c := range map[string]chan error{"the call": held, "Shutdown": shut, "Serve": served} {
		if err := <-c; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := ep.Shutdown(within(t)); err != nil {
		t.Errorf("a second Shutdown: %v", err)
	}
}

func TestShutdownCutsAtTheEndOfItsContext(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	entered, release := held(srv)
	stubborn := make(chan struct{})
	srv.Handle("stubborn", func(ctx context.Context, _ []byte) ([]byte, error) {
		entered <- ctx
		<-stubborn
		return nil, nil
	})
	defer close(release)
	defer close(stubborn)
	ep := rpctest.Serve(t, srv, nil)
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	errs := make(chan error, 2)
	for _, name := range []string{"hold", "stubborn"} {
		go func() {
			_, err := rpcnet.CallRaw(within(t), conn, name, nil)
			errs <- err
		}()
	}
	a, b := <-entered, <-entered
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if err := ep.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	for _, ctx := range []context.Context{a, b} {
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), rpcnet.ErrDraining) || !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("the handler's context: %v because of %v", ctx.Err(), context.Cause(ctx))
		}
	}
	for range 2 {
		err := <-errs
		wantCode(t, err, rpcnet.CodeUnavailable)
		if unprocessed(err) {
			t.Errorf("a call that a handler saw is said not to be: %v", err)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	entered, release := held(srv)
	ep := rpctest.Listen(t, &rpcnet.EndpointConfig{DrainTimeout: patience})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- ep.Serve(ctx, srv) }()
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	held := make(chan error, 1)
	wait, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
	go func() { _, err := rpcnet.CallRaw(wait, conn, "hold", nil); held <- err }()
	<-entered
	_, changed := conn.Ready()
	cancel()
	<-changed
	close(release)
	if err := <-held; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := ep.Serve(context.Background(), srv); err == nil {
		t.Error("an endpoint serves twice")
	}
	if _, err := ep.Dial(within(t), ep.Addr().String(), nil); err == nil {
		t.Error("a closed endpoint dials")
	}
}

func TestDrainTimeoutBoundsServe(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	entered, _ := held(srv)
	ep := rpctest.Listen(t, &rpcnet.EndpointConfig{DrainTimeout: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- ep.Serve(ctx, srv) }()
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	wait, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
	failed := make(chan error, 1)
	go func() { _, err := rpcnet.CallRaw(wait, conn, "hold", nil); failed <- err }()
	hctx := <-entered
	cancel()
	if err := <-served; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve: %v", err)
	}
	if !errors.Is(context.Cause(hctx), rpcnet.ErrDraining) {
		t.Error(context.Cause(hctx))
	}
	wantCode(t, <-failed, rpcnet.CodeUnavailable)
}

func TestCloseCutsAtOnce(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	entered, _ := held(srv)
	ep := rpctest.Serve(t, srv, nil)
	out := rpctest.Serve(t, echoServer(nil), nil)
	conn, err := ep.Dial(within(t), out.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	caller := rpctest.Dial(t, ep.Addr().String(), nil)
	failed := make(chan error, 1)
	go func() { _, err := rpcnet.CallRaw(within(t), caller, "hold", nil); failed <- err }()
	hctx := <-entered
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() { ep.Close() })
	}
	closers.Wait()
	<-hctx.Done()
	wantCode(t, <-failed, rpcnet.CodeUnavailable)
	_, err = rpcnet.CallRaw(within(t), conn, "echo", nil)
	wantCode(t, err, rpcnet.CodeUnavailable) // what it dialled closed with it
	if _, err := extend.Endpoint(ep, extend.Extension{}); err == nil {
		t.Error("a closed endpoint is extended")
	}
}

// The death of a caller cancels its handlers at once.
func TestCallerThatGoesAwayCancelsItsHandlers(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	entered, release := held(srv)
	defer close(release)
	ep := rpctest.Serve(t, srv, nil)
	p := rpctest.NewProxy(t, ep.Addr().String())
	conn := rpctest.Dial(t, p.Addr(), nil)
	failed := make(chan error, 1)
	go func() { _, err := rpcnet.CallRaw(within(t), conn, "hold", nil); failed <- err }()
	ctx := <-entered
	p.Cut()
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Error("the handler was not told")
	}
	err := <-failed
	wantCode(t, err, rpcnet.CodeUnavailable)
	if unprocessed(err) {
		t.Errorf("a call that a handler saw is said not to be: %v", err)
	}
}

// Programs serve on one goroutine and call on another: a call that comes first waits.
func TestCallsBeforeServeWaitForIt(t *testing.T) {
	t.Parallel()
	ep := rpctest.Listen(t, nil)
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	answered := make(chan error)
	go func() {
		out, err := rpcnet.CallRaw(within(t), conn, "echo", []byte("first"))
		if err == nil && string(out) != "first" {
			err = fmt.Errorf("an echo of %q", out)
		}
		answered <- err
	}()
	go func() {
		st, err := conn.NewStream(within(t), bidi("talk"))
		if err != nil {
			answered <- err
			return
		}
		defer st.Close()
		var m []byte
		for _, err := range []error{st.Send([]byte("a")), st.Send([]byte("b")), st.Recv(&m), st.Recv(&m)} {
			if err != nil {
				answered <- err
				return
			}
		}
		answered <- nil
	}()
	go func() {
		_, err := rpcnet.CallRaw(within(t), conn, "nobody", nil)
		if rpcnet.CodeOf(err) == rpcnet.CodeUnimplemented {
			err = nil
		}
		answered <- err
	}()
	eventually(t, "the calls have come", func() bool { return ep.Stats().Streams == 3 })
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background(), echoServer(nil)) }()
	for range 3 {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	ep.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// An endpoint that does not serve says so, and its calls hold up nothing.
func TestAnEndpointThatNeverServesRefusesCalls(t *testing.T) {
	t.Parallel()
	ep := rpctest.Listen(t, nil)
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	_, err := rpcnet.CallRaw(within(t), conn, "echo", nil)
	wantCode(t, err, rpcnet.CodeUnavailable)
	if !unprocessed(err) {
		t.Error(err)
	}
	refused := make(chan error)
	go func() {
		_, err := rpcnet.CallRaw(within(t), conn, "echo", nil)
		refused <- err
	}()
	eventually(t, "the call has come", func() bool { return ep.Stats().Streams == 1 })
	if err := ep.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	wantCode(t, <-refused, rpcnet.CodeUnavailable)
}

// Every Shutdown honours its own context, and tells how the drain ended.
func TestSecondShutdownHonoursItsContext(t *testing.T) {
	t.Parallel()
	for _, cut := range []bool{false, true} {
		srv := echoServer(nil)
		entered, release := held(srv)
		ep := rpctest.Serve(t, srv, nil)
		conn := rpctest.Dial(t, ep.Addr().String(), nil)
		go rpcnet.CallRaw(within(t), conn, "hold", nil)
		hctx := <-entered
		ctx, cancel := context.WithCancel(within(t))
		defer cancel()
		first := make(chan error, 2)
		_, changed := conn.Ready()
		go func() { first <- ep.Shutdown(ctx) }()
		<-changed
		short, stop := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer stop()
		if err := ep.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second Shutdown with a short context: %v", err)
		}
		if hctx.Err() != nil {
			t.Error("the second Shutdown has cut the call")
		}
		go func() { first <- ep.Shutdown(within(t)) }()
		if cut {
			cancel()
		} else {
			close(release)
		}
		for range 2 {
			if err := <-first; !errors.Is(err, context.Canceled) == cut {
				t.Errorf("cut %v: %v", cut, err)
			}
		}
		if err := ep.Shutdown(short); !errors.Is(err, context.Canceled) == cut {
			t.Errorf("Shutdown afterwards, cut %v: %v", cut, err)
		}
	}
}

// A peer that does not hang up when it should does not hold up Shutdown for
// longer than its context, nor does it make an error of a clean drain.
func TestShutdownLingersNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	node := newParty(t, testkit.NewCA(t), credentials.Leaf{})
	ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{Logger: rpctest.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer ep.Close()
	c, err := dialTLS(t, ep.Addr().String(), node.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"}))
	if err != nil {
		t.Fatal(err)
	}
	c.Write(append(greeting(wire.DefaultStreamWindow), frame(wire.TypePing, 0, 0, make([]byte, 8))...))
	if _, _, err := readFrame(c, wire.TypePong); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if err := ep.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > time.Second { // it would have been two
		t.Errorf("Shutdown took %v with a context of 100ms", d)
	}
}
