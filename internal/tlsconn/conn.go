package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// Conn is an ordered, encrypted stream of bytes: TLS over TCP. Below the
// encryption it buffers reads and gathers writes, so that a read brings many
// records and a large write makes one system call of many records.
//
// One goroutine may read while another writes. Two must not read at the same
// time, nor write. Close is safe at any time.
type Conn struct {
	*tls.Conn
	raw   *gathered
	chain []*x509.Certificate // of the peer, from its leaf to an authority
	plain bool                // the client speaks HTTP, with a certificate or without
}

// newConn returns a Conn over c, without TLS yet.
func newConn(c net.Conn) *Conn { return &Conn{raw: newGathered(c)} }

// proved notes the chain of the peer's certificate. The handshake calls it.
func (c *Conn) proved(chain []*x509.Certificate) { c.chain = chain }

// HTTP reports whether the client speaks HTTP. Then it may have shown no certificate.
func (c *Conn) HTTP() bool { return c.plain }

// Chain returns the chain of the peer's certificate, from its own to one of an
// authority. It is empty only if the client speaks HTTP. It must not be changed.
func (c *Conn) Chain() []*x509.Certificate { return c.chain }

// Write writes p, and waits while the peer does not read. A large p leaves in few
// system calls.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) <= gatherFrom {
		return c.Conn.Write(p)
	}
	c.raw.begin(gather)
	n, err := c.Conn.Write(p)
	if _, e := c.raw.end(); err == nil {
		err = e
	}
	return n, err
}

// WriteSome writes a and then b, as far as the connection takes them without
// waiting. If a rest stays, done is false, and Flush must be called before anything
// else is written. The rest is kept encrypted: a and b are the caller's again.
func (c *Conn) WriteSome(a, b []byte) (done bool, err error) {
	mode := some
	if len(a)+len(b) > gatherFrom {
		mode = gatherSome
	}
	c.raw.begin(mode)
	_, err = c.Conn.Write(a)
	if err == nil && len(b) > 0 {
		_, err = c.Conn.Write(b)
	}
	done, e := c.raw.end()
	if err == nil {
		err = e
	}
	return done, err
}

// Flush writes what WriteSome left, and waits while the peer does not read.
func (c *Conn) Flush() error {
	c.raw.begin(gather)
	_, err := c.raw.end()
	return err
}

// BeforeRead sets a function that Read calls whenever everything that has come is
// used up and the next read may wait. Set it before the first Read.
func (c *Conn) BeforeRead(f func()) { c.raw.before = f }

// Received returns how many encrypted bytes have come so far.
func (c *Conn) Received() uint64 { return c.raw.received.Load() }

// Sent returns how many encrypted bytes the system has taken so far, and how many of
// them the peer's system has acknowledged. Where the system does not report that,
// both are what it has taken. A write under way counts as far as it has come.
func (c *Conn) Sent() (taken, acknowledged uint64) {
	g := c.raw
	taken = g.taken.Load() // first, so that what is taken meanwhile does not seem acknowledged
	if g.sock == nil {
		return taken, taken
	}
	var waits uint64
	if g.sock.Control(func(fd uintptr) { waits = unacknowledged(fd) }) != nil {
		return taken, taken
	}
	return taken, taken - min(waits, taken)
}

// SetReadDeadline sets the deadline of reads only. After a time-out, reads continue
// where they stopped, and nothing is lost.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// Close closes the connection at once. It does not wait for a write under way, and
// sends no close_notify, which would wait for room.
func (c *Conn) Close() error { return c.raw.Close() }
