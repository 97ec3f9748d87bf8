package tlsconn

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/rpcnet-go/rpcnet/internal/credentials"
)

const (
	// gatherFrom is the size of a write from which on its records are gathered.
	gatherFrom = 16 << 10
	// gatherMost is how much is gathered before it is written.
	gatherMost = 128 << 10
	firstRead  = 4 << 10
	lastRead   = 64 << 10
)

// gathered is the connection below TLS. crypto/tls writes from Write, and from
// Read what the handshake protocol asks for: alerts and key updates.
type gathered struct {
	net.Conn
	rb   []byte // read buffer: rb[r:w] is unread
	r, w int
	full bool // the last read filled rb
	left int  // bytes that the peer may send until the handshake is done; -1: it is

	before func() // nil, or runs before a read that may wait

	received, taken atomic.Uint64 // bytes

	mu   sync.Mutex // of what follows, and of writes
	mode writeMode
	wb   []byte                // gathered, or left by a write that did not wait
	sock syscall.RawConn       // of Conn; nil if it has none
	try  func(fd uintptr) bool // writes once
	all  func(fd uintptr) bool // writes until all has been written
	p    []byte                // what they write
	n    int                   // and how much of it has been written
	err  error
}

// A writeMode says what becomes of the records that TLS writes.
type writeMode uint8

const (
	through    writeMode = iota // each is written at once
	gather                      // they are written together
	some                        // each as far as goes without waiting
	gatherSome                  // together, as far as goes without waiting
)

func newGathered(c net.Conn) *gathered {
	g := &gathered{Conn: c, rb: make([]byte, firstRead), left: credentials.MaxHandshake}
	if sc, ok := c.(syscall.Conn); ok {
		g.sock, _ = sc.SyscallConn()
	}
	g.try = func(fd uintptr) bool {
		var n int
		n, g.err = writeNow(fd, g.p[g.n:])
		g.n += n
		g.taken.Add(uint64(n))
		return true
	}
	g.all = func(fd uintptr) bool {
		g.try(fd)
		return g.err != nil || g.n == len(g.p)
	}
	return g
}

func (g *gathered) aboutToRead() {
	if g.before != nil {
		g.before()
	}
}

// errHandshakeSize is why a handshake fails in which a peer says too much.
var errHandshakeSize = errors.New("the peer sends more than 80 KiB before its handshake is done")

// handshakeDone ends the limit of what the peer may send.
func (g *gathered) handshakeDone() { g.left = -1 }

// Read reads through the buffer, which grows while reads fill it.
func (g *gathered) Read(p []byte) (int, error) {
	if g.left < 0 {
		return g.read(p)
	}
	if g.left == 0 {
		return 0, errHandshakeSize
	}
	n, err := g.read(p[:min(len(p), g.left)])
	g.left -= n
	return n, err
}

func (g *gathered) read(p []byte) (int, error) {
	if g.r == g.w {
		if len(p) >= len(g.rb) {
			g.aboutToRead()
			n, err := g.Conn.Read(p)
			g.received.Add(uint64(max(n, 0)))
			return n, err
		}
		if g.full {
			g.full = false
			g.rb = make([]byte, 2*len(g.rb))
		}
		g.aboutToRead()
		n, err := g.Conn.Read(g.rb)
		if n <= 0 {
			return n, err
		}
		g.received.Add(uint64(n))
		g.r, g.w = 0, n
		g.full = n == len(g.rb) && n < lastRead
	}
	n := copy(p, g.rb[g.r:g.w])
	g.r += n
	return n, nil
}

// Write writes p, or keeps it for end.
func (g *gathered) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.mode == through && len(g.wb) == 0:
		return g.writeAll(p)
	case g.mode == some && len(g.wb) == 0:
		n, err := g.writeNow(p)
		g.wb = append(g.wb, p[n:]...)
		return len(p), err
	}
	g.wb = append(g.wb, p...) // through: of a Read while others write
	if g.mode != through && len(g.wb) >= gatherMost {
		return len(p), g.write()
	}
	return len(p), nil
}

func (g *gathered) begin(m writeMode) {
	g.mu.Lock()
	g.mode = m
	g.mu.Unlock()
}

// end writes what was gathered, and reports whether nothing is left.
func (g *gathered) end() (done bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err = g.write()
	g.mode = through
	return len(g.wb) == 0, err
}

// write writes what was gathered, as the mode says. mu is held.
func (g *gathered) write() (err error) {
	if len(g.wb) == 0 {
		return nil
	}
	n := len(g.wb)
	if g.mode == gather {
		_, err = g.writeAll(g.wb)
	} else {
		n, err = g.writeNow(g.wb)
	}
	g.wb = g.wb[:copy(g.wb, g.wb[n:])]
	if len(g.wb) == 0 && cap(g.wb) > 2*gatherMost {
		g.wb = nil
	}
	return err
}

// writeNow writes as much of p as the socket takes at once. mu is held.
func (g *gathered) writeNow(p []byte) (int, error) {
	if g.sock == nil {
		return 0, nil
	}
	return g.writeWith(g.try, p)
}

// writePiece is how much is written at a time where a write that waits does not
// tell how far it has come.
const writePiece = 16 << 10

// writeAll writes p, waits while the socket is full, and counts what it takes as
// it takes it. mu is held.
func (g *gathered) writeAll(p []byte) (done int, err error) {
	if g.sock != nil && writesNow {
		return g.writeWith(g.all, p)
	}
	for done < len(p) && err == nil {
		var n int
		n, err = g.Conn.Write(p[done:min(len(p), done+writePiece)])
		done += n
		g.taken.Add(uint64(n))
	}
	return done, err
}

// writeWith has write, which is try or all, write p. mu is held.
func (g *gathered) writeWith(write func(fd uintptr) bool, p []byte) (int, error) {
	g.p, g.n, g.err = p, 0, nil
	err := g.sock.Write(write)
	g.p = nil
	if err == nil && g.err != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Source: g.LocalAddr(), Addr: g.RemoteAddr(), Err: g.err}
	}
	return g.n, err
}
