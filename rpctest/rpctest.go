// Package rpctest helps to test programs that use rpcnet. It has servers on the
// loopback interface with certificates of an authority of their own, connections
// to them that end with the test, and a [Proxy] that delays, stalls and cuts what
// passes between the two.
//
//	srv := rpcnet.NewServer(nil)
//	inference.RegisterInference(srv, model)
//	ep := rpctest.Serve(t, srv, nil)
//	conn := rpctest.Dial(t, ep.Addr().String(), nil)
//
// Tests that need no network are faster with [rpcnet.InProcess], and can run in a
// testing/synctest bubble.
package rpctest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// authority makes the one CA of a test binary.
var authority = sync.OnceValues(NewDevCA)

// Credentials returns credentials for hosts, by default those of the loopback
// interface. All credentials of one test binary are signed by the same
// authority, made at the first call.
func Credentials(tb testing.TB, hosts ...string) rpcnet.Credentials {
	tb.Helper()
	ca, err := authority()
	if err != nil {
		tb.Fatal(err)
	}
	creds, err := ca.Credentials(hosts...)
	if err != nil {
		tb.Fatal(err)
	}
	return creds
}

// loopback are the credentials of [Listen] and [Dial], made once: keys cost
// time.
var loopback = sync.OnceValues(func() (rpcnet.Credentials, error) {
	ca, err := authority()
	if err != nil {
		return rpcnet.Credentials{}, err
	}
	return ca.Credentials()
})

// Listen returns an endpoint on a free port of the loopback interface, with
// [Credentials], that logs to the test's output and is closed when the test
// ends. A nil config means every default; a Logger in it is used in place of the
// test's.
func Listen(tb testing.TB, config *rpcnet.EndpointConfig) *rpcnet.Endpoint {
	tb.Helper()
	creds, err := loopback()
	if err != nil {
		tb.Fatal(err)
	}
	var cfg rpcnet.EndpointConfig
	if config != nil {
		cfg = *config
	}
	if cfg.Logger == nil {
		cfg.Logger = Logger(tb)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ep.Close() })
	return ep
}

// Serve is [Listen], and serves srv until the endpoint is closed.
func Serve(tb testing.TB, srv *rpcnet.Server, config *rpcnet.EndpointConfig) *rpcnet.Endpoint {
	tb.Helper()
	ep := Listen(tb, config)
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background(), srv) }()
	tb.Cleanup(func() {
		ep.Close()
		if err := <-served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	waitServing(tb, ep)
	return ep
}

// waitServing returns when the endpoint no longer refuses calls as too early.
func waitServing(tb testing.TB, ep *rpcnet.Endpoint) {
	tb.Helper()
	conn := Dial(tb, ep.Addr().String(), nil)
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		_, err := rpcnet.CallRaw(ctx, conn, "rpctest: is there a server", nil)
		if rpcnet.CodeOf(err) != rpcnet.CodeUnavailable {
			return
		}
	}
}

// Dial returns a connection to addr with [Credentials], which is closed when
// the test ends. The config is treated as that of [Listen].
func Dial(tb testing.TB, addr string, config *rpcnet.DialConfig) *rpcnet.Conn {
	tb.Helper()
	creds, err := loopback()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var cfg rpcnet.DialConfig
	if config != nil {
		cfg = *config
	}
	if cfg.Logger == nil {
		cfg.Logger = Logger(tb)
	}
	conn, err := rpcnet.Dial(ctx, addr, creds, &cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// Logger returns a logger that writes to the test's output until the test ends.
func Logger(tb testing.TB) *slog.Logger {
	w := &output{tb: tb}
	tb.Cleanup(w.close)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// output is a test's output; a test that has ended may not be written to.
type output struct {
	mu sync.Mutex
	tb testing.TB // nil when the test has ended
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tb != nil {
		o.tb.Logf("%s", p[:max(len(p)-1, 0)])
	}
	return len(p), nil
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tb = nil
}
