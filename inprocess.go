package rpcnet

import (
	"context"
	"log/slog"

	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/link"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/session"
)

func init() {
	hook.Connect = func(server any) (any, func()) {
		p := newInProcess(server.(*Server))
		return p, p.close
	}
}

// An inProcess is a session with a server over a pipe, behind package inproc.
type inProcess struct {
	*Conn
	server *session.Session
	pool   *session.Pool
	lines  *loglimit.Limiter
}

// newInProcess runs the session protocol over a pipe: the same code as between
// machines, without sockets and TLS.
func newInProcess(srv *Server) *inProcess {
	near, far := link.Pipe()
	p := &inProcess{pool: &session.Pool{}, lines: loglimit.New(slog.Default())}
	d := &dispatcher{host: new(host), lines: p.lines, find: srv.lookup, outer: func(*entry) ServerFunc { return nil }}
	served := make(chan struct{})
	go func() {
		defer close(served)
		cfg := session.Config{Handler: d, Pool: p.pool, KeepaliveIdle: -1, Encodings: 1<<CBOR | 1<<JSON | 1<<Proto}
		// A pipe inside the process does not fail.
		p.server, _ = session.New(far, cfg, settingsTimeout, func(s *session.Session) { d.host.draining = s.Drained() })
	}()
	s, _ := session.New(near, session.Config{KeepaliveIdle: -1}, settingsTimeout, nil)
	<-served
	c := &Conn{addr: "inproc", cfg: dialConfig{logger: slog.Default()}, changed: make(chan struct{}), done: make(chan struct{})}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.current.Store(&connected{Session: s})
	close(c.done)
	p.Conn = c
	return p
}

func (p *inProcess) close() {
	p.stop()
	if s := p.current.Load(); s != nil {
		p.set(nil, errConnClosed)
		s.Close()
	}
	p.server.Close()
	p.pool.Close()
	p.lines.Close()
}
