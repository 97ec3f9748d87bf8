package link

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// A Lane is an ordered, encrypted stream of bytes: TLS over TCP, with a read
// buffer and gathered writes below the encryption, so that a read brings many
// records and a large write makes one system call of many records. Reads and
// writes may run at the same time, neither with itself; Close at any time.
type Lane struct {
	*tls.Conn
	raw *gathered
}

const (
	// gatherFrom is the size of a write from which on its records are gathered.
	gatherFrom = 16 << 10
	// gatherMost is how much is gathered before it is written.
	gatherMost = 128 << 10
	firstRead  = 4 << 10
	lastRead   = 64 << 10
)

// newServer and newClient put a lane on a connection. The handshake has still
// to be run.
func newServer(c net.Conn, cfg *tls.Config) *Lane {
	raw := &gathered{Conn: c, rb: make([]byte, firstRead)}
	return &Lane{tls.Server(raw, cfg), raw}
}

func newClient(c net.Conn, cfg *tls.Config) *Lane {
	raw := &gathered{Conn: c, rb: make([]byte, firstRead)}
	return &Lane{tls.Client(raw, cfg), raw}
}

// Write writes p.
func (l *Lane) Write(p []byte) (int, error) {
	if len(p) <= gatherFrom {
		return l.Conn.Write(p)
	}
	if err := l.WriteParts(p, nil); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteParts writes a and b with one system call, if they are not very large.
func (l *Lane) WriteParts(a, b []byte) error {
	l.raw.setGather(true)
	_, err := l.Conn.Write(a)
	if err == nil && len(b) > 0 {
		_, err = l.Conn.Write(b)
	}
	if e := l.raw.setGather(false); err == nil {
		err = e
	}
	return err
}

// BeforeRead has f run, within Read, whenever what has come is used up and the
// next read may wait. It must be called before the reads it is to see.
func (l *Lane) BeforeRead(f func()) { l.raw.before = f }

// SetReadDeadline sets the deadline of reads only. After a time-out reads go
// on where they stopped.
func (l *Lane) SetReadDeadline(t time.Time) error { return l.raw.SetReadDeadline(t) }

// Close closes the connection at once, without waiting for a write under way.
func (l *Lane) Close() error { return l.raw.Close() }

// gathered is the connection below TLS. crypto/tls writes from Write, and from
// Read what the handshake protocol asks for: alerts and key updates.
type gathered struct {
	net.Conn
	rb   []byte // read buffer: rb[r:w] is unread
	r, w int
	full bool // the last read filled rb

	before func() // nil, or runs before a read that may wait

	mu     sync.Mutex // of what follows, and of writes
	wb     []byte
	gather bool
}

func (g *gathered) aboutToRead() {
	if g.before != nil {
		g.before()
	}
}

// Read reads through the buffer, which grows while reads fill it.
func (g *gathered) Read(p []byte) (int, error) {
	if g.r == g.w {
		if len(p) >= len(g.rb) {
			g.aboutToRead()
			return g.Conn.Read(p)
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
		g.r, g.w = 0, n
		g.full = n == len(g.rb) && n < lastRead
	}
	n := copy(p, g.rb[g.r:g.w])
	g.r += n
	return n, nil
}

// Write writes p, or keeps it for flush.
func (g *gathered) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.gather {
		return g.Conn.Write(p)
	}
	g.wb = append(g.wb, p...)
	if len(g.wb) >= gatherMost {
		return len(p), g.flush()
	}
	return len(p), nil
}

// setGather begins to gather, or ends it and writes what was gathered.
func (g *gathered) setGather(on bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gather = on
	return g.flush()
}

// flush writes what was gathered. mu is held.
func (g *gathered) flush() error {
	if len(g.wb) == 0 {
		return nil
	}
	_, err := g.Conn.Write(g.wb)
	g.wb = g.wb[:0]
	return err
}
