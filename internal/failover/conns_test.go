package failover_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/failover"
	"github.com/rpcnet-go/rpcnet/internal/testkit"
	"github.com/rpcnet-go/rpcnet/rpctest"
)

// pool returns connections that credentials of the test dial, and the last one
// dialled.
func pool(t *testing.T) (*failover.Conns, *atomic.Pointer[rpcnet.Conn]) {
	var last atomic.Pointer[rpcnet.Conn]
	creds := rpctest.Credentials(t)
	conns := failover.NewConns(5*time.Second, func(ctx context.Context, key failover.Worker) (*rpcnet.Conn, error) {
		conn, err := rpcnet.Dial(ctx, key.Addr, creds, &rpcnet.DialConfig{FailFast: true, Logger: rpctest.Logger(t)})
		if err == nil {
			last.Store(conn)
		}
		return conn, err
	})
	t.Cleanup(conns.Close)
	return conns, &last
}

func echo() *rpcnet.Server {
	srv := rpcnet.NewServer(nil)
	srv.Handle("echo", testkit.Echo)
	return srv
}

func call(t *testing.T, conns *failover.Conns, key failover.Worker) error {
	var l failover.Lease
	conn, err := l.Take(t.Context(), conns, key, true)
	if err == nil {
		_, err = rpcnet.CallRaw(t.Context(), conn, "echo", nil)
	}
	l.Return(err != nil)
	return err
}

// A connection that was lost dials again with pauses of its own; a call does not
// wait for that.
func TestCallAfterAnOutageFindsAConnection(t *testing.T) {
	t.Parallel()
	conns, last := pool(t)
	proxy := rpctest.NewProxy(t, rpctest.Serve(t, echo(), nil).Addr().String())
	key := failover.Worker{Target: rpcnet.Target{Boot: "boot"}, Addr: proxy.Addr()}
	if err := call(t, conns, key); err != nil {
		t.Fatal(err)
	}
	old := last.Load()
	// The outage: it passes while no call is made.
	proxy.Refuse(true)
	proxy.Cut()
	for {
		ready, changed := old.Ready()
		if !ready {
			break
		}
		<-changed
	}
	proxy.Refuse(false)
	// Whether the old connection is back already or not, a call finds one.
	if err := call(t, conns, key); err != nil {
		t.Fatal(err)
	}
}

func TestConnectionThatTakesNoCallsIsReplacedAndClosed(t *testing.T) {
	t.Parallel()
	conns, last := pool(t)
	key := failover.Worker{Target: rpcnet.Target{Boot: "boot"}, Addr: rpctest.Serve(t, echo(), nil).Addr().String()}
	for range 3 {
		if err := call(t, conns, key); err != nil {
			t.Fatal(err)
		}
		last.Load().Close()
	}
	// One that is in use is left to the call that uses it.
	var l failover.Lease
	conn, err := l.Take(t.Context(), conns, key, true)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := call(t, conns, key); err != nil {
		t.Error(err)
	}
	l.Return(true)
	if err := call(t, conns, key); err != nil {
		t.Error(err)
	}
}

func TestCallsThatAskAtTheSameTimeShareAProbe(t *testing.T) {
	t.Parallel()
	var probes atomic.Int32
	release := make(chan struct{})
	srv := rpcnet.NewServer(nil)
	srv.Register(&rpcnet.Spec{Procedure: failover.ProbeSpec.Procedure}, func(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream) error {
		probes.Add(1)
		<-release
		return failover.ServeProbe(ctx, spec, s)
	})
	conns, _ := pool(t)
	key := failover.Worker{Addr: rpctest.Serve(t, srv, nil).Addr().String()}
	var l failover.Lease
	if _, err := l.Take(t.Context(), conns, key, true); err != nil {
		t.Fatal(err)
	}
	defer l.Return(false)
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() { errs <- l.Probe(t.Context()) }()
	}
	for range cap(errs) {
		if err := <-errs; err == nil {
			t.Error("a worker that does not answer lives")
		}
	}
	if n := probes.Load(); n > 5 {
		t.Errorf("%d probes", n)
	}
	close(release)
	for l.Probe(t.Context()) != nil && t.Context().Err() == nil {
	}
}
