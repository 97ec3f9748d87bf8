package failover

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/internal/extend"
)

// Conns are connections to workers, made on demand and shared by all calls. It
// is safe for concurrent use.
//
// A connection is made when a call first needs it, or by Warm. It leaves the pool
// when it was lost, when its worker is gone, or after a minute without calls. One
// that has left is closed when the last call on it ends, so that calls in flight are
// not cut off. The next call to that worker dials anew.
type Conns struct {
	dial func(ctx context.Context, to Worker) (*rpcnet.Conn, error)
	ctx  context.Context // of dials and probes; ends with Close
	stop context.CancelFunc
	work sync.WaitGroup // dials, probes and what closes connections

	// mu guards conns and all that is pooled. Nothing blocks while it is held.
	mu    sync.Mutex
	conns map[Worker]*pooled
}

// DialConfig returns chosen, which a user has given for connections to workers,
// with ServerNames, VerifyPeer, Target and Logger from own where it has none. Calls
// fail fast: they go to another worker.
func DialConfig(chosen, own rpcnet.DialConfig) *rpcnet.DialConfig {
	if len(chosen.ServerNames) == 0 {
		chosen.ServerNames = own.ServerNames
	}
	if chosen.VerifyPeer == nil {
		chosen.VerifyPeer = own.VerifyPeer
	}
	if chosen.Target == (rpcnet.Target{}) {
		chosen.Target = own.Target
	}
	if chosen.Logger == nil {
		chosen.Logger = own.Logger
	}
	chosen.Lazy = chosen.Lazy || own.Lazy
	chosen.FailFast = true
	return &chosen
}

// pooled is a connection that is there or being made. It goes through these states:
//
//	being made   done is open; calls wait on it
//	in use       done is closed, refs > 0
//	idle         done is closed, refs = 0; reap closes it after idleAfter
//	gone         out of the pool; closed by discard's caller, or by the last Return
type pooled struct {
	to Worker
	// done is closed when conn or err is set. After that they do not change, and can be
	// read without mu.
	done chan struct{}
	conn *rpcnet.Conn
	err  error
	// gone says that it is not in the pool any more.
	gone bool
	// refs counts the calls that use it, or wait for it.
	refs int
	// used is when the last call on it has ended, or it was last warmed.
	used time.Time
	// probe is the one under way, nil if there is none.
	probe *probe
}

// ready reports whether p takes calls, or is not made yet. A connection that is down
// would make calls wait for its next dial.
func (p *pooled) ready() bool {
	if p.conn == nil {
		return true
	}
	return extend.Connected(p.conn)
}

// A probe is a question whether a worker lives, shared by all calls that ask.
type probe struct {
	done chan struct{} // closed when err is set
	err  error
}

// idleAfter is how long a connection without calls is kept. It spares a caller that
// comes back after a short pause the handshake.
const idleAfter = time.Minute

// NewConns returns no connections yet. dial is given timeout for each.
func NewConns(timeout time.Duration, dial func(ctx context.Context, to Worker) (*rpcnet.Conn, error)) *Conns {
	c := &Conns{conns: map[Worker]*pooled{}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.dial = func(ctx context.Context, to Worker) (*rpcnet.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return dial(ctx, to)
	}
	return c
}

// A Lease is one call's use of a connection: the connection is not closed
// while the call runs, unless its worker is gone. The zero value is ready. mu guards
// p, because a watchdog asks with Probe while the call ends with Return.
type Lease struct {
	conns *Conns

	mu sync.Mutex
	p  *pooled
}

// slowDial is how long a call waits for a connection before another worker is
// tried. The dial goes on.
const slowDial = 400 * time.Millisecond

// Take returns the connection to a worker. Concurrent first calls share one
// dial, which goes on when the caller that began it gives up. A call waits
// longer than slowDial with waitInQueue: it has no other worker to try.
func (l *Lease) Take(ctx context.Context, c *Conns, to Worker, waitInQueue bool) (*rpcnet.Conn, error) {
	c.mu.Lock()
	if c.ctx.Err() != nil {
		c.mu.Unlock()
		return nil, errConnsClosed
	}
	p := c.pooled(to)
	p.refs++ // from here on p is not closed, even if its dial fails the call
	c.mu.Unlock()
	l.mu.Lock()
	l.conns, l.p = c, p
	l.mu.Unlock()
	select {
	case <-p.done: // nearly always; it costs no timer
		return p.conn, p.err
	default:
	}
	// Another worker is tried while this one connects. If it was frozen, or its network
	// is slow, the connection is there for a later call.
	var slow <-chan time.Time
	if !waitInQueue {
		t := time.NewTimer(slowDial)
		defer t.Stop()
		slow = t.C
	}
	select {
	case <-p.done:
		return p.conn, p.err
	case <-slow:
		return nil, rpcnet.Errorf(rpcnet.CodeUnavailable, "%s has not accepted a connection for %v", to.Addr, slowDial).
			WithCause(errSlow).WithUnprocessed()
	case <-ctx.Done():
		return nil, rpcnet.NewError(rpcnet.CodeOf(ctx.Err()), "connecting to "+to.Addr+": "+ctx.Err().Error()).
			WithCause(ctx.Err()).WithUnprocessed()
	}
}

// Probe asks the worker whether it lives. Calls that ask at the same time share
// one answer, or the lack of it within probeTimeout.
func (l *Lease) Probe(ctx context.Context) error {
	l.mu.Lock()
	c, p := l.conns, l.p
	l.mu.Unlock()
	if p == nil {
		return errConnsClosed
	}
	// A worker that cannot be dialled does not live, as far as this call can know.
	select {
	case <-p.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.err != nil {
		return p.err
	}
	q := c.probe(p)
	if q == nil {
		return errConnsClosed
	}
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// probe returns the probe of p that is under way, a new one if there is none, nil
// if c is closed.
func (c *Conns) probe(p *pooled) *probe {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.probe == nil && c.ctx.Err() == nil {
		q := &probe{done: make(chan struct{})}
		p.probe = q
		c.work.Go(func() {
			ctx, cancel := context.WithTimeout(c.ctx, probeTimeout)
			defer cancel()
			q.err = Ping(ctx, p.conn) // p.conn is set: the caller has waited for p.done
			c.mu.Lock()
			p.probe = nil
			c.mu.Unlock()
			close(q.done)
		})
	}
	return p.probe
}

// pooled returns the connection to a worker, which it begins to make if there is none
// that takes calls. A connection that was lost dials again with pauses of its own;
// a call does not wait for them. The caller holds mu.
func (c *Conns) pooled(to Worker) *pooled {
	if old := c.conns[to]; old != nil && !old.ready() && c.discard(old) {
		c.work.Go(func() { old.conn.Close() })
	}
	p := c.conns[to]
	if p == nil {
		p = &pooled{to: to, done: make(chan struct{}), used: time.Now()}
		c.conns[to] = p
		c.work.Go(func() { c.make(p) })
		c.reap()
	}
	return p
}

// Warm makes the connection to a worker, so that a stream can go on there without
// the time of a handshake. It does not wait for it. A connection that no call uses
// afterwards is closed as every idle one.
func (c *Conns) Warm(to Worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() == nil {
		c.pooled(to).used = time.Now()
	}
}

// Return ends the use. failed says that the call did: if the connection is down
// it leaves the pool, so that the next call dials at once instead of waiting
// for the next dial of the connection itself. Returning twice does nothing.
func (l *Lease) Return(failed bool) {
	l.mu.Lock()
	c, p := l.conns, l.p
	l.conns, l.p = nil, nil
	l.mu.Unlock()
	if p == nil {
		return
	}
	c.mu.Lock()
	if p.refs--; p.refs == 0 {
		p.used = time.Now()
	}
	// Close what was discarded while calls used it, now that the last one ends.
	if failed && !p.ready() {
		c.discard(p)
	}
	last := p.gone && p.refs == 0 && p.conn != nil
	c.mu.Unlock()
	if last {
		p.conn.Close()
	}
}

// discard takes a connection from the pool and reports whether the caller must
// close it. Otherwise the last call that uses it does. The caller holds mu.
func (c *Conns) discard(p *pooled) (unused bool) {
	p.gone = true
	if c.conns[p.to] == p {
		delete(c.conns, p.to)
	}
	return p.refs == 0 && p.conn != nil
}

// make dials for p, whose waiters it wakes.
func (c *Conns) make(p *pooled) {
	// The context is that of Conns: the call that asked first can end, and the others
	// still wait.
	conn, err := c.dial(c.ctx, p.to)
	c.mu.Lock()
	if err != nil {
		// The call has not begun, so another worker can take it.
		var e *rpcnet.Error
		if !errors.As(err, &e) {
			e = rpcnet.Errorf(rpcnet.CodeUnavailable, "cannot connect to %s: %s", p.to.Addr, Reason(err)).WithCause(err).WithUnprocessed()
		}
		p.err = e
		if c.conns[p.to] == p {
			delete(c.conns, p.to) // the next call tries again
		}
	}
	p.conn = conn
	// It was discarded while it was dialled, and no call waits for it any more.
	gone := p.gone && p.refs == 0
	close(p.done)
	c.mu.Unlock()
	if gone && conn != nil {
		conn.Close()
	}
}

// reap closes connections that were not used for long. It runs when a connection is
// made, so that a client whose workers change does not collect the old ones. The
// caller holds mu.
func (c *Conns) reap() {
	// A dial under way has no conn yet. Once it has one, a later reap sees it.
	for _, p := range c.conns {
		if p.conn != nil && p.refs == 0 && time.Since(p.used) > idleAfter {
			c.discard(p)
			c.work.Go(func() { p.conn.Close() })
		}
	}
}

// Drop forgets the connections to a worker that is gone. They are closed at
// once, or when the last call on them has ended.
func (c *Conns) Drop(node, boot string, atOnce bool) {
	c.forget(atOnce, func(w Worker) bool { return w.Node == node && w.Boot == boot })
}

// Close closes all connections, also under calls in flight, and waits for dials and
// probes under way. A later Take fails.
func (c *Conns) Close() {
	c.stop()
	c.forget(true, func(Worker) bool { return true })
	c.work.Wait()
}

// forget discards the connections that match, and closes those that no call uses, or
// all of them at once. It closes without mu, because that can take a while.
func (c *Conns) forget(atOnce bool, match func(Worker) bool) {
	var conns []*rpcnet.Conn
	c.mu.Lock()
	for to, p := range c.conns {
		if match(to) {
			if c.discard(p) || p.conn != nil && atOnce {
				conns = append(conns, p.conn)
			}
		}
	}
	c.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
	}
}
