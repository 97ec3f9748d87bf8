package rpcnet

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/session"
)

// life is how an endpoint ends.
//
//	open --Shutdown--> draining --all calls ended, or ctx--> closing --> gone
//	  \------------------------Close------------------------/
//
// While it drains, the sessions that there are finish their calls, and others are
// refused. When it closes, everything that is left is cut, and what the endpoint
// started is waited for: the accept loop, handshakes, connections dialled from here.
// Handlers are not. A state is never left for an earlier one.
type life struct {
	base     context.Context // of handshakes
	stop     context.CancelFunc
	work     sync.WaitGroup // the accept loop and handshakes
	serving  chan struct{}  // closed when Serve begins
	draining chan struct{}  // closed when the endpoint begins to drain
	gone     chan struct{}  // closed when all has ended
	err      error          // what Shutdown returns; immutable once gone is closed

	mu      sync.Mutex // guards what follows, and err until gone is closed
	drains  bool
	closing bool
}

// init makes the channels and the context.
func (l *life) init() {
	l.serving, l.draining, l.gone = make(chan struct{}), make(chan struct{}), make(chan struct{})
	l.base, l.stop = context.WithCancel(context.Background())
}

// drain notes that the endpoint drains. It returns false if it does already, or is
// closed.
func (l *life) drain() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drains || l.closing {
		return false
	}
	l.drains = true
	close(l.draining)
	return true
}

// close notes that the endpoint closes, after a Shutdown that ended with err. It
// returns false if it does already.
func (l *life) close(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	l.closing, l.err = true, err
	return true
}

// Shutdown drains the endpoint: extensions first (a cluster node leaves), then
// callers are sent elsewhere, new calls are refused as not seen by a
// handler, handlers hear it through [ServerCall.Draining], and those that run
// may finish. When ctx ends first, what is left is cut: the handlers' contexts
// end with cause [ErrDraining], their callers have half a second to hear of it,
// and ctx's error is returned. Then it closes the endpoint. Handlers that ignore
// their context are not waited for.
//
// While one Shutdown is under way, another waits for it and returns what it
// does, or ctx's error if ctx ends first; it cuts nothing. After Close, Shutdown
// does nothing.
func (ep *Endpoint) Shutdown(ctx context.Context) error {
	if !ep.life.drain() {
		select {
		case <-ep.life.gone:
		case <-ctx.Done():
			select {
			case <-ep.life.gone:
			default:
				return ctx.Err()
			}
		}
		return ep.life.err
	}
	// Sessions that have begun by now drain with the others.
	ep.callers.refuse()
	extensions := ep.extensions.all()
	for _, x := range extensions {
		if x.Drain != nil {
			ep.drain(ctx, x.Drain)
		}
	}
	ep.listener.Close()
	ep.awaitStarting(ctx)
	var wg sync.WaitGroup
	var cut atomic.Bool
	for _, s := range ep.callers.all() {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if !drainSession(ctx, s) {
				cut.Store(true)
			}
		}()
	}
	for _, x := range extensions {
		if x.Idle != nil {
			wg.Go(func() { x.Idle(ctx) })
		}
	}
	wg.Wait()
	var err error
	if cut.Load() {
		err = ctx.Err()
	}
	ep.close(err)
	return err
}

// drain runs an extension's Drain function, and waits for it no longer than ctx
// and a moment to notice that ctx has ended.
func (ep *Endpoint) drain(ctx context.Context, f func(context.Context)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		ep.await(done, "an extension's Drain function ignores its context")
	}
}

// awaitStarting waits for the sessions that are about to start, so that they
// drain as the others do. It waits at most lingerTimeout for a peer that is slow. Its
// goroutine ends with the last of them, which the handshake's own limit bounds.
func (ep *Endpoint) awaitStarting(ctx context.Context) {
	started := make(chan struct{})
	go func() {
		ep.callers.starting.Wait()
		close(started)
	}()
	limit := time.NewTimer(lingerTimeout)
	defer limit.Stop()
	select {
	case <-started:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// How long a session waits for its peer to close, so that the last answers are
// not lost to a reset: one that has drained, while the context of Shutdown
// lasts, and one that was refused or cut.
const (
	drainedLinger = 2 * time.Second
	lingerTimeout = 500 * time.Millisecond
)

// drainSession lets a session's calls finish, and cuts those that run when ctx ends:
// their handlers' contexts end with ErrDraining, and their callers get
// CodeUnavailable. It reports whether all calls of a session have finished.
func drainSession(ctx context.Context, s *session.Session) (clean bool) {
	defer s.Close()
	idle := s.Drain()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	// If both came at once, select may have taken either: what counts is whether the calls
	// are done.
	select {
	case <-idle:
		linger(s, drainedLinger, ctx.Done())
		return true
	default:
		s.CutAll(byte(CodeUnavailable), "the server has shut down", ErrDraining)
		linger(s, lingerTimeout, nil)
		return false
	}
}

// linger waits for the peer to close, for d at most and until done is closed.
func linger(s *session.Session, d time.Duration, done <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.Closed():
	case <-t.C:
	case <-done:
	}
}

// Close cuts everything at once: sessions, connections dialled from here,
// extensions' packets. It waits for its goroutines, not for handlers; for
// functions of the program and of extensions that do not return it waits 3 s
// each, and says so in the log. It is idempotent and always returns nil.
func (ep *Endpoint) Close() error {
	ep.close(nil)
	return nil
}

// close is Close after a Shutdown that ended with err. The first call does the work.
// Others wait for it: the endpoint is closed when any of them returns.
func (ep *Endpoint) close(err error) {
	if !ep.life.close(err) {
		<-ep.life.gone
		return
	}
	extensions := ep.extensions.close()
	conns := ep.dialled.close()
	// First what lets more come: handshakes, the listener, the socket.
	ep.life.stop()
	ep.listener.Close()
	ep.udp.Close()
	ep.arrivals.close()
	for _, x := range extensions {
		if x.Close != nil {
			x.Close()
		}
	}
	for _, c := range conns {
		c.Close()
	}
	for _, s := range ep.callers.close() {
		s.Close()
	}
	ep.await(ep.packets, "an extension's Packet function has not returned")
	handshakes := make(chan struct{})
	go func() {
		ep.life.work.Wait()
		close(handshakes)
	}()
	ep.await(handshakes, "a check of callers (rpcnet.EndpointConfig.Authorize, .Roles) has not returned")
	// These serve what has ended above, and so come last: goroutines for calls, the
	// watch on certificate files, and the log lines that were kept back.
	ep.pool.Close()
	ep.source.Close()
	ep.lines.Close()
	close(ep.life.gone)
}

// closeWait is how long Close waits for functions of the program and of
// extensions that it cannot interrupt.
const closeWait = 3 * time.Second

// await waits for done, but not for ever: what it waits for may hang.
func (ep *Endpoint) await(done <-chan struct{}, hangs string) {
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		ep.cfg.Logger.Error("the endpoint closes without waiting any longer", "because", hangs, "waited", closeWait)
	}
}
