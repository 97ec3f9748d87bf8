// Package session runs calls over one connection, an ordered stream of bytes: many
// streams at once, flow control, cancellation, keepalive, drain. It knows
// nothing of TLS, of messages or of handlers' types; the frames are those of
// internal/wire.
//
// # Goroutines
//
// A session has one goroutine of its own, the reader, which ends when the connection
// does; the writer goroutine, which ends with the session; and a timer that
// fires about once a second while nothing happens ([Session.tick]). Handlers
// run on the goroutines of a [Pool]. Everything else runs on the goroutines of
// the callers:
//
//   - whoever appends a frame to an idle writer has the writing role and writes,
//     after it has let others run once if more calls are in flight, so that many
//     frames share one write; the writer goroutine takes over when that would
//     mean to wait for the peer (writer.go); while the reader handles frames that
//     came together it has the role itself, so that what they cause shares one
//     write too (cork.go);
//   - a caller that is alone on the session has the reading role while it waits,
//     so that its response does not wake another goroutine first (role.go).
//
// # Locks
//
// Session.wmu guards all that is sent: the write buffer, the credit of the
// session and of each stream, the procedure numbers. Stream.mu guards what one
// stream has received. Session.imu guards the ids. They are taken in the order
// imu, Stream.mu, wmu, and none is held while the connection is read or written.
//
// # States of a stream
//
//	caller:  idle --OPEN--> open --END--> half-closed --STATUS--> closed
//	         open, half-closed --RESET--> abandoned --STATUS--> closed
//	server:  (OPEN) open --END--> half-closed; the handler returns: STATUS, closed
//	         open --RESET--> abandoned, the handler's context is cancelled;
//	         the handler returns: STATUS, closed
//	         (cut by the server) STATUS, closed, the handler's context is cancelled
//
// An id is used again only after its STATUS has come, so a frame can never
// reach a stream it was not meant for, and a caller that is within the limit of
// streams is never refused because a handler has not noticed yet that its caller
// has gone. A server counts handlers that outlive a stream it has cut against
// the limit of streams.
package session

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
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

// A foresighted connection says, from within Read, when the next read may wait.
type foresighted interface{ BeforeRead(func()) }

// A someWriter is a connection that can write without waiting.
type someWriter interface {
	// WriteSome writes a and b as far as that goes without waiting. If a rest
	// stays, done is false, and Flush is called before anything else is written.
	WriteSome(a, b []byte) (done bool, err error)
	// Flush writes the rest, and waits.
	Flush() error
}

// A measuredConn counts the bytes that move on it.
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
	Logger           *slog.Logger
	// Identity is what the peer is told: of a server who it is, of a caller whom
	// it wants. CheckPeer, if not nil, judges what the peer has told; its error
	// refuses the session.
	Identity  wire.Identity
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
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// A Handler serves the streams of a server's sessions.
type Handler interface {
	// Procedure returns what the reader must know of a procedure.
	Procedure(procedure string) ProcedureInfo
	// Serve serves one stream and calls [Stream.Finish] once. It runs on a
	// goroutine of the pool.
	Serve(st *Stream)
}

// A ProcedureInfo is what the reader must know of a procedure before its handler runs.
type ProcedureInfo struct {
	MaxReceive int    // most bytes of one request
	LimitSetBy string // the option or the directive that sets MaxReceive, for errors
	Entry      any    // the handler's own, which the Stream keeps
	Inline     bool   // the handler never blocks and runs on the reader
	// Private says that nothing uses the Stream after Finish, so that it may be
	// used again, if the whole of the request came with OPEN.
	Private bool
}

// A Session is one multiplexed session over one connection. All methods are safe for
// concurrent use.
type Session struct {
	// Immutable after New.
	conn   Conn
	cfg    Config
	server bool
	peer   wire.Settings

	// The send side, guarded by wmu: see writer.go and send.go.
	wmu        sync.Mutex
	some       someWriter           // the connection, if it is one
	head       [wire.HeaderLen]byte // of who has the writing role
	wbuf       []byte
	wspare     []byte
	counted    int64 // bytes of the account for wbuf, for what is being written, and for wspare
	settled    bool  // nothing is counted any more
	calls      int64 // OPEN and STATUS frames in wbuf
	writing    bool
	werr       error
	waiters    []*Stream         // senders that wait for credit or room, in order
	credit     int64             // bytes the peer takes on the session
	procedures map[string]uint32 // the numbers of those that the peer knows
	kick       chan struct{}
	writeSeq   atomic.Uint64 // odd while the writer goroutine writes

	// The receive side. The reader's fields belong to who has the role.
	in       input
	procs    []string     // server: procedure names by number-1
	corked   bool         // the reader has the writing role, see cork
	foresees bool         // the connection says when a read may wait
	owed     int64        // session credit not yet returned
	now      time.Time    // clock at the last read of the connection
	lastRecv atomic.Int64 // the same for the tick

	role       role          // of reading, caller's side
	wakeReader chan struct{} // the reader goroutine takes the role
	woken      atomic.Int64  // callers and handlers that were woken and do not run yet
	lone       atomic.Uint64 // counts calls that read for themselves; odd while one does
	parked     atomic.Bool

	life    lifetime
	ids     ids
	table   table
	streams sync.Pool // of *Stream
	mem     memory
	tick    ticker
}

// ErrClosed is the reason of a session that this side closed.
var ErrClosed = errors.New("session closed")

// New starts a session on a connection and waits until the peer has said its
// SETTINGS. It owns the connection, also when it fails. timeout bounds the wait.
// before, if not nil, runs with the session before the first stream.
func New(conn Conn, cfg Config, timeout time.Duration, before func(*Session)) (*Session, error) {
	s := &Session{
		conn: conn, cfg: cfg.withDefaults(), server: cfg.Handler != nil,
		kick: make(chan struct{}, 1), wakeReader: make(chan struct{}, 1), role: make(role, 1),
	}
	s.life.init()
	s.mem.account, s.mem.most = s.cfg.Account, int64(s.cfg.SessionBuffer)
	s.some, _ = conn.(someWriter)
	s.in = input{conn: conn, b: make([]byte, firstBuffer), resume: s.resumeReading}
	own := wire.Settings{
		Version: wire.Version, MaxStreams: uint64(s.cfg.MaxStreams), StreamWindow: uint64(s.cfg.StreamWindow),
		SessionWindow: uint64(s.cfg.SessionWindow), Encodings: s.cfg.Encodings, Identity: s.cfg.Identity,
	}
	payload := own.Append(nil)
	frame := append(wire.MakeHeader(wire.TypeSettings, 0, 0, len(payload)).Append(nil), payload...)
	cut := time.AfterFunc(timeout, func() { conn.Close() })
	_, err := conn.Write(frame)
	if err == nil {
		err = s.readSettings()
	}
	if !cut.Stop() && err == nil {
		err = fmt.Errorf("no SETTINGS within %v", timeout)
	}
	if err == nil && s.cfg.CheckPeer != nil {
		if err = s.cfg.CheckPeer(s.peer.Identity); err != nil {
			Refuse(conn, err.Error())
		}
	}
	if err != nil {
		if errors.Is(err, wire.ErrVersion) {
			conn.Write(goAwayFrame(wire.ReasonVersion, err.Error()))
		}
		conn.Close()
		discharge(cfg.Account)
		return nil, fmt.Errorf("session handshake: %w", err)
	}
	s.credit = int64(s.peer.SessionWindow)
	limit := uint64(s.cfg.MaxStreams)
	if !s.server {
		limit = s.peer.MaxStreams
		s.procedures = map[string]uint32{}
	}
	s.table.init(limit)
	s.ids.limit, s.ids.ended = uint32(limit), s.life.ended
	s.now = time.Now()
	s.lastRecv.Store(s.now.UnixNano())
	s.tick.start(s)
	if l, ok := conn.(foresighted); ok {
		s.foresees = true
		l.BeforeRead(s.uncork)
	}
	if before != nil {
		before(s)
	}
	go s.writeLoop()
	go s.readLoop()
	return s, nil
}

// Refuse tells a peer on a new connection that it is not welcome, and why.
func Refuse(conn Conn, why string) {
	conn.Write(goAwayFrame(wire.ReasonRefused, why))
}

func goAwayFrame(reason byte, text string) []byte {
	p := append([]byte{reason}, text[:min(len(text), 512)]...)
	return append(wire.MakeHeader(wire.TypeGoAway, 0, 0, len(p)).Append(nil), p...)
}

// CutAll ends every served stream at once with an outcome; the handlers'
// contexts end with cause.
func (s *Session) CutAll(code byte, message string, cause error) {
	status := statusOf(&Error{Code: code, Message: message})
	s.table.each(func(st *Stream) {
		st.mu.Lock()
		if st.owner != s {
			st.mu.Unlock()
			return
		}
		st.cutLocked(status, cause)
	})
}

func (s *Session) readSettings() error {
	h, err := s.in.header()
	if err == nil {
		err = h.Check()
	}
	if err != nil {
		return err
	}
	if h.Type() == wire.TypeGoAway {
		p, err := s.in.payload(h.Len())
		if err != nil {
			return err
		}
		return goAwayError(p)
	}
	if h.Type() != wire.TypeSettings {
		return fmt.Errorf("want a SETTINGS frame, got %v", h.Type())
	}
	p, err := s.in.payload(h.Len())
	if err != nil {
		return err
	}
	return s.peer.Parse(p)
}

// Closed is closed when the session has ended; [Session.Err] says why.
func (s *Session) Closed() <-chan struct{} { return s.life.ended }

// GoingAway is closed when the peer wants no new calls on this session.
func (s *Session) GoingAway() <-chan struct{} { return s.life.away }

// Drained is closed when this side drains: handlers should come to an end.
func (s *Session) Drained() <-chan struct{} { return s.life.drained }

// Err returns why the session ended, or nil while it lives.
func (s *Session) Err() error { return s.life.Err() }

// Encodings returns the bit set of the encodings the peer speaks.
func (s *Session) Encodings() uint64 { return s.peer.Encodings }

// InFlight returns the number of streams that have not ended.
func (s *Session) InFlight() int { return int(s.life.inflight.Load()) }

// Queued returns the number of callers that wait because the peer's limit of
// streams is reached.
func (s *Session) Queued() int { return int(s.ids.waiting.Load()) }

// Buffered returns the bytes that have come and not been consumed.
func (s *Session) Buffered() int64 { return s.mem.buffered.Load() }

// Unread returns how many of the buffered bytes are whole messages that nobody
// has begun to take.
func (s *Session) Unread() int64 { return s.mem.unread.Load() }

// Blocked returns how many senders wait: for credit of the peer, or for the connection.
func (s *Session) Blocked() int {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	return len(s.waiters)
}

// Close ends the session at once. Streams in flight fail.
func (s *Session) Close() { s.fail(ErrClosed) }

// Drain says GOAWAY, refuses new streams, and tells handlers. It returns a
// channel that is closed when no stream is left or the session has ended.
func (s *Session) Drain() <-chan struct{} {
	s.life.drain(func() { s.goAway(wire.ReasonDrain, "draining") })
	return s.life.idle
}

// fail ends the session: everything that waits on it is woken with err.
func (s *Session) fail(err error) { s.life.end(err, s.cut) }

// cut is the rest of fail, when Err tells already.
func (s *Session) cut() {
	s.tick.stop()
	err := s.Err()
	if s.server { // before Recv and Send tell
		s.table.each(func(st *Stream) {
			st.mu.Lock()
			if st.owner == s {
				st.cancelLocked(err)
			}
			st.mu.Unlock()
		})
	}
	s.wmu.Lock()
	s.werr = err
	ws := s.waiters
	s.waiters = nil
	for _, st := range ws {
		st.wakeSender()
	}
	s.wmu.Unlock()
	s.conn.Close()
	s.ids.wakeAll()
	s.table.each(func(st *Stream) { st.sessionFailed(s) })
	s.life.setIdle()
	s.wakeParked() // so that it ends
	if s.cfg.Ended != nil {
		s.cfg.Ended(s)
	}
}

// protocolError ends the session because the peer broke the protocol.
func (s *Session) protocolError(err error) error {
	s.goAway(wire.ReasonProtocol, err.Error())
	return fmt.Errorf("the peer broke the protocol: %w", err)
}

func (s *Session) goAway(reason byte, text string) {
	p := append([]byte{reason}, text[:min(len(text), 512)]...)
	s.wmu.Lock()
	lead := s.controlLocked(wire.MakeHeader(wire.TypeGoAway, 0, 0, len(p)), p)
	s.wmu.Unlock()
	if lead {
		s.flush(flushNow) // before the connection closes, if that is next
	}
}
