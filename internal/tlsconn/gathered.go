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
	// gatherFrom is the size in bytes up to which a write is one record, and is not
	// gathered.
	gatherFrom = 16 << 10
	// gatherMost is how many bytes are gathered before they are written: eight
	// records. More saves no system call that could be measured, and takes memory.
	gatherMost = 128 << 10
	// The read buffer has firstRead bytes, and grows up to lastRead while reads fill
	// it: an idle connection keeps little.
	firstRead = 4 << 10
	lastRead  = 64 << 10
)

// gathered is the connection below TLS. crypto/tls writes to it from its own Write,
// and also from its Read, since the handshake protocol answers what it reads with
// alerts and key updates. So a write may come at any time from two goroutines, while
// reads come from one.
//
// Invariant: bytes leave in the order in which TLS wrote them. What is in wb has not
// been written yet, therefore nothing is written past it.
type gathered struct {
	net.Conn

	// The reader's alone.
	rb   []byte // read buffer: rb[r:w] is unread
	r, w int
	full bool // the last read filled rb
	left int  // bytes that the peer may send until the handshake is done; -1: it is

	before func() // nil, or runs before a read that may wait

	received, taken atomic.Uint64 // bytes read, and bytes that the system took

	mu   sync.Mutex // guards what follows; held during writes
	mode writeMode
	wb   []byte                // gathered, or left by a write that did not wait
	sock syscall.RawConn       // of Conn; nil if it has none
	try  func(fd uintptr) bool // writes once
	all  func(fd uintptr) bool // writes until all has been written
	p    []byte                // what they write
	n    int                   // and how much of it has been written
	err  error
}

// A writeMode says what happens to the records that TLS writes. begin sets it for
// one write of the session, end sets it back to through.
type writeMode uint8

const (
	through    writeMode = iota // each is written at once, and waits for room
	gather                      // they are written together, and wait for room
	some                        // each is written as far as there is room
	gatherSome                  // they are written together, as far as there is room
)

// newGathered returns the layer over c. Until handshakeDone it limits what the peer
// may send.
func newGathered(c net.Conn) *gathered {
	g := &gathered{Conn: c, rb: make([]byte, firstRead), left: credentials.MaxHandshake}
	if sc, ok := c.(syscall.Conn); ok {
		g.sock, _ = sc.SyscallConn()
	}
	// Both functions are made once, so that a write allocates no closure. They find
	// what to write in p and n, and leave how it ended in n and err.
	g.try = func(fd uintptr) bool {
		var n int
		n, g.err = writeNow(fd, g.p[g.n:])
		g.n += n
		g.taken.Add(uint64(n))
		return true
	}
	g.all = func(fd uintptr) bool { // false: call again when there is room
		g.try(fd)
		return g.err != nil || g.n == len(g.p)
	}
	return g
}

// aboutToRead runs before each read that may wait.
func (g *gathered) aboutToRead() {
	if g.before != nil {
		g.before()
	}
}

// errHandshakeSize ends a handshake in which the peer sends too much.
var errHandshakeSize = errors.New("the peer sends more than 80 KiB before its handshake is done")

// handshakeDone ends the limit of what the peer may send.
func (g *gathered) handshakeDone() { g.left = -1 }

// Read reads through the buffer. During the handshake it returns at most the bytes
// that the peer may still send, and then errHandshakeSize.
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

// read takes from the buffer, which it fills when it is empty. A buffer that a read
// has filled is doubled before the next one: more was waiting.
func (g *gathered) read(p []byte) (int, error) {
	if g.r == g.w {
		if len(p) >= len(g.rb) { // p has the room: no copy
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

// Write takes one record from TLS. It writes p at once, or keeps it in wb for end, as
// the mode says. It never writes past what is kept. It always reports len(p) of what
// it keeps: TLS takes a short write for the end of the connection.
func (g *gathered) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	// The usual case of a small message: one record, one system call, no copy.
	case g.mode == through && len(g.wb) == 0:
		return g.writeAll(p)
	case g.mode == some && len(g.wb) == 0:
		n, err := g.writeNow(p) // what there is no room for stays
		g.wb = append(g.wb, p[n:]...)
		return len(p), err
	}
	// In mode through this is an alert or a key update, written from Read while
	// WriteSome has left a rest: it goes out behind the rest, with Flush.
	g.wb = append(g.wb, p...)
	if g.mode != through && len(g.wb) >= gatherMost {
		return len(p), g.write()
	}
	return len(p), nil
}

// begin sets the mode for the records of one write. end must follow.
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

// write writes what was gathered: all of it in mode gather, else as much as there is
// room for. It moves the rest to the front, and gives up a buffer that one large
// write has made too large. mu is held.
func (g *gathered) write() (err error) {
	if len(g.wb) == 0 {
		return nil
	}
	n := len(g.wb)
	if g.mode == gather { // of Write or Flush, which wait
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

// writeNow writes as much of p as the socket takes without waiting, and returns how
// much that was. Without a socket (a net.Pipe) it is nothing: there is no write that
// does not wait. mu is held.
func (g *gathered) writeNow(p []byte) (int, error) {
	if g.sock == nil {
		return 0, nil
	}
	return g.writeWith(g.try, p)
}

// writePiece is how many bytes are written at a time where a write that waits does
// not report how far it has come. Keepalive needs to see bytes move.
const writePiece = 16 << 10

// writeAll writes all of p and waits while the socket is full. It counts in taken
// what the socket takes as it takes it, so that a slow peer can be
// distinguished from one that has stopped. mu is held.
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

// writeWith writes p with write, which is try or all. The runtime calls write again
// whenever the socket has room, until it returns true. Unix errors become a
// net.OpError, as those of the net package. mu is held.
func (g *gathered) writeWith(write func(fd uintptr) bool, p []byte) (int, error) {
	g.p, g.n, g.err = p, 0, nil // the arguments and results of write
	err := g.sock.Write(write)
	g.p = nil
	if err == nil && g.err != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Source: g.LocalAddr(), Addr: g.RemoteAddr(), Err: g.err}
	}
	return g.n, err
}
