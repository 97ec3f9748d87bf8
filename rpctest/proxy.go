package rpctest

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/contexts"
)

// A Proxy passes TCP connections on to a target and does to them what networks
// do. It sees bytes, not frames: with TLS end to end a certificate for the
// loopback address is still right. All methods are safe for concurrent use and
// apply to the connections there are and to those that come.
//
// It has one goroutine that accepts and, for each connection, two for each
// direction; all end with Close.
type Proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	links    map[*proxied]bool
	accepted int
	delay    time.Duration
	rate     int // bytes a second; 0: any
	hold     func(n int) time.Duration
	refuse   bool
	budget   int64         // bytes until the cut; negative: none
	stalled  chan struct{} // nil, or closed at the end of the stall
	closed   bool
}

// proxied is one connection that passes.
type proxied struct {
	near, far net.Conn
	once      sync.Once
	gone      chan struct{}
}

// NewProxy returns a proxy on a free port of the loopback interface to target,
// a host and a port. It is closed when the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p, err := StartProxy(target)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

// StartProxy is [NewProxy] outside a test: the caller closes it.
func StartProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: l, links: map[*proxied]bool{}, budget: -1}
	p.wg.Add(1)
	go p.accept()
	return p, nil
}

// Addr returns the address to dial in place of the target's.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Delay holds every byte back for d, in each direction.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// LimitRate lets n bytes a second pass on each connection in each direction, or
// any number if n is 0. The proxy then reads a few KiB ahead and not more. The
// buffers of the system are as small for connections that come later, so call it
// before the first.
func (p *Proxy) LimitRate(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = n
	if n <= 0 {
		return nil
	}
	raw, err := p.listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	return smallBuffer(raw)
}

// slowPiece is how much passes at a time, and slowBuffer about how much the
// system holds, while the rate is limited.
const (
	slowPiece  = 1 << 10
	slowBuffer = 4 << 10
)

// smallBuffer makes the receive buffer of a socket small that is not connected.
func smallBuffer(raw syscall.RawConn) (err error) {
	if e := raw.Control(func(fd uintptr) { err = setReceiveBuffer(fd, slowBuffer) }); e != nil {
		return e
	}
	return err
}

// dial connects with the target.
func (p *Proxy) dial() (net.Conn, error) {
	p.mu.Lock()
	limited := p.rate > 0
	p.mu.Unlock()
	var d net.Dialer
	if limited {
		d.Control = func(_, _ string, raw syscall.RawConn) error { return smallBuffer(raw) }
	}
	c, err := d.Dial("tcp", p.target)
	if err == nil && limited {
		c.(*net.TCPConn).SetWriteBuffer(slowBuffer)
	}
	return c, err
}

// HoldConnections delays whole connections. The n-th one, from 0, passes nothing
// for hold(n), so that a later one can be served first. nil holds none.
func (p *Proxy) HoldConnections(hold func(n int) time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = hold
}

// Refuse closes new connections as soon as they come, or stops doing so.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Stall lets nothing pass until [Proxy.Resume]; connections stay open.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Resume ends a stall.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	all := p.links
	p.links = map[*proxied]bool{}
	p.mu.Unlock()
	for l := range all {
		l.close()
	}
}

// CutAfter closes all connections when n more bytes have passed in both directions
// together, which is most likely inside a frame.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = n
}

// Connections returns how many connections have come so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Close ends the proxy with all its connections, and waits for its goroutines.
// It is idempotent.
func (p *Proxy) Close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Resume()
	p.Cut()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		n, hold, refuse := p.accepted, p.hold, p.refuse || p.closed
		p.accepted++
		p.mu.Unlock()
		if refuse {
			near.Close()
			continue
		}
		var wait time.Duration
		if hold != nil {
			wait = hold(n)
		}
		p.wg.Add(1)
		go p.pass(near, wait)
	}
}

// pass connects near with the target.
func (p *Proxy) pass(near net.Conn, wait time.Duration) {
	defer p.wg.Done()
	far, err := p.dial()
	if err != nil {
		near.Close()
		return
	}
	l := &proxied{near: near, far: far, gone: make(chan struct{})}
	defer l.close()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.links[l] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if !l.sleep(wait) {
		return
	}
	var both sync.WaitGroup
	both.Add(2)
	go func() { defer both.Done(); p.copy(l, far, near) }()
	go func() { defer both.Done(); p.copy(l, near, far) }()
	both.Wait()
}

// A piece is what one read brought, and when it may go on.
type piece struct {
	b   []byte
	due time.Time
}

// copy passes one direction, and ends both when it ends.
func (p *Proxy) copy(l *proxied, dst io.Writer, src io.Reader) {
	defer l.close()
	pieces := make(chan piece, 64)
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		defer close(pieces)
		for {
			b := make([]byte, 16<<10)
			p.mu.Lock()
			rate := p.rate
			p.mu.Unlock()
			if rate > 0 {
				b = b[:slowPiece]
			}
			n, err := src.Read(b)
			if n > 0 {
				if rate > 0 && !l.sleep(time.Duration(n)*time.Second/time.Duration(rate)) {
					return
				}
				p.mu.Lock()
				due := time.Now().Add(p.delay)
				p.mu.Unlock()
				select {
				case pieces <- piece{b[:n], due}:
				case <-l.gone:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for q := range pieces {
		if !l.sleep(time.Until(q.due)) || !p.wait(l) {
			return
		}
		b, last := p.spend(q.b)
		if _, err := dst.Write(b); err != nil {
			return
		}
		if last {
			p.Cut()
			return
		}
	}
}

// wait waits for the end of a stall.
func (p *Proxy) wait(l *proxied) bool {
	for {
		p.mu.Lock()
		stalled := p.stalled
		p.mu.Unlock()
		if stalled == nil {
			return true
		}
		select {
		case <-stalled:
		case <-l.gone:
			return false
		}
	}
}

// spend takes bytes off the budget, and reports whether it is used up.
func (p *Proxy) spend(b []byte) (allowed []byte, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.budget < 0 {
		return b, false
	}
	if int64(len(b)) < p.budget {
		p.budget -= int64(len(b))
		return b, false
	}
	b = b[:p.budget]
	p.budget = -1
	return b, true
}

func (l *proxied) close() {
	l.once.Do(func() {
		close(l.gone)
		l.near.Close()
		l.far.Close()
	})
}

// sleep reports false if the connection ended first.
func (l *proxied) sleep(d time.Duration) bool {
	return d <= 0 || contexts.Sleep(contexts.Until(l.gone), d)
}
