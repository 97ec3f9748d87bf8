// Package session runs calls over one connection, an ordered stream of bytes: many
// streams at once, flow control, cancellation, keepalive, drain. It knows
// nothing of TLS, of messages or of handlers' types; the frames are those of
// internal/wire.
//
// # Parts
//
// A [Session] is made of parts, each with its lock or its owner, that know little of
// each other: its lifetime, the ids of its streams and the table that finds
// them, its memory, the ticker with the keepalive, the sender, the receiver and
// the role of reading. A [Stream] is made of what has come, of how its receiver
// waits and walks through it, of its sending side and of its end. The call itself, on
// both sides, is in call.go, and what moves bytes in loops.go.
//
// # Goroutines
//
// A session has one goroutine of its own, the reader, which ends when the connection
// does; the writer goroutine, which ends with the session; and a timer that
// fires about once a second while nothing happens ([ticker.tick]). Handlers
// run on the goroutines of a [Pool]. Everything else runs on the goroutines of
// the callers:
//
//   - a goroutine that appends a frame to an idle sender has the writing role and
//     writes, after it has let others run once if more calls are in flight, so that
//     many frames share one write; the writer goroutine takes over when that would
//     mean to wait for the peer ([sender]); while the reader handles frames that
//     came together it has the role itself, so that what they cause shares one
//     write too ([cork]);
//   - a caller that is alone on the session has the reading role while it waits,
//     so that its response does not wake another goroutine first ([reading]);
//   - on a server the reader runs the handler of a call that is alone, if the procedure's
//     handlers have been quick so far ([Pace]).
//
// # Locks
//
// sender.mu guards all that is sent: the write buffer, the credit of the
// session and of each stream, the procedure numbers. Stream.mu guards what one
// stream has received, and its end. They are taken in the order Stream.mu,
// sender.mu. ids.mu is taken alone. ticker.mu is held by a tick, which takes the
// others; no goroutine that holds another waits for it. None of them is held while
// the connection is read or written, or while a Canceler runs.
package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A Session is one multiplexed session over one connection. All methods are safe for
// concurrent use.
type Session struct {
	// conn, cfg, server and peer do not change after New.
	conn   Conn
	cfg    Config
	server bool
	// peer is what the peer has announced.
	peer wire.Settings

	// life is safe for concurrent use, without a lock.
	life lifetime
	// ids has its own lock. A server does not use it.
	ids ids
	// table is safe for concurrent use, without a lock.
	table table
	// streams is safe for concurrent use.
	streams streamPool
	// mem is safe for concurrent use, but for what only the reader may do.
	mem memory
	// tick has its own lock.
	tick ticker

	// out has its own lock.
	out sender
	// in belongs to the holder of the reading role.
	in receiver
	// reading is safe for concurrent use, without a lock.
	reading reading
	// woken is safe for concurrent use.
	woken wakeups
}

// A receiver is what the reader of a session needs. It belongs to the holder of the
// reading role.
type receiver struct {
	// input has the bytes that have come.
	input
	// window counts them, and says when credit is due.
	window sessionWindow
	// names are the procedures that a caller has numbered. Server only.
	names procedureNames
	// cork holds back what the frames that came together cause to be sent.
	cork cork
	// alone is a call whose handler the reader is to run. Server only.
	alone *Stream
	// lonely is how many calls in a row were alone. Server only.
	lonely int
}

// New starts a session on a connection and waits until the peer has said its
// SETTINGS. It owns the connection and cfg.Account, also when it fails. timeout
// bounds the wait. before, if not nil, runs with the session before the first
// stream.
func New(conn Conn, cfg Config, timeout time.Duration, before func(*Session)) (*Session, error) {
	s := &Session{conn: conn, cfg: cfg.withDefaults(), server: cfg.Handler != nil}
	s.life.init()
	s.in.init(conn)
	if err := s.handshake(timeout); err != nil {
		if errors.Is(err, wire.ErrVersion) {
			conn.Write(goAwayFrame(wire.ReasonVersion, err.Error()))
		}
		conn.Close()
		discharge(cfg.Account)
		return nil, fmt.Errorf("session handshake: %w", err)
	}
	s.init()
	if before != nil {
		before(s)
	}
	go s.out.writeLoop()
	go s.readLoop()
	return s, nil
}

// handshake sends SETTINGS, reads those of the peer and has them judged.
func (s *Session) handshake(timeout time.Duration) error {
	own := s.cfg.settings()
	payload := own.Append(nil)
	frame := append(wire.MakeHeader(wire.TypeSettings, 0, 0, len(payload)).Append(nil), payload...)
	cut := time.AfterFunc(timeout, func() { s.conn.Close() })
	_, err := s.conn.Write(frame)
	if err == nil {
		err = s.readSettings()
	}
	if !cut.Stop() && err == nil {
		err = fmt.Errorf("no SETTINGS within %v", timeout)
	}
	if err == nil && s.cfg.CheckPeer != nil {
		if err = s.cfg.CheckPeer(s.peer.Identity); err != nil {
			Refuse(s.conn, err.Error())
		}
	}
	return err
}

// init prepares the parts of a session, now that the peer's settings are known.
func (s *Session) init() {
	limit := uint64(s.cfg.MaxStreams)
	s.out.init(s)
	s.out.credit = int64(s.peer.SessionWindow)
	if !s.server {
		limit = s.peer.MaxStreams
		s.out.numbers = procedureNumbers{}
	}
	s.table.init(limit)
	s.ids.limit, s.ids.ended = uint32(limit), s.life.ended
	s.mem.account, s.mem.most = s.cfg.Account, int64(s.cfg.SessionBuffer)
	s.reading.init()
	s.in.window.size = int64(s.cfg.SessionWindow)
	s.in.now = time.Now()
	s.in.lastRead.Store(s.in.now.UnixNano())
	c, foresees := s.conn.(foresighted)
	s.in.cork = cork{out: &s.out, life: &s.life, woken: &s.woken, always: s.server || !foresees, foresees: foresees}
	if foresees {
		c.BeforeRead(s.in.cork.pull)
	}
	s.tick.start(s)
}

// readSettings reads the first frame of the peer: SETTINGS, or GOAWAY if the peer
// refuses this side.
func (s *Session) readSettings() error {
	h, err := s.in.header()
	if err == nil {
		err = h.Check()
	}
	if err != nil {
		return err
	}
	if t := h.Type(); t != wire.TypeSettings && t != wire.TypeGoAway {
		return fmt.Errorf("want a SETTINGS frame, got %v", t)
	}
	p, err := s.in.payload(h.Len())
	if err != nil {
		return err
	}
	if h.Type() == wire.TypeGoAway {
		return goAwayError(p)
	}
	return s.peer.Parse(p)
}

// Refuse tells a peer on a new connection that it is not welcome, and why. The caller
// closes the connection. At most 512 bytes of why are sent.
func Refuse(conn Conn, why string) {
	conn.Write(goAwayFrame(wire.ReasonRefused, why))
}

// goAwayPayload is the payload of a GOAWAY frame.
func goAwayPayload(reason byte, text string) []byte {
	return append([]byte{reason}, text[:min(len(text), maxGoAwayText)]...)
}

// maxGoAwayText is how many bytes of a reason are sent.
const maxGoAwayText = 512

func goAwayFrame(reason byte, text string) []byte {
	p := goAwayPayload(reason, text)
	return append(wire.MakeHeader(wire.TypeGoAway, 0, 0, len(p)).Append(nil), p...)
}

// goAway sends GOAWAY. It is written before goAway returns if that needs no waiting,
// because the connection closes next if the reason is not a drain.
func (s *Session) goAway(reason byte, text string) {
	p := goAwayPayload(reason, text)
	s.out.now(wire.MakeHeader(wire.TypeGoAway, 0, 0, len(p)), p)
}

// protocolError says GOAWAY because the peer broke the protocol, and returns why
// the session ends.
func (s *Session) protocolError(err error) error {
	s.goAway(wire.ReasonProtocol, err.Error())
	return fmt.Errorf("the peer broke the protocol: %w", err)
}

// Closed returns a channel that is closed when the session has ended; [Session.Err]
// says why.
func (s *Session) Closed() <-chan struct{} { return s.life.ended }

// GoingAway returns a channel that is closed when the peer wants no new calls on this
// session. Calls under way go on.
func (s *Session) GoingAway() <-chan struct{} { return s.life.away }

// Drained returns a channel that is closed when this side begins to drain: handlers
// should come to an end.
func (s *Session) Drained() <-chan struct{} { return s.life.drained }

// Err returns why the session ended, or nil while it lives.
func (s *Session) Err() error { return s.life.Err() }

// Encodings returns the bit set of the encodings the peer has announced.
func (s *Session) Encodings() uint64 { return s.peer.Encodings }

// InFlight returns the number of streams that have not ended. Handlers of streams that
// have ended do not count.
func (s *Session) InFlight() int { return int(s.life.inflight.Load()) }

// Queued returns the number of callers that wait because the peer's limit of
// streams is reached.
func (s *Session) Queued() int { return int(s.ids.waiting.Load()) }

// Buffered returns how many bytes have come and were not consumed, and what their
// memory takes beyond them.
func (s *Session) Buffered() int64 { return s.mem.buffered.Load() }

// Unread returns how many of the buffered bytes are whole messages that no
// receiver has begun to take.
func (s *Session) Unread() int64 { return s.mem.unread.Load() }

// Blocked returns how many senders wait: for credit of the peer, or for room in the
// write buffer.
func (s *Session) Blocked() int { return s.out.blocked() }

// Close ends the session at once. Streams in flight fail. It waits for no handler.
func (s *Session) Close() { s.fail(ErrClosed) }

// Drain says GOAWAY, refuses new streams, and tells handlers. It returns a
// channel that is closed when no stream is left or the session has ended.
func (s *Session) Drain() <-chan struct{} {
	s.life.drain(func() { s.goAway(wire.ReasonDrain, "draining") })
	return s.life.idle
}

// fail ends the session: everything that waits on it is woken with err. The first
// reason counts. It must not be called with a lock held: cut takes them all.
func (s *Session) fail(err error) { s.life.end(err, s.cut) }

// cut is the rest of fail, when Err tells already. A goroutine that begins something
// looks at Err after cut can find it, so that nothing is left waiting.
func (s *Session) cut() {
	s.tick.stop()
	err := s.Err()
	if s.server { // before Recv and Send tell the handlers
		s.table.each(func(st *Stream) {
			st.mu.Lock()
			if st.owner == s {
				st.cancelLocked(err)
			}
			st.mu.Unlock()
		})
	}
	s.out.close(err)
	s.conn.Close() // ends the read and the write that wait
	s.ids.wakeAll()
	s.table.each(func(st *Stream) { st.sessionFailed(s) })
	s.life.setIdle()
	s.reading.unpark() // so that it ends
	if s.server {
		s.replaceReader(s.reading.lone.Load()) // it ends without waiting for the handler that it runs
	}
	if s.cfg.Ended != nil {
		s.cfg.Ended(s)
	}
}
