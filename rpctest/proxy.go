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
// It has one goroutine that accepts and five for each connection: one that connects
// it with the target, and for each direction one that reads and one that writes.
// All end with Close. What is changed while bytes pass holds from the next read or
// write on.
type Proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup // of all goroutines

	mu       sync.Mutex        // guards the fields below; not held while anything blocks
	links    map[*proxied]bool // those that Cut closes
	accepted int               // connections so far, also refused ones
	delay    time.Duration
	rate     int                       // bytes a second; 0: any
	hold     func(n int) time.Duration // nil: none is held
	refuse   bool
	budget   int64         // bytes until the cut; negative: none
	stalled  chan struct{} // nil, or closed at the end of the stall
	closed   bool
}

// proxied is one connection that passes. It ends as a whole: when one direction
// ends, the other does. TLS has a close of its own, so that nothing needs a TCP
// connection that is half closed.
type proxied struct {
	near, far net.Conn // to who has dialled the proxy, and to the target
	once      sync.Once
	gone      chan struct{} // closed by close, and ends all waits of the connection
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

// StartProxy starts a proxy outside a test: the caller closes it. The error is that
// of listening. The target is dialled for each connection; if it does not answer,
// that connection is closed.
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

// Delay holds every byte back for d, in each direction. The order of bytes stays.
// Default 0. What has been read before the call keeps its earlier delay.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// LimitRate lets n bytes a second pass on each connection in each direction, or
// any number if n is 0. The proxy then reads a few KiB ahead and not more. The
// buffers of the system are as small for connections that come later, so call it
// before the first. Default 0. The error says why the buffer of the listening socket
// could not be set.
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
// system holds, while the rate is limited, in bytes. With the buffers of the system
// (megabytes on loopback) a sender would not notice for a long time that its
// receiver is slow.
const (
	slowPiece  = 1 << 10
	slowBuffer = 4 << 10
)

// smallBuffer makes the receive buffer of a socket small that is not connected.
// Later would be too late: TCP announces its window in the handshake. Connections
// that a listening socket accepts inherit its size.
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
// for hold(n), so that a later one can be served first. nil holds none. The
// accepting goroutine calls hold, which must not block.
func (p *Proxy) HoldConnections(hold func(n int) time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = hold
}

// Refuse closes new connections as soon as they come, or stops doing so. Those that
// are open stay open. TCP accepts first and closes then, as a load balancer
// does whose server is down.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Stall lets nothing pass until [Proxy.Resume]; connections stay open. Bytes that
// arrive meanwhile wait and are not lost: neither side sees an error. It is
// idempotent.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Resume ends a stall. It does nothing if there is none.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// Cut closes all connections. Bytes on their way are lost. New connections are
// accepted as before.
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
// together, which is most likely inside a frame. n also counts the bytes of TLS
// handshakes. It happens once; a negative n takes it back.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = n
}

// Connections returns how many connections have come so far, with those that were
// refused and those that have ended.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Close ends the proxy with all its connections, and waits for its goroutines.
// It is idempotent.
func (p *Proxy) Close() {
	p.listener.Close()
	// A connection that is being made sees closed, or is in links and is cut below.
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Resume()
	p.Cut()
	p.wg.Wait()
}

// accept accepts connections until the listener is closed.
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

// pass connects near with the target, and copies until either side ends or the
// connection is cut. It passes nothing for the first wait.
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

// A piece is what one read brought, and when it may go on. Reading goes on
// meanwhile, so that a delay costs no throughput.
type piece struct {
	b   []byte
	due time.Time
}

// copy passes one direction, and ends both when it ends. It starts a goroutine that
// reads and hands pieces over; the calling one waits until they are due and writes
// them.
func (p *Proxy) copy(l *proxied, dst io.Writer, src io.Reader) {
	defer l.close()
	pieces := make(chan piece, 64) // at most 1 MiB: then the reader waits, and so the sender
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		defer close(pieces)
		for {
			b := make([]byte, 16<<10) // a new one each time: the writer owns the last
			p.mu.Lock()
			rate := p.rate
			p.mu.Unlock()
			if rate > 0 {
				b = b[:slowPiece]
			}
			n, err := src.Read(b)
			if n > 0 {
				// The pause comes before the hand-over, so that the reader is no more
				// than one piece ahead of the rate.
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

// wait waits for the end of a stall. It looks again after each, because the next one
// can begin at once. It returns false if the connection ends first.
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

// spend takes bytes off the budget. It returns those that may pass, and whether the
// budget is used up with them: then the caller cuts. The budget is off after that.
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

// close closes both sides. It is idempotent, because either direction and Cut call it.
func (l *proxied) close() {
	l.once.Do(func() {
		close(l.gone)
		l.near.Close()
		l.far.Close()
	})
}

// sleep waits for d, and not at all if d is negative. It returns false if the
// connection ended first.
func (l *proxied) sleep(d time.Duration) bool {
	return d <= 0 || contexts.Sleep(contexts.Until(l.gone), d)
}
