package rpcnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// proxied serves echoServer behind a proxy and dials through it.
func proxied(t *testing.T, cfg *rpcnet.DialConfig) (*rpctest.Proxy, *rpcnet.Conn) {
	t.Helper()
	ep := rpctest.Serve(t, echoServer(nil), nil)
	p := rpctest.NewProxy(t, ep.Addr().String())
	return p, rpctest.Dial(t, p.Addr(), cfg)
}

func TestSlowNetwork(t *testing.T) {
	t.Parallel()
	p, conn := proxied(t, nil)
	p.Delay(20 * time.Millisecond)
	for _, n := range []int{0, 100, 40_000, 1 << 20} { // large ones arrive in the midst of frames
		mustEcho(t, conn, make([]byte, n))
	}
	st := open(t, within(t), conn, "talk")
	for i := range 100 {
		if err := st.Send(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		var m []byte
		if err := st.Recv(&m); err != nil || !bytes.Equal(m, numbered(i)) {
			t.Fatalf("message %d: %d bytes, %v", i, len(m), err)
		}
	}
}

// A lost connection is an error, wherever in a frame it is cut: a truncated
// stream never looks complete, and no call gets another's bytes.
func TestTransportErrorIsNotACleanEnd(t *testing.T) {
	t.Parallel()
	p, conn := proxied(t, nil)
	cut, whole := 0, 0
	for round := range 40 {
		p.CutAfter(int64(rand.N(400_000)))
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				in := bytes.Repeat([]byte{byte(round)}, rand.N(50_000))
				out, err := rpcnet.CallRaw(ctx, conn, "echo", in)
				if err != nil {
					wantCode(t, err, rpcnet.CodeUnavailable)
				} else if !bytes.Equal(in, out) {
					t.Error("a call got other bytes than its own")
				}
			})
		}
		const n = 300
		st, err := conn.NewStream(ctx, bidi("count"))
		if err != nil {
			t.Fatal(err)
		}
		st.Send(make([]byte, n))
		st.CloseSend()
		got := 0
		for err == nil {
			var m []byte
			if err = st.Recv(&m); err == nil {
				if !bytes.Equal(m, numbered(got)) {
					t.Fatalf("message %d has %d bytes", got, len(m))
				}
				got++
			}
		}
		switch {
		case err == io.EOF && got != n:
			t.Fatalf("a clean end after %d of %d messages", got, n)
		case err == io.EOF:
			whole++
		default:
			wantCode(t, err, rpcnet.CodeUnavailable)
			cut++
		}
		st.Close()
		callers.Wait()
	}
	if cut == 0 {
		t.Errorf("no stream was cut, %d came whole: the test proves nothing", whole)
	}
}

// Nothing but the context ends a call on a network that stands still, and it
// does so for every phase of the call.
func TestContextEndsCallsOnAStalledNetwork(t *testing.T) {
	t.Parallel()
	p, conn := proxied(t, &rpcnet.DialConfig{KeepaliveIdle: -1, KeepaliveTimeout: 0, WriteTimeout: time.Hour})
	mustEcho(t, conn, nil)
	p.Stall()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	var callers sync.WaitGroup
	check := func(err error) {
		if !errors.Is(err, context.DeadlineExceeded) || rpcnet.CodeOf(err) != rpcnet.CodeDeadlineExceeded {
			t.Errorf("on a stalled network: %v", err)
		}
	}
	for i := range 8 {
		callers.Go(func() {
			_, err := rpcnet.CallRaw(ctx, conn, "echo", make([]byte, i*500_000))
			check(err)
		})
		callers.Go(func() {
			st, err := conn.NewStream(ctx, bidi("talk"))
			for err == nil {
				err = st.Send(make([]byte, 50_000))
			}
			check(err)
		})
		callers.Go(func() {
			st, err := conn.NewStream(ctx, bidi("talk"))
			if err == nil {
				err = st.Recv(new([]byte))
			}
			check(err)
		})
	}
	ended := make(chan struct{})
	go func() { callers.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience / 2):
		t.Error("calls outlive their context")
	}
	p.Resume()
	<-ended
	mustEcho(t, conn, make([]byte, 100_000)) // the same session goes on
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections, want the first to have lasted", n)
	}
}

// A network that stands still for longer than keepalive allows costs the
// session, and the connection comes back by itself.
func TestKeepaliveFindsADeadNetwork(t *testing.T) {
	t.Parallel()
	p, conn := proxied(t, &rpcnet.DialConfig{KeepaliveIdle: 50 * time.Millisecond, KeepaliveTimeout: 300 * time.Millisecond})
	mustEcho(t, conn, nil)
	p.Stall()
	_, err := rpcnet.CallRaw(within(t), conn, "wait", nil)
	wantCode(t, err, rpcnet.CodeUnavailable)
	p.Cut()
	p.Resume()
	ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
	if _, err := rpcnet.CallRaw(ctx, conn, "echo", nil); err != nil {
		t.Error(err)
	}
}

// Connections may be served in another order than they were made.
func TestConnectionsOutOfOrder(t *testing.T) {
	t.Parallel()
	ep := rpctest.Serve(t, echoServer(nil), nil)
	p := rpctest.NewProxy(t, ep.Addr().String())
	p.HoldConnections(func(n int) time.Duration { return time.Duration(3-n) * 100 * time.Millisecond })
	var dials sync.WaitGroup
	for range 4 {
		dials.Go(func() { mustEcho(t, rpctest.Dial(t, p.Addr(), nil), []byte("x")) })
	}
	dials.Wait()
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	p, conn := proxied(t, nil)
	mustEcho(t, conn, nil)
	for range 3 {
		ready, changed := conn.Ready()
		if !ready {
			t.Fatal("a connection that works is not ready")
		}
		p.Refuse(true)
		p.Cut()
		<-changed
		// At once, and without doubt that nobody saw it, where the caller does not wait.
		_, err := rpcnet.CallRaw(within(t), conn, "echo", nil)
		wantCode(t, err, rpcnet.CodeUnavailable)
		if !unprocessed(err) {
			t.Errorf("not sent, and may be processed: %v", err)
		}
		_, err = conn.NewStream(within(t), bidi("talk"))
		wantCode(t, err, rpcnet.CodeUnavailable)
		if conn.Peer().ID != "localhost" {
			t.Errorf("the peer of the last connection is forgotten: %+v", conn.Peer())
		}
		// Waiting is bounded by the context.
		short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		wait, _ := rpcnet.NewCall(short, rpcnet.CallOptions{WaitForReady: true})
		_, err = rpcnet.CallRaw(wait, conn, "echo", nil)
		wantCode(t, err, rpcnet.CodeDeadlineExceeded)
		cancel()
		// And ends with a connection.
		answered := make(chan error, 1)
		go func() {
			wait, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
			_, err := rpcnet.CallRaw(wait, conn, "echo", nil)
			answered <- err
		}()
		p.Refuse(false)
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
}

// A server that accepts and hangs up is not dialled in a busy loop.
func TestReconnectBacksOff(t *testing.T) {
	t.Parallel()
	p, conn := proxied(t, nil)
	p.Refuse(true)
	p.Cut()
	before := p.Connections()
	time.Sleep(time.Second) // what is counted is what does not happen in it
	if n := p.Connections() - before; n > 12 {
		t.Errorf("%d attempts in a second", n)
	}
	_ = conn
}

// Callers that wait for a connection lose no call to a server that restarts in
// good order.
func TestRestartLosesNoCall(t *testing.T) {
	t.Parallel()
	ep := rpctest.Serve(t, echoServer(nil), nil)
	addr := ep.Addr().String()
	conn := rpctest.Dial(t, addr, nil)
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
				if _, err := rpcnet.CallRaw(ctx, conn, "echo", []byte("x")); err != nil {
					t.Error(err)
					return
				}
				st, err := conn.NewStream(ctx, bidi("talk"))
				if err == nil {
					if err = st.Send([]byte("x")); err == nil || err == io.EOF {
						err = st.Recv(new([]byte))
					}
					st.Close()
				}
				if err != nil && !unprocessed(err) {
					t.Errorf("a stream: %v", err)
					return
				}
			}
		})
	}
	for range 3 {
		if err := ep.Shutdown(within(t)); err != nil {
			t.Error(err)
		}
		creds := rpctest.Credentials(t)
		var err error
		for ep = nil; ep == nil; { // another test may have the port for a moment
			if ep, err = rpcnet.Listen(addr, creds, nil); err != nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
		serving(ep, echoServer(nil))
		mustEcho(t, rpctest.Dial(t, addr, nil), nil)
		ready, _ := conn.Ready()
		for !ready {
			time.Sleep(time.Millisecond)
			ready, _ = conn.Ready()
		}
	}
	close(stop)
	callers.Wait()
	ep.Close()
}

// A stream whose connection is lost before anything was sent is a call that no
// handler saw; one that was sent is not.
func TestStreamsThatWereNotSentAreUnprocessed(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(rpcnet.ClientStream) error{
		"Send":      func(st rpcnet.ClientStream) error { return st.Send([]byte("x")) },
		"CloseSend": func(st rpcnet.ClientStream) error { return st.CloseSend() },
		"Recv":      func(st rpcnet.ClientStream) error { return st.Recv(new([]byte)) },
		"Send and Recv": func(st rpcnet.ClientStream) error {
			st.Send([]byte("x"))
			return st.Recv(new([]byte))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, conn := proxied(t, nil)
			fresh, sent := open(t, within(t), conn, "talk"), open(t, within(t), conn, "talk")
			if err := sent.Send([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if err := sent.Recv(new([]byte)); err != nil {
				t.Fatal(err)
			}
			p.Cut()
			err := sent.Recv(new([]byte))
			wantCode(t, err, rpcnet.CodeUnavailable)
			if unprocessed(err) {
				t.Errorf("a stream that a handler answered: %v", err)
			}
			err = use(fresh)
			wantCode(t, err, rpcnet.CodeUnavailable)
			if !unprocessed(err) {
				t.Errorf("a stream that was not sent leaves doubt: %v", err)
			}
		})
	}
}

// Close waits for the sessions that the server drains, too. It does not run
// beside other tests: it looks at all goroutines.
func TestCloseWaitsForSessionsThatDrain(t *testing.T) {
	srv := echoServer(nil)
	entered, release := held(srv)
	for range 10 {
		ep := rpctest.Listen(t, nil)
		go ep.Serve(context.Background(), srv)
		conn := rpctest.Dial(t, ep.Addr().String(), nil)
		wait, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
		failed := make(chan error, 1)
		go func() { _, err := rpcnet.CallRaw(wait, conn, "hold", nil); failed <- err }()
		<-entered
		_, changed := conn.Ready()
		go ep.Shutdown(within(t))
		<-changed
		conn.Close()
		b := make([]byte, 1<<20)
		if s := string(b[:runtime.Stack(b, true)]); strings.Contains(s, "(*Conn).leave") {
			t.Errorf("a goroutine of the connection is left:\n%s", s)
		}
		wantCode(t, <-failed, rpcnet.CodeUnavailable)
	}
	close(release)
}

// An idle connection lives, whatever the relation of the two times, and a silent
// peer has time to answer: one that is not above the other means its default.
func TestKeepaliveLeavesTimeToAnswer(t *testing.T) {
	t.Parallel()
	var lost []<-chan struct{}
	for _, times := range [][2]time.Duration{
		{400 * time.Millisecond, 100 * time.Millisecond},
		{100 * time.Millisecond, 100 * time.Millisecond},
		{time.Minute, 0},
	} {
		ep := rpctest.Serve(t, echoServer(nil), &rpcnet.EndpointConfig{KeepaliveIdle: times[0], KeepaliveTimeout: times[1]})
		opt := &rpcnet.DialConfig{KeepaliveIdle: times[0], KeepaliveTimeout: times[1]}
		p := rpctest.NewProxy(t, ep.Addr().String())
		conns := []*rpcnet.Conn{rpctest.Dial(t, ep.Addr().String(), opt), rpctest.Dial(t, p.Addr(), opt)}
		for i, conn := range conns {
			mustEcho(t, conn, nil)
			_, changed := conn.Ready()
			lost = append(lost, changed)
			if i == 1 {
				p.Stall()
			}
		}
	}
	time.Sleep(1500 * time.Millisecond) // what is looked for is what does not happen in it
	for i, changed := range lost {
		select {
		case <-changed:
			t.Errorf("connection %d was given up", i)
		default:
		}
	}
}
