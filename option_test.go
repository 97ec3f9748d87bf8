package rpcnet_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/stub"
	"github.com/rpcnet-go/rpcnet/internal/credentials"
	"github.com/rpcnet-go/rpcnet/internal/item"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// optionTests has a test for each field of a config, which fails when the field
// is ignored.
var optionTests = map[string]func(*testing.T){
	"CallOptions.Header": func(t *testing.T) {
		srv := rpcnet.NewServer(nil)
		srv.Handle("h", func(ctx context.Context, _ []byte) ([]byte, error) {
			return []byte(rpcnet.ServerCallFrom(ctx).Header().Get("k")), nil
		})
		conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{Header: rpcnet.Header{"k": {"call"}}})
		for want, c := range map[string]struct {
			ctx context.Context
			tr  rpcnet.Transport
		}{
			"call":   {ctx, conn},
			"client": {within(t), rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{Header: rpcnet.Header{"k": {"client"}}}})},
			"":       {within(t), conn},
		} {
			if out, err := rpcnet.CallRaw(c.ctx, c.tr, "h", nil); err != nil || string(out) != want {
				t.Errorf("%q, %v, want %q", out, err, want)
			}
		}
	},
	"CallOptions.Priority": func(t *testing.T) {
		if got := facts(t, rpcnet.CallOptions{Priority: -7}); got.Priority() != -7 {
			t.Error(got.Priority())
		}
	},
	"CallOptions.Attempt": func(t *testing.T) {
		for n, want := range map[int]int{3: 3, 1000: 255, -1: 0} {
			if got := facts(t, rpcnet.CallOptions{Attempt: n}); got.Attempt() != want {
				t.Errorf("attempt %d arrives as %d", n, got.Attempt())
			}
		}
	},
	"CallOptions.Encoding": func(t *testing.T) {
		conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(nil), nil).Addr().String(), nil)
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{Encoding: "json"})
		_, err := rpcnet.CallRaw(ctx, conn, "echo", nil)
		wantCode(t, err, rpcnet.CodeUnimplemented)
	},
	"CallOptions.WaitForReady": func(t *testing.T) {
		p, conn := proxied(t, nil)
		p.Refuse(true)
		_, changed := conn.Ready()
		p.Cut()
		<-changed
		_, err := rpcnet.CallRaw(within(t), conn, "echo", nil)
		wantCode(t, err, rpcnet.CodeUnavailable)
		time.AfterFunc(20*time.Millisecond, func() { p.Refuse(false) })
		if _, err := rpcnet.CallRaw(within(t), rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{WaitForReady: true}}), "echo", nil); err != nil {
			t.Error(err)
		}
	},
	"ClientConfig.Call": func(t *testing.T) {
		got := chosen(t, t.Context(), rpcnet.CallOptions{Selector: "gpu=1"})
		if got.Selector != "gpu=1" {
			t.Errorf("%+v", got)
		}
	},
	"ClientConfig.Interceptors": func(t *testing.T) {
		conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(nil), nil).Addr().String(), nil)
		var order []string
		mark := func(name string) func(rpcnet.ClientFunc) rpcnet.ClientFunc {
			return func(next rpcnet.ClientFunc) rpcnet.ClientFunc {
				return func(ctx context.Context, spec *rpcnet.Spec) (rpcnet.ClientStream, error) {
					order = append(order, name)
					return next(ctx, spec)
				}
			}
		}
		c := rpcnet.NewClient(conn, &rpcnet.ClientConfig{Interceptors: []func(rpcnet.ClientFunc) rpcnet.ClientFunc{mark("a"), mark("b"), mark("c")}})
		mustEcho(t, c, nil)
		if got := strings.Join(order, ""); got != "abc" {
			t.Errorf("order %q", got)
		}
	},
	"ServerConfig.Interceptors": func(t *testing.T) {
		srv := echoServer(&rpcnet.ServerConfig{Interceptors: []func(rpcnet.ServerFunc) rpcnet.ServerFunc{func(next rpcnet.ServerFunc) rpcnet.ServerFunc {
			return func(context.Context, *rpcnet.Spec, rpcnet.ServerStream) error {
				return rpcnet.NewError(rpcnet.CodePermissionDenied, "no")
			}
		}}})
		conn := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
		_, err := rpcnet.CallRaw(within(t), conn, "echo", nil)
		wantCode(t, err, rpcnet.CodePermissionDenied)
	},
	"ServerConfig.ErrorText": func(t *testing.T) {
		for _, shown := range []bool{true, false} {
			srv := rpcnet.NewServer(&rpcnet.ServerConfig{ErrorText: shown})
			srv.Handle("fail", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("the text") })
			_, err := rpcnet.CallRaw(within(t), rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil), "fail", nil)
			wantCode(t, err, rpcnet.CodeUnknown)
			if strings.Contains(err.Error(), "the text") != shown {
				t.Errorf("shown %v: %v", shown, err)
			}
		}
	},
	"ServerConfig.NoDescribe": func(t *testing.T) {
		for _, no := range []bool{false, true} {
			conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(&rpcnet.ServerConfig{NoDescribe: no}), nil).Addr().String(), nil)
			_, err := rpcnet.CallRaw(within(t), conn, codegen.DescribeProcedure, nil)
			if no {
				wantCode(t, err, rpcnet.CodeUnimplemented)
			} else if err != nil {
				t.Error(err)
			}
		}
	},
	"ServerConfig.MaxMessageSize": func(t *testing.T) {
		small := rpctest.Dial(t, rpctest.Serve(t, echoServer(&rpcnet.ServerConfig{MaxMessageSize: 1000}), nil).Addr().String(), nil)
		_, err := rpcnet.CallRaw(within(t), small, "echo", make([]byte, 1001))
		wantCode(t, err, rpcnet.CodeResourceExhausted)
		mustEcho(t, small, make([]byte, 1000))
		large := rpctest.Dial(t, rpctest.Serve(t, echoServer(&rpcnet.ServerConfig{MaxMessageSize: -1}), nil).Addr().String(), nil)
		_, err = rpcnet.CallRaw(within(t), large, "echo", make([]byte, 4<<20+1))
		wantCode(t, err, rpcnet.CodeResourceExhausted) // the caller's default
		mustEcho(t, rpcnet.NewClient(large, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{MaxMessageSize: -1}}), make([]byte, 5<<20))
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{MaxMessageSize: 10})
		_, err = rpcnet.CallRaw(ctx, large, "echo", make([]byte, 11))
		wantCode(t, err, rpcnet.CodeResourceExhausted)
		// A procedure's own limit replaces the server's.
		srv := rpcnet.NewServer(&rpcnet.ServerConfig{MaxMessageSize: 10})
		srv.Register(&rpcnet.Spec{Procedure: "big", MaxMessageSize: 1000}, func(_ context.Context, _ *rpcnet.Spec, st rpcnet.ServerStream) error {
			var m []byte
			if err := st.Recv(&m); err != nil {
				return err
			}
			return st.Send(m)
		})
		own := rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil)
		if out, err := rpcnet.CallRaw(within(t), own, "big", make([]byte, 1000)); err != nil || len(out) != 1000 {
			t.Error(len(out), err)
		}
		_, err = rpcnet.CallRaw(within(t), own, "big", make([]byte, 1001))
		wantCode(t, err, rpcnet.CodeResourceExhausted)
	},
	"ServerConfig.DecodeLimits": func(t *testing.T) {
		deep := stub.StructMessage(
			func(b cbor.Buffer, n *int) (cbor.Buffer, error) {
				for range *n {
					b = b.AppendArray(1)
				}
				return b.AppendUint(1), nil
			},
			func(d *cbor.Decoder, n *int) {
				for d.Peek() == item.Array && d.Err() == nil {
					*n += d.Array()
				}
				d.Uint64()
				for range *n {
					d.Leave()
				}
			}, nil)
		spec := &rpcnet.Spec{Procedure: "deep", Request: deep, Response: deep}
		h := func(_ context.Context, _ *rpcnet.Spec, st rpcnet.ServerStream) error {
			var n int
			if err := st.Recv(&n); err != nil {
				return err
			}
			return st.Send(&n)
		}
		call := func(srv *rpcnet.Server, n int, l rpcnet.DecodeLimits) error {
			srv.Register(spec, h)
			c := client(rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil), &rpcnet.CallOptions{DecodeLimits: l})
			var out int
			err := c.Unary(within(t), spec, &n, &out)
			if err == nil && out != n {
				t.Errorf("%d levels came back as %d", n, out)
			}
			return err
		}
		if err := call(rpcnet.NewServer(nil), 50, rpcnet.DecodeLimits{}); err != nil {
			t.Error(err)
		}
		tight := rpcnet.DecodeLimits{Depth: 10}
		wantCode(t, call(rpcnet.NewServer(&rpcnet.ServerConfig{DecodeLimits: tight}), 50, rpcnet.DecodeLimits{}), rpcnet.CodeInvalidArgument)
		wantCode(t, call(rpcnet.NewServer(nil), 50, tight), rpcnet.CodeInternal)
	},
	"EndpointConfig.Authorize": func(t *testing.T) {
		ep := rpctest.Serve(t, echoServer(nil), &rpcnet.EndpointConfig{Authorize: func(p rpcnet.Peer) error {
			if p.ID == "spy" {
				return errors.New("no spies")
			}
			return nil
		}})
		if _, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t, "spy"), nil); err == nil {
			t.Error("a spy is in")
		}
	},
	"EndpointConfig.MaxConcurrentStreams": func(t *testing.T) {
		conn := rpctest.Dial(t, rpctest.Serve(t, echoServer(nil), &rpcnet.EndpointConfig{MaxConcurrentStreams: 2}).Addr().String(), nil)
		for range 2 {
			if err := open(t, within(t), conn, "talk").Send([]byte{}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(within(t), 20*time.Millisecond)
		defer cancel()
		_, err := rpcnet.CallRaw(ctx, conn, "echo", nil)
		wantCode(t, err, rpcnet.CodeDeadlineExceeded)
		go conn.NewStream(within(t), bidi("talk"))
		eventually(t, "the caller that waits is seen", func() bool { return conn.Stats().Queued == 1 })
		conn.Close()
	},
	"EndpointConfig.MemoryBudget": func(t *testing.T) {
		ep := rpctest.Serve(t, echoServer(&rpcnet.ServerConfig{MaxMessageSize: 16 << 20}), &rpcnet.EndpointConfig{MemoryBudget: 2 << 20})
		conn := rpctest.Dial(t, ep.Addr().String(), nil)
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{MaxMessageSize: 16 << 20})
		_, err := rpcnet.CallRaw(ctx, conn, "echo", make([]byte, 8<<20))
		wantCode(t, err, rpcnet.CodeResourceExhausted)
		if err == nil || !strings.Contains(err.Error(), "rpcnet.EndpointConfig.MemoryBudget") {
			t.Errorf("the error does not name the field: %v", err)
		}
		mustEcho(t, conn, make([]byte, 1<<20))
	},
	"EndpointConfig.PeerMemory, EndpointConfig.PeerSessions": func(t *testing.T) {
		ep := rpctest.Serve(t, echoServer(&rpcnet.ServerConfig{MaxMessageSize: 16 << 20}), &rpcnet.EndpointConfig{PeerMemory: 2 << 20, PeerSessions: 2})
		conn := rpctest.Dial(t, ep.Addr().String(), nil)
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{MaxMessageSize: 16 << 20})
		_, err := rpcnet.CallRaw(ctx, conn, "echo", make([]byte, 8<<20))
		wantCode(t, err, rpcnet.CodeResourceExhausted)
		if err == nil || !strings.Contains(err.Error(), "rpcnet.EndpointConfig.PeerMemory") {
			t.Errorf("the error does not name the field: %v", err)
		}
		mustEcho(t, conn, make([]byte, 1<<20))
		second := rpctest.Dial(t, ep.Addr().String(), nil)
		if _, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t), nil); err == nil || !strings.Contains(err.Error(), "2 sessions already: see rpcnet.EndpointConfig.PeerSessions") {
			t.Errorf("a third session: %v", err)
		}
		other, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t, "other", "127.0.0.1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		mustEcho(t, other, nil)
		second.Close()
		eventually(t, "the place of a session that ended is free", func() bool {
			c, err := rpcnet.Dial(within(t), ep.Addr().String(), rpctest.Credentials(t), nil)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	},
	"EndpointConfig.SessionsPastExpiry":  sessionsEndWithTheirCertificates,
	"EndpointConfig.DrainTimeout":        drainTimeoutBoundsServe,
	"EndpointConfig.ControlInterceptors": controlCallsAreSeen,
	"EndpointConfig.Roles":               rolesRefuseStrangers,
	"DialConfig.Target":                  sessionKnowsWhomItIsFor,
	"DialConfig.VerifyPeer":              dialVerifiesItsPeer,
	"DialConfig.ServerNames": func(t *testing.T) {
		ep, err := rpcnet.Listen("127.0.0.1:0", rpctest.Credentials(t, "other.example.org"), &rpcnet.EndpointConfig{Logger: rpctest.Logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer ep.Close()
		creds := rpctest.Credentials(t)
		if _, err := rpcnet.Dial(within(t), ep.Addr().String(), creds, nil); err == nil {
			t.Error("the name is not checked")
		}
		conn, err := rpcnet.Dial(within(t), ep.Addr().String(), creds, &rpcnet.DialConfig{ServerNames: []string{"other.example.org"}})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	},
	"DialConfig.Lazy": func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		creds := rpctest.Credentials(t)
		if _, err := rpcnet.Dial(within(t), addr, creds, nil); err == nil {
			t.Error("Dial without a server succeeds")
		}
		conn, err := rpcnet.Dial(within(t), addr, creds, &rpcnet.DialConfig{Lazy: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, err = rpcnet.CallRaw(within(t), conn, "echo", nil)
		wantCode(t, err, rpcnet.CodeUnavailable)
		ep, err := rpcnet.Listen(addr, creds, nil)
		if err != nil {
			t.Skipf("another program took the port meanwhile: %v", err)
		}
		defer ep.Close()
		go ep.Serve(context.Background(), echoServer(nil))
		mustEcho(t, rpcnet.NewClient(conn, &rpcnet.ClientConfig{Call: rpcnet.CallOptions{WaitForReady: true}}), nil)
	},
	"DialConfig.FailFast": func(t *testing.T) {
		conn, err := rpcnet.Dial(within(t), "127.0.0.1:1", rpctest.Credentials(t), &rpcnet.DialConfig{Lazy: true, FailFast: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, _ := rpcnet.NewCall(within(t), rpcnet.CallOptions{WaitForReady: true})
		_, err = rpcnet.CallRaw(ctx, conn, "echo", nil)
		wantCode(t, err, rpcnet.CodeUnavailable)
	},
	"EndpointConfig.KeepaliveIdle, EndpointConfig.KeepaliveTimeout, DialConfig.KeepaliveIdle, DialConfig.KeepaliveTimeout": func(t *testing.T) {
		p, conn := proxied(t, &rpcnet.DialConfig{KeepaliveIdle: 20 * time.Millisecond, KeepaliveTimeout: 100 * time.Millisecond})
		_, changed := conn.Ready()
		p.Stall()
		select {
		case <-changed:
		case <-time.After(9 * time.Second): // the default is 10 s
			t.Error("a dial's keepalive is ignored")
		}
		p.Resume()
		srv := echoServer(nil)
		entered, _ := held(srv)
		ep := rpctest.Serve(t, srv, &rpcnet.EndpointConfig{KeepaliveIdle: 20 * time.Millisecond, KeepaliveTimeout: 100 * time.Millisecond})
		q := rpctest.NewProxy(t, ep.Addr().String())
		quiet := rpctest.Dial(t, q.Addr(), &rpcnet.DialConfig{KeepaliveIdle: -1, KeepaliveTimeout: 0})
		go rpcnet.CallRaw(within(t), quiet, "hold", nil)
		ctx := <-entered
		q.Stall()
		select {
		case <-ctx.Done():
		case <-time.After(9 * time.Second):
			t.Error("an endpoint's keepalive is ignored")
		}
		quiet.Close()
	},
	"EndpointConfig.WriteTimeout, DialConfig.WriteTimeout": func(t *testing.T) {
		// The server floods a caller that stops reading: only the time-out ends it.
		srv := rpcnet.NewServer(nil)
		ended := make(chan error, 1)
		srv.HandleStream("flood", func(_ context.Context, st rpcnet.ServerStream) error {
			var err error
			for err == nil {
				err = st.Send(make([]byte, 100_000))
			}
			ended <- err
			return err
		})
		node := newParty(t, testkit.NewCA(t), credentials.Leaf{})
		ep, err := rpcnet.Listen("127.0.0.1:0", node.creds, &rpcnet.EndpointConfig{WriteTimeout: 200 * time.Millisecond, KeepaliveIdle: -1, KeepaliveTimeout: 0})
		if err != nil {
			t.Fatal(err)
		}
		defer ep.Close()
		serving(ep, srv)
		c, err := dialTLS(t, ep.Addr().String(), node.source.ClientConfig("127.0.0.1", []string{"rpcnet/1"}))
		if err != nil {
			t.Fatal(err)
		}
		c.NetConn().(*net.TCPConn).SetReadBuffer(4096)
		c.Write(greeting(1 << 30))
		c.Write(openFrame(1, true, "flood"))
		select {
		case <-ended:
		case <-time.After(9 * time.Second): // the default is 10 s
			t.Error("an endpoint's write time-out is ignored")
		}
		// And a caller a server that does.
		conn, err := rpcnet.Dial(within(t), serveByHand(t, node, 1<<30, nil), node.creds,
			&rpcnet.DialConfig{WriteTimeout: 200 * time.Millisecond, KeepaliveIdle: -1, KeepaliveTimeout: 0})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			st, err := conn.NewStream(within(t), bidi("sink"))
			for err == nil {
				err = st.Send(make([]byte, 100_000))
			}
			ended <- err
		}()
		select {
		case err := <-ended:
			wantCode(t, err, rpcnet.CodeUnavailable)
		case <-time.After(9 * time.Second):
			t.Error("a dial's write time-out is ignored")
		}
	},
	"EndpointConfig.Logger, ServerConfig.Logger, DialConfig.Logger": func(t *testing.T) {
		var endpoint, server, dial testkit.Log
		srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: server.Logger()})
		srv.Handle("panic", func(context.Context, []byte) ([]byte, error) { panic("for the log") })
		ep := rpctest.Serve(t, srv, &rpcnet.EndpointConfig{Logger: endpoint.Logger()})
		all := slog.New(slog.NewTextHandler(&dial, &slog.HandlerOptions{Level: slog.LevelDebug}))
		p := rpctest.NewProxy(t, ep.Addr().String())
		conn := rpctest.Dial(t, p.Addr(), &rpcnet.DialConfig{Logger: all})
		rpcnet.CallRaw(within(t), conn, "panic", nil)
		if s := server.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "for the log") || !strings.Contains(s, "option_test.go") {
			t.Errorf("want one line with the panic and its stack, got %q", s)
		}
		c, err := net.Dial("tcp", ep.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "nonsense nonsense nonsense")
		eventually(t, "the endpoint logs a refusal", func() bool { return strings.Contains(endpoint.String(), "refused") })
		if strings.Contains(endpoint.String(), "for the log") {
			t.Error("the server's line is in the endpoint's log")
		}
		p.Cut()
		eventually(t, "the dial logs a loss", func() bool { return strings.Contains(dial.String(), "connection lost") })
	},
}

func drainTimeoutBoundsServe(t *testing.T) {
	ep := rpctest.Listen(t, &rpcnet.EndpointConfig{DrainTimeout: time.Millisecond})
	srv := echoServer(nil)
	entered, _ := held(srv)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- ep.Serve(ctx, srv) }()
	c := rpcnet.NewClient(rpctest.Dial(t, ep.Addr().String(), nil), &rpcnet.ClientConfig{Call: rpcnet.CallOptions{WaitForReady: true}})
	go rpcnet.CallRaw(within(t), c, "hold", nil)
	<-entered
	cancel()
	if err := <-served; !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// facts returns what a handler sees of a call with options.
func facts(t *testing.T, opts rpcnet.CallOptions) *rpcnet.ServerCall {
	t.Helper()
	seen := make(chan *rpcnet.ServerCall, 1)
	srv := rpcnet.NewServer(nil)
	srv.Handle("facts", func(ctx context.Context, _ []byte) ([]byte, error) {
		seen <- rpcnet.ServerCallFrom(ctx)
		return nil, nil
	})
	ctx, _ := rpcnet.NewCall(within(t), opts)
	if _, err := rpcnet.CallRaw(ctx, rpctest.Dial(t, rpctest.Serve(t, srv, nil).Addr().String(), nil), "facts", nil); err != nil {
		t.Fatal(err)
	}
	return <-seen
}

func TestOptionsAreNotIgnored(t *testing.T) {
	t.Parallel()
	for name, f := range optionTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t)
		})
	}
}

// Every field of a config is in optionTests, and nothing else.
func TestEveryOptionHasATest(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, config := range []reflect.Type{
		reflect.TypeFor[rpcnet.ClientConfig](), reflect.TypeFor[rpcnet.ServerConfig](), reflect.TypeFor[rpcnet.EndpointConfig](), reflect.TypeFor[rpcnet.DialConfig](),
	} {
		for i := range config.NumField() {
			found[config.Name()+"."+config.Field(i).Name] = true
		}
	}
	tested := map[string]bool{}
	for names := range optionTests {
		for _, name := range strings.Split(names, ", ") {
			tested[name] = true
		}
	}
	for name := range found {
		if !tested[name] {
			t.Errorf("%s has no test in optionTests", name)
		}
	}
	for name := range tested {
		if !found[name] && !strings.HasPrefix(name, "CallOptions.") { // those have TestCallOptionsNest
			t.Errorf("optionTests tests %s, which does not exist", name)
		}
	}
}

// Options that make no sense mean their defaults.
func TestNonsensicalOptionsMeanDefaults(t *testing.T) {
	t.Parallel()
	ep := rpctest.Serve(t, echoServer(&rpcnet.ServerConfig{Logger: nil}), &rpcnet.EndpointConfig{MaxConcurrentStreams: -1, MemoryBudget: -1, WriteTimeout: -1, KeepaliveIdle: 0, KeepaliveTimeout: -1, DrainTimeout: -1, Authorize: nil, Logger: nil})
	conn := rpctest.Dial(t, ep.Addr().String(), &rpcnet.DialConfig{WriteTimeout: -1, KeepaliveIdle: 0, KeepaliveTimeout: -1, Logger: nil})
	mustEcho(t, conn, make([]byte, 1<<20))
	// The loggers that are not there are asked for.
	near, err := ep.Dial(within(t), ep.Addr().String(), &rpcnet.DialConfig{Logger: nil})
	if err != nil {
		t.Fatal(err)
	}
	mustEcho(t, near, nil)
	stranger, err := net.Dial("tcp", ep.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	io.WriteString(stranger, "nonsense nonsense nonsense")
	stranger.SetDeadline(time.Now().Add(patience))
	io.Copy(io.Discard, stranger)
	ep.Close()
	_, err = rpcnet.CallRaw(within(t), conn, "echo", nil)
	wantCode(t, err, rpcnet.CodeUnavailable)
}
