package rpcnet

import (
	"context"
	"log/slog"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/tlsconn"
)

// InProcess connects to a server in the same process, without a network: for
// tests, and for programs that are a client and a server in one. Calls behave as
// they do between machines, because it is the same protocol over a pipe: messages
// are encoded and copied, limits, deadlines, cancellation and flow control hold.
//
// There are no certificates: [ServerCall.Peer] is empty, and roles are not asked
// for. There is no drain and no connection to lose, either: [ServerCall.Draining]
// is never closed, and what was closed stays so, also for calls with
// [CallOptions].WaitForReady. The connection must be closed, which fails the calls in
// flight. It works inside a testing/synctest bubble.
func InProcess(srv *Server) *Conn {
	near, far := tlsconn.Pipe()
	pool, lines := new(session.Pool), loglimit.New(slog.Default())
	d := &dispatcher{host: new(host), lines: lines, find: srv.lookup, outer: func(*entry) ServerFunc { return nil }}
	served := make(chan *session.Session)
	go func() {
		cfg := session.Config{Handler: d, Pool: pool, KeepaliveIdle: -1, Encodings: 1<<codegen.EncodingCBOR | 1<<codegen.EncodingJSON | 1<<codegen.EncodingProto}
		// A pipe inside the process does not fail.
		s, _ := session.New(far, cfg, settingsTimeout, func(s *session.Session) { d.host.draining = s.Drained() })
		served <- s
	}()
	client, _ := session.New(near, session.Config{KeepaliveIdle: -1}, settingsTimeout, nil)
	server := <-served
	c := &Conn{addr: "in process", cfg: DialConfig{Logger: slog.Default()}, changed: make(chan struct{}), done: make(chan struct{})}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.current.Store(&connected{Session: client})
	go func() {
		defer close(c.done)
		<-c.ctx.Done()
		c.set(nil, errConnClosed)
		client.Close()
		server.Close()
		pool.Close()
		lines.Close()
	}()
	return c
}
