package session

import (
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A Conn is an ordered, encrypted stream of bytes between two endpoints. Reads
// and writes may run at the same time, neither with itself.
type Conn interface {
	io.ReadWriteCloser
	// SetReadDeadline with a time in the past makes a blocked Read return an
	// error whose Timeout method says true; Read works again after
	// SetReadDeadline with the zero time, and has lost nothing.
	SetReadDeadline(time.Time) error
}

// A foresighted Conn says, from within Read, when the next read may wait.
type foresighted interface{ BeforeRead(func()) }

// A someWriter is a Conn that can write without waiting.
type someWriter interface {
	// WriteSome writes a and b as far as that goes without waiting. If a rest
	// stays, done is false, and Flush is called before anything else is written.
	WriteSome(a, b []byte) (done bool, err error)
	// Flush writes the rest, and waits.
	Flush() error
}

// A measuredConn is a Conn that counts the bytes that move on it.
type measuredConn interface {
	// Received returns how many bytes have come.
	Received() uint64
	// Sent returns how many bytes the system has taken, and how many of them the
	// peer's system has acknowledged, as far as that is known.
	Sent() (taken, acknowledged uint64)
}

// A Config configures a session. It must not be changed while in use.
type Config struct {
	MaxStreams       int             // served at a time; 0: 10 000
	StreamWindow     int             // bytes taken on a new stream; 0: 256 KiB
	MaxStreamWindow  int             // to which a window grows with use; 0: 1 MiB
	SessionWindow    int             // bytes in flight on the session; 0: 4 MiB
	SessionBuffer    int             // most by which the windows of all streams grow together, and most of unfinished messages; 0: 64 MiB
	KeepaliveIdle    time.Duration   // PING after so long without a frame; 0: 3 s; negative: never
	KeepaliveTimeout time.Duration   // dead after so long without a frame; 0: 10 s
	WriteTimeout     time.Duration   // a peer that takes nothing of what waits for so long is gone; 0: 10 s
	Encodings        uint64          // bit set announced to the peer
	Account          *budget.Account // of [Charge], which the session owns; nil: none
	Handler          Handler         // nil on the caller's side
	Pool             *Pool           // runs handlers; required with Handler
	Ended            func(*Session)  // nil, or runs once when the session has ended; must not block
	// Identity is what the peer is told: of a server who it is, of a caller which
	// server it wants.
	Identity wire.Identity
	// CheckPeer judges what the peer has said of its identity. Its error refuses the
	// session. nil: nothing is refused.
	CheckPeer func(wire.Identity) error
}

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
	MaxReceive int    // most bytes of one request
	LimitSetBy string // the option or the directive that sets MaxReceive, for errors
	Entry      any    // the handler's own, which the Stream keeps
	Inline     bool   // the handler never blocks and runs on the reader
	// Private says that nothing uses the Stream after Finish, so that it may be
	// used again, if the whole of the request came with OPEN.
	Private bool
}
