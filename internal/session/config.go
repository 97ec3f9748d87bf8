package session

import (
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A Conn is an ordered, encrypted stream of bytes between two endpoints.
// Concurrency: one Read and one Write may run at the same time; Close and
// SetReadDeadline may run at any time.
type Conn interface {
	io.ReadWriteCloser
	// SetReadDeadline with a time in the past makes a blocked Read return an
	// error that is [os.ErrDeadlineExceeded]. Read works again after
	// SetReadDeadline with the zero time, and has lost nothing.
	SetReadDeadline(time.Time) error
}

// A foresighted Conn says, from within Read, when the next read may wait. The reader
// then writes what it has held back: see [cork].
type foresighted interface{ BeforeRead(func()) }

// A someWriter is a Conn that can write without waiting.
type someWriter interface {
	// WriteSome writes a and b as far as that goes without waiting. If a rest
	// stays, done is false, and Flush is called before anything else is written.
	WriteSome(a, b []byte) (done bool, err error)
	// Flush writes the rest, and waits.
	Flush() error
}

// A measuredConn is a Conn that counts the bytes that move on it, so that a slow
// link can be distinguished from a dead one.
type measuredConn interface {
	// Received returns how many bytes have come.
	Received() uint64
	// Sent returns how many bytes the system has taken, and how many of them the
	// peer's system has acknowledged, as far as that is known.
	Sent() (taken, acknowledged uint64)
}

// A Config configures a session. It must not be changed while in use.
type Config struct {
	// MaxStreams is how many streams a server serves at a time. Default: 10 000.
	MaxStreams int
	// StreamWindow is how many bytes may wait on a new stream. Default: 256 KiB.
	StreamWindow int
	// MaxStreamWindow is how large a window grows with use. Default: 1 MiB.
	MaxStreamWindow int
	// SessionWindow is how many bytes the peer may have in flight. Default: 4 MiB.
	SessionWindow int
	// SessionBuffer is how many bytes the windows of all streams may grow together,
	// and how many bytes of unfinished messages may wait. Default: 64 MiB.
	SessionBuffer int

	// KeepaliveIdle is how long nothing must have come before a PING is sent.
	// Default: 3 s. A negative value turns keepalive off.
	KeepaliveIdle time.Duration
	// KeepaliveTimeout is how long nothing must have come before the peer is given
	// up. Default: 10 s.
	KeepaliveTimeout time.Duration
	// WriteTimeout is how long a write may make no progress before the peer is
	// given up. Default: 10 s.
	WriteTimeout time.Duration

	// Encodings is the bit set of encodings that is announced to the peer.
	Encodings uint64
	// Account is what [Charge] returned for the peer. The session owns it. nil:
	// the memory of the peer is not counted.
	Account *budget.Account
	// Handler serves the streams of a server. nil makes a caller's session.
	Handler Handler
	// Pool runs handlers. It is required with Handler.
	Pool *Pool
	// Ended, if not nil, runs once when the session has ended. It must not block.
	Ended func(*Session)

	// Identity is what the peer learns: of a server who it is, of a caller which
	// server it wants.
	Identity wire.Identity
	// CheckPeer, if not nil, judges what the peer has said of its identity. Its
	// error refuses the session, and its text is sent to the peer.
	CheckPeer func(wire.Identity) error
}

// withDefaults returns c with defaults for zero fields, and with sizes within the
// limits of the protocol.
func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.MaxStreams, wire.DefaultMaxStreams)
	c.MaxStreams = min(c.MaxStreams, wire.MaxMaxStreams)
	def(&c.StreamWindow, wire.DefaultStreamWindow)
	c.StreamWindow = min(max(c.StreamWindow, wire.MinWindow), wire.MaxWindow)
	def(&c.MaxStreamWindow, 1<<20)
	c.MaxStreamWindow = min(max(c.MaxStreamWindow, c.StreamWindow), wire.MaxWindow)
	def(&c.SessionWindow, wire.DefaultSessionWindow)
	c.SessionWindow = min(max(c.SessionWindow, wire.MinWindow), wire.MaxWindow)
	def(&c.SessionBuffer, 64<<20)
	if c.KeepaliveIdle == 0 {
		c.KeepaliveIdle = 3 * time.Second
	}
	if c.KeepaliveTimeout <= 0 {
		c.KeepaliveTimeout = 10 * time.Second
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = 10 * time.Second
	}
	return c
}

// settings is what the configuration says to the peer.
func (c *Config) settings() wire.Settings {
	return wire.Settings{
		Version: wire.Version, MaxStreams: uint64(c.MaxStreams), StreamWindow: uint64(c.StreamWindow),
		SessionWindow: uint64(c.SessionWindow), Encodings: c.Encodings, Identity: c.Identity,
	}
}

// A Handler serves the streams of a server's sessions.
type Handler interface {
	// Procedure returns what the reader must know of a procedure. It runs on the
	// reader and must not block.
	Procedure(procedure string) ProcedureInfo
	// Serve serves one stream and calls [Stream.Finish] once. It runs on a
	// goroutine of the pool, or on the reader if the procedure is Inline.
	Serve(st *Stream)
}

// A ProcedureInfo is what the reader must know of a procedure before its handler
// runs.
type ProcedureInfo struct {
	// MaxReceive is the size limit of a request. Units: bytes. 0 means 1 GiB.
	MaxReceive int
	// LimitSetBy names the option or the directive that sets MaxReceive, for errors.
	LimitSetBy string
	// Entry is the handler's own. The Stream keeps it.
	Entry any
	// Inline says that the handler never blocks. It runs on the reader if the whole
	// of the request came with OPEN, and saves waking a goroutine.
	Inline bool
	// Pace, if not nil, is that of the procedure's handlers. The reader runs one that is
	// likely to be quick if its call is alone on the session and Private.
	Pace *Pace
	// Private says that nothing uses the Stream after Finish. It is used again for
	// another call if the whole of the request came with OPEN.
	Private bool
}
