package rpcnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/extend"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// These are mistakes that libraries of this kind have made. Those that every
// transport could make are cases of package conformance.

// A handler under way, however long, holds up no registration and no call.
func TestRegisterWhileServing(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	entered, release := held(srv)
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	done := make(chan error, 1)
	go func() { _, err := rpcnet.CallRaw(within(t), conn, "hold", nil); done <- err }()
	<-entered
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			name := fmt.Sprintf("new %d", i)
			srv.Handle(name, func(context.Context, []byte) ([]byte, error) { return []byte(name), nil })
			if out, err := rpcnet.CallRaw(within(t), conn, name, nil); err != nil || string(out) != name {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	all.Wait()
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	n := 0
	last := ""
	for spec := range srv.Specs() {
		if spec.Procedure <= last {
			t.Errorf("%q after %q", spec.Procedure, last)
		}
		last = spec.Procedure
		n++
	}
	if n != 20+5 {
		t.Errorf("the server lists %d procedures", n)
	}
}

func TestRegisterRefusesMistakes(t *testing.T) {
	t.Parallel()
	for name, procedure := range map[string]string{"twice": "echo", "empty": "", "long": strings.Repeat("x", 256)} {
		func() {
			defer func() {
				if r := recover(); r == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			echoServer(nil).Handle(procedure, func(context.Context, []byte) ([]byte, error) { return nil, nil })
		}()
	}
}

func TestFullDuplexServerSpeaksFirst(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(nil)
	srv.HandleStream("clock", func(ctx context.Context, st rpcnet.ServerStream) error {
		stop := make(chan error, 1)
		go func() { stop <- st.Recv(new([]byte)) }() // listens all the time
		for i := 0; ; i++ {
			select {
			case err := <-stop:
				return err
			default:
			}
			if err := st.Send([]byte{byte(i)}); err != nil {
				return err
			}
		}
	})
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	st := open(t, within(t), conn, "clock")
	var m []byte
	for i := range 1000 {
		if err := st.Recv(&m); err != nil || m[0] != byte(i) {
			t.Fatalf("%v, %v", m, err)
		}
	}
	if err := st.Send([]byte("stop")); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); err != io.EOF; err = st.Recv(&m) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A consumer takes its time; only what waits for a peer is bounded, by the
// caller's context alone.
func TestSlowConsumerIsNotPunished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := rpcnet.NewServer(nil)
		srv.HandleStream("slow start", func(_ context.Context, st rpcnet.ServerStream) error {
			time.Sleep(time.Hour)
			for i := range 100 {
				if err := st.Send(bytes.Repeat([]byte{byte(i)}, 10_000)); err != nil {
					return err
				}
			}
			return nil
		})
		tr := rpcnet.InProcess(srv)
		defer tr.Close()
		st := open(t, t.Context(), tr, "slow start")
		for i := range 100 {
			var m []byte
			if err := st.Recv(&m); err != nil || len(m) != 10_000 || m[0] != byte(i) {
				t.Fatalf("message %d: %d bytes, %v", i, len(m), err)
			}
			time.Sleep(time.Hour)
		}
		if err := st.Recv(new([]byte)); err != io.EOF {
			t.Error(err)
		}
	})
}

// An error is final: what follows is the same error, not another and not data.
func TestErrorsAreFinal(t *testing.T) {
	t.Parallel()
	srv := rpcnet.NewServer(nil)
	srv.HandleStream("fail", func(_ context.Context, st rpcnet.ServerStream) error {
		return rpcnet.NewError(rpcnet.CodeOutOfRange, "enough")
	})
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	st := open(t, within(t), conn, "fail")
	first := st.Recv(new([]byte))
	wantCode(t, first, rpcnet.CodeOutOfRange)
	conn.Close()
	for range 3 {
		if err := st.Recv(new([]byte)); err != first {
			t.Errorf("%v, then %v", first, err)
		}
	}
}

// A caller without credit waits alone, and no longer than its context says.
func TestCallersOutOfCreditBlockNobody(t *testing.T) {
	t.Parallel()
	conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(nil), nil).Addr().String(), nil)
	ctx, cancel := context.WithTimeout(within(t), 200*time.Millisecond)
	defer cancel()
	var stuck sync.WaitGroup
	for range 3 {
		st := open(t, ctx, conn, "wait") // never reads
		stuck.Go(func() {
			var err error
			for err == nil {
				err = st.Send(make([]byte, 100_000))
			}
			if err == io.EOF { // the server's clock was faster
				err = st.Recv(new([]byte))
			}
			wantCode(t, err, rpcnet.CodeDeadlineExceeded)
		})
	}
	for range 50 {
		mustEcho(t, conn, make([]byte, 200_000))
	}
	stuck.Wait()
}

// A stream that its owner drops ends on both sides and leaves nothing behind.
func TestAbandonedStreamsLeaveNothing(t *testing.T) {
	srv := echoServer(nil)
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	mustEcho(t, conn, nil)
	before := runtime.NumGoroutine()
	for i := range 300 {
		ctx, cancel := context.WithCancel(context.Background())
		st, err := conn.NewStream(ctx, bidi("talk"))
		if err != nil {
			t.Fatal(err)
		}
		if i%3 > 0 {
			if err := st.Send([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if i%2 == 0 {
			st.Close()
		}
		cancel()
	}
	eventually(t, "streams and goroutines are gone", func() bool {
		return conn.Stats().InFlight == 0 && runtime.NumGoroutine() <= before+maxIdleHandlers
	})
}

// A library does not write to the terminal.
func TestNothingIsPrinted(t *testing.T) {
	t.Parallel()
	printing := regexp.MustCompile(`\bfmt\.Print|\bprintln\(|\blog\.(Print|Fatal|Panic)|os\.Std(out|err)`)
	for _, dir := range []string{".", "internal/session", "internal/tlsconn", "internal/credentials", "internal/wire", "codegen/cbor"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if m := printing.Find(b); m != nil && !strings.HasSuffix(f, "_test.go") {
				t.Errorf("%s has %s", f, m)
			}
		}
	}
}

// What shares the port is told apart by the protocol agreed on in the
// handshake, and may be added before the endpoint serves and after.
func TestExtensionsShareThePort(t *testing.T) {
	t.Parallel()
	ep := rpctest.Listen(t, nil)
	gossip := func(c net.Conn, p rpcnet.Peer) {
		defer c.Close()
		fmt.Fprintf(c, "hello %s", p.ID)
	}
	packets := make(chan string, 1)
	var intercepted, drained sync.WaitGroup
	intercepted.Add(1)
	drained.Add(1)
	var once sync.Once
	remove, err := extend.Endpoint(ep, extend.Extension{
		Procedures: []extend.Procedure{{Spec: &rpcnet.Spec{Procedure: "system"}, Handler: func(_ context.Context, _ *rpcnet.Spec, st rpcnet.ServerStream) error {
			return st.Send([]byte("of the extension"))
		}}},
		Interceptor: func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
			return func(ctx context.Context, spec *rpcnet.Spec, st rpcnet.ServerStream) error {
				once.Do(intercepted.Done)
				if spec.Procedure == "system" {
					t.Error("an extension intercepts itself")
				}
				return next(ctx, spec, st)
			}
		},
		Protocols: map[string]extend.Protocol{"gossip/1": {Run: gossip}},
		Packet:    func(b []byte, _ netip.AddrPort) { packets <- string(b) },
		Drain:     func(context.Context) { drained.Done() },
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]extend.Extension{
		"our own protocol": {Protocols: map[string]extend.Protocol{"rpcnet/1": {Run: gossip}}},
		"a taken protocol": {Protocols: map[string]extend.Protocol{"gossip/1": {Run: gossip}}},
		"second packets":   {Packet: func([]byte, netip.AddrPort) {}},
		"a taken name":     {Procedures: []extend.Procedure{{Spec: &rpcnet.Spec{Procedure: "system"}}}},
	} {
		if _, err := extend.Endpoint(ep, x); err == nil {
			t.Errorf("%s can be added", name)
		}
	}
	conn := rpctest.Dial(t, ep.Addr().String(), nil)
	if out, err := rpcnet.CallRaw(within(t), conn, "system", nil); err != nil || string(out) != "of the extension" {
		t.Errorf("before Serve: %q, %v", out, err)
	}
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background(), echoServer(nil)) }()
	c := rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{WaitForReady: true}})
	mustEcho(t, c, []byte("through"))
	intercepted.Wait()
	raw, peer, err := extend.Dial(within(t), ep, ep.Addr().String(), "gossip/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(raw); string(b) != "hello localhost" || peer.ID != "localhost" {
		t.Errorf("%q, %v from %+v", b, err, peer)
	}
	raw.Close()
	to := netip.MustParseAddrPort(ep.Addr().String())
	eventually(t, "the packet arrives", func() bool {
		if _, err := extend.WritePacket(ep, []byte("\x01packet"), to); err != nil {
			t.Fatal(err)
		}
		select {
		case p := <-packets:
			return p == "\x01packet"
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
	late, err := extend.Endpoint(ep, extend.Extension{Protocols: map[string]extend.Protocol{"late/1": {Run: gossip}}})
	if err != nil {
		t.Fatal(err)
	}
	if raw, _, err := extend.Dial(within(t), ep, ep.Addr().String(), "late/1", nil); err != nil {
		t.Error(err)
	} else {
		raw.Close()
	}
	late()
	late()
	if raw, _, err := extend.Dial(within(t), ep, ep.Addr().String(), "late/1", nil); err == nil {
		t.Error("a protocol that was removed is still spoken")
		raw.Close()
	}
	if err := ep.Shutdown(within(t)); err != nil {
		t.Error(err)
	}
	drained.Wait()
	if err := <-served; err != nil {
		t.Error(err)
	}
	remove()
}

// A handler that ends its goroutine, as a test does that fails in it, leaves no
// caller waiting.
func TestHandlerThatEndsItsGoroutineFailsItsCall(t *testing.T) {
	t.Parallel()
	srv := echoServer(nil)
	srv.Handle("exit", func(context.Context, []byte) ([]byte, error) {
		runtime.Goexit()
		return nil, nil
	})
	srv.HandleStream("exit stream", func(context.Context, rpcnet.ServerStream) error {
		runtime.Goexit()
		return nil
	})
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	for range 10 {
		_, err := rpcnet.CallRaw(within(t), conn, "exit", nil)
		wantCode(t, err, rpcnet.CodeInternal)
		wantCode(t, open(t, within(t), conn, "exit stream").Recv(new([]byte)), rpcnet.CodeInternal)
		mustEcho(t, conn, nil)
	}
}

// The handler's view of a call stays readable after the call, and a context of
// it is a good context.
func TestServerCallOutlivesItsHandler(t *testing.T) {
	t.Parallel()
	type key struct{}
	kept := make(chan context.Context, 1)
	srv := rpcnet.NewServer(nil)
	srv.Handle("keep", func(ctx context.Context, in []byte) ([]byte, error) {
		child, cancel := context.WithCancel(context.WithValue(ctx, key{}, "v"))
		defer cancel()
		if rpcnet.ServerCallFrom(child) != rpcnet.ServerCallFrom(ctx) || child.Err() != nil {
			return nil, errors.New("a child context is another")
		}
		kept <- ctx
		return in, nil
	})
	conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
	ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{Header: rpcnet.Header{"k": {"v"}}})
	if _, err := rpcnet.CallRaw(ctx, conn, "keep", nil); err != nil {
		t.Fatal(err)
	}
	h := <-kept
	eventually(t, "the context ends with its call", func() bool { return h.Err() != nil })
	call := rpcnet.ServerCallFrom(h)
	if call.Header().Get("k") != "v" || call.Peer().ID != "localhost" || call.Spec().Procedure != "keep" {
		t.Errorf("%v, %+v", call.Header(), call.Peer())
	}
	if err := call.SetHeader("late", "x"); err == nil {
		t.Error("SetHeader works after the call")
	}
	call.SetTrailer("late", "x")
	if s := fmt.Sprint(h); !strings.Contains(s, "keep") || len(s) > 100 {
		t.Errorf("the context prints as %q", s)
	}
	if rpcnet.ServerCallFrom(context.Background()) != nil {
		t.Error("a handler's call outside a handler")
	}
}
