package routed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// Conns are connections to workers, made on demand and shared by all calls. It
// is safe for concurrent use.
type Conns struct {
	dial func(ctx context.Context, addr string) (*rpcnet.Conn, error)
	ctx  context.Context // of dials
	stop context.CancelFunc
	work sync.WaitGroup // dials

	mu    sync.Mutex
	conns map[Key]*pooled
}

// A Key says whose connection it is: a life of a worker at an address. The id
// may be empty where lives are not told apart.
type Key struct{ ID, Addr string }

// pooled is a connection that is there or being made.
type pooled struct {
	done chan struct{} // closed when conn or err is set
	conn *rpcnet.Conn
	err  error
	gone bool // to be closed as soon as it is there
	used time.Time
}

// idleAfter is how long a connection without calls is kept.
const idleAfter = time.Minute

// NewConns returns no connections yet. dial is given timeout for each.
func NewConns(timeout time.Duration, dial func(ctx context.Context, addr string) (*rpcnet.Conn, error)) *Conns {
	c := &Conns{conns: map[Key]*pooled{}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.dial = func(ctx context.Context, addr string) (*rpcnet.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return dial(ctx, addr)
	}
	return c
}

var errConnsClosed = rpcnet.NewError(rpcnet.CodeUnavailable, "the client is closed").WithUnprocessed()

// Get returns the connection to a worker. Concurrent first calls share one
// dial, which goes on when the caller that began it gives up.
func (c *Conns) Get(ctx context.Context, key Key) (*rpcnet.Conn, error) {
	c.mu.Lock()
	if c.ctx.Err() != nil {
		c.mu.Unlock()
		return nil, errConnsClosed
	}
	p := c.conns[key]
	if p == nil {
		p = &pooled{done: make(chan struct{})}
		c.conns[key] = p
		c.work.Go(func() { c.make(key, p) })
		c.reap()
	}
	p.used = time.Now()
	c.mu.Unlock()
	select {
	case <-p.done:
		return p.conn, p.err
	default:
	}
	select {
	case <-p.done:
		return p.conn, p.err
	case <-ctx.Done():
		return nil, rpcnet.NewError(rpcnet.CodeOf(ctx.Err()), "connecting to "+key.Addr+": "+ctx.Err().Error()).
			WithCause(ctx.Err()).WithUnprocessed()
	}
}

func (c *Conns) make(key Key, p *pooled) {
	conn, err := c.dial(c.ctx, key.Addr)
	c.mu.Lock()
	if err != nil {
		var e *rpcnet.Error
		if !errors.As(err, &e) {
			e = rpcnet.Errorf(rpcnet.CodeUnavailable, "cannot connect to %s: %v", key.Addr, err).WithCause(err).WithUnprocessed()
		}
		p.err = e
		if c.conns[key] == p {
			delete(c.conns, key) // the next call tries again
		}
	}
	p.conn = conn
	gone := p.gone
	close(p.done)
	c.mu.Unlock()
	if gone && conn != nil {
		conn.Close()
	}
}

// reap closes connections that were not used for long. The caller holds mu.
func (c *Conns) reap() {
	for key, p := range c.conns {
		if p.conn != nil && time.Since(p.used) > idleAfter && p.conn.Stats().InFlight == 0 {
			delete(c.conns, key)
			c.work.Go(func() { p.conn.Close() })
		}
	}
}

// DropID closes the connections to a worker that is gone.
func (c *Conns) DropID(id string) { c.closeIf(func(k Key) bool { return k.ID == id }) }

// DropDown forgets the connection of key if it is down, so that the next call
// dials at once instead of waiting for the connection's own pace.
func (c *Conns) DropDown(key Key) {
	c.closeIf(func(k Key) bool {
		if k != key {
			return false
		}
		p := c.conns[k]
		if p.conn == nil {
			return false
		}
		ready, _ := p.conn.Ready()
		return !ready
	})
}

// Close closes all connections and waits for dials under way.
func (c *Conns) Close() {
	c.stop()
	c.closeIf(func(Key) bool { return true })
	c.work.Wait()
}

func (c *Conns) closeIf(match func(Key) bool) {
	var conns []*rpcnet.Conn
	c.mu.Lock()
	for key, p := range c.conns {
		if match(key) {
			delete(c.conns, key)
			p.gone = true
			if p.conn != nil {
				conns = append(conns, p.conn)
			}
		}
	}
	c.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
	}
}
