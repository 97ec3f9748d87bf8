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
//
// Everything is closed by the Cleanup of the test that made it, in the reverse of
// the order in which it was made: connections end before the servers behind them.
// A helper that fails ends the test with Fatal. So call the helpers from the
// goroutine that runs the test.
package rpctest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// authority makes the one CA of a test binary. All tests share it, since a
// certificate is accepted only where its authority is known.
var authority = sync.OnceValues(NewDevCA)

// Credentials returns credentials for hosts, by default those of the loopback
// interface. All credentials of one test binary are signed by the same
// authority, made at the first call. Each call makes a new key. Limits for each
// peer count by the name in the certificate, not by the key. So give hosts if a
// test needs several peers. It is safe for concurrent use.
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
	var cfg rpcnet.EndpointConfig // a copy: the caller's config is not changed
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

// Serve returns an endpoint as [Listen] does, and serves srv on it until the
// endpoint is closed. It returns when the endpoint takes calls. One goroutine
// serves; the test does not end before it. An error of Endpoint.Serve fails the
// test.
func Serve(tb testing.TB, srv *rpcnet.Server, config *rpcnet.EndpointConfig) *rpcnet.Endpoint {
	tb.Helper()
	ep := Listen(tb, config)
	// The channel has room for the result, so that the goroutine ends even if the
	// test fails before the cleanup below is registered.
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

// waitServing returns when the endpoint no longer refuses calls as too early, or
// after 10 s. An endpoint listens before Serve has given it a server. A call then
// waits a second for one, and fails with CodeUnavailable if none comes. With a server,
// the call of a procedure that does not exist has another code.
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
// the test ends. The config is treated as that of [Listen]. The test fails if there
// is no connection after 20 s, which is also enough on a machine that is busy.
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

// Logger returns a logger that writes to the test's output until the test ends,
// from level Debug on. It drops later lines. It is safe for concurrent use.
func Logger(tb testing.TB) *slog.Logger {
	w := &output{tb: tb}
	tb.Cleanup(w.close)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// output is a test's output. Package testing panics if a test that has ended is
// written to, and goroutines of an endpoint can log until the last of them ends.
type output struct {
	mu sync.Mutex // held while writing, so that close waits for a write
	tb testing.TB // nil when the test has ended
}

// Write writes one line, without its line break: Logf adds one. It never fails,
// because a logger has no use for the error.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tb != nil {
		o.tb.Logf("%s", p[:max(len(p)-1, 0)])
	}
	return len(p), nil
}

// close drops all that is written from now on.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tb = nil
}
