package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// errRole is returned by read when the reading role is to be given up.
var errRole = errors.New("reading role given up")

// read takes frames from the connection and acts on them, until the connection fails or,
// on a caller's side, the role is to be given up: by a lone caller when its
// call has ended or the tick interrupts it, by the reader goroutine (lone nil)
// when the last call in flight has ended.
func (s *Session) read(lone *Stream) error {
	err := s.readFrames(lone)
	s.uncork()
	return err
}

func (s *Session) readFrames(lone *Stream) error {
	ended := false // a call has ended since the role was taken
	for {
		if !s.in.whole(0) {
			if lone != nil && lone.over() || lone == nil && ended && !s.server && s.life.inflight.Load() == 0 {
				return errRole
			}
			if s.corked && s.enough() {
				s.uncork()
			}
		}
		h, err := s.in.header()
		if err == nil {
			if err := h.Check(); err != nil {
				return s.protocolError(err)
			}
		}
		var p []byte
		ahead := 0 // bytes before the next frame
		if err == nil && h.Type() == wire.TypeData {
			ahead = h.Len()
		} else if err == nil {
			if p, err = s.payload(h.Len()); err != nil {
				return errors.Unwrap(err)
			}
		}
		switch {
		case err == nil:
		case isTimeout(err):
			s.resumeReading()
			if lone != nil {
				return errRole
			}
			continue
		default:
			return err
		}
		if lone == nil && !s.corked && s.in.whole(ahead) {
			s.cork()
		}
		switch h.Type() {
		case wire.TypeData:
			err = s.onData(h)
		case wire.TypeStatus:
			ended = true
			err = s.onStatus(h, p)
		case wire.TypeOpen:
			err = s.onOpen(h, p)
		case wire.TypeEnd:
			err = s.onEnd(h)
		case wire.TypeReset:
			err = s.onReset(h, p)
		case wire.TypeHeader:
			err = s.onHeader(h, p)
		case wire.TypeCredit:
			err = s.onCredit(h, p)
		case wire.TypePing:
			s.control(wire.MakeHeader(wire.TypePong, 0, 0, len(p)), p)
		case wire.TypeGoAway:
			err = s.onGoAway(p)
		case wire.TypeSettings:
			err = errors.New("a second SETTINGS frame")
		}
		if err != nil {
			var conn *connError
			if errors.As(err, &conn) {
				return conn.err
			}
			return s.protocolError(err)
		}
	}
}

// A connError is a failure of the connection in the midst of a frame.
type connError struct{ err error }

func (e *connError) Error() string { return e.err.Error() }
func (e *connError) Unwrap() error { return e.err }

// wasRead notes the time of a read of the connection.
func (s *Session) wasRead() {
	s.now = time.Now()
	s.lastRecv.Store(s.now.UnixNano())
}

// stream returns the stream of a frame, locked, or nil if it has ended.
func (s *Session) stream(id uint32) *Stream {
	cell := s.table.at(id)
	if cell == nil {
		return nil
	}
	st := cell.Load()
	if st == nil {
		return nil
	}
	st.mu.Lock()
	if st.owner != s || st.id != id {
		st.mu.Unlock()
		return nil
	}
	return st
}

// spent counts message bytes of the session's credit, and returns it a quarter of
// the window at a time: when bytes have come, whether or not anybody
// takes them, so that a stream that nobody reads holds up no other. What may wait
// is bounded by the windows of the streams and by hold.
func (s *Session) spent(cost int64) {
	s.owed += cost
	if s.owed >= int64(s.cfg.SessionWindow)/4 {
		s.sendCredit(0, s.owed)
		s.owed = 0
	}
}

func (s *Session) onData(h wire.Header) error {
	n := h.Len()
	cost := int64(n + wire.FrameCost)
	s.spent(cost)
	var p []byte
	if n < bulk {
		var err error
		if p, err = s.payload(n); err != nil {
			return err
		}
	}
	st := s.stream(h.ID())
	if st == nil || st.ended || st.err != nil || st.recvEnd && !s.server {
		if st != nil {
			st.mu.Unlock()
		}
		return s.skip(n - len(p))
	}
	if st.recvEnd {
		st.mu.Unlock()
		return errors.New("DATA after the end of the stream")
	}
	more, end := h.Has(wire.FlagMore), h.Has(wire.FlagEnd)
	if more && end {
		st.mu.Unlock()
		return errors.New("DATA that is the end and goes on")
	}
	if st.allowance -= cost; st.allowance < 0 {
		st.mu.Unlock()
		return errWindow
	}
	large := more || st.inPart || n >= bulk
	held := int64(n) + perMessage
	if large {
		held = st.partCharge(n, more)
	}
	if f := s.admitBytes(st, n, held, large); f != nil {
		return s.reject(st, f, n-len(p))
	}
	if large {
		return s.onPart(st, p, n, held, more, end)
	}
	s.pushLocked(st, p)
	if end {
		st.recvEnd = true
	}
	st.wakeForMessage()
	return nil
}

// payload is input.payload, not to be interrupted.
func (s *Session) payload(n int) ([]byte, error) {
	for {
		p, err := s.in.payload(n)
		if err == nil {
			return p, nil
		}
		if !isTimeout(err) {
			return nil, &connError{err}
		}
		s.resumeReading()
	}
}

// admitBytes checks the size of a message that grows by n bytes, and accounts
// for the memory it takes. st is locked.
func (s *Session) admitBytes(st *Stream, n int, held int64, large bool) *Error {
	size := len(st.part) + n
	switch {
	case size > st.MaxReceive:
		return tooLarge(size, st.MaxReceive, st.LimitSetBy)
	case st.endOnly && len(st.q) > 0:
		return &Error{Code: wire.CodeInternal, Message: "more than one response to a unary call"}
	case large && !s.mem.roomForParts(held, st.MaxReceive):
		return errParting
	}
	if err := s.mem.hold(held); err != nil {
		s.mem.release(held)
		return noMemory(err)
	}
	return nil
}

// pushLocked queues a message that hold has accounted for.
func (s *Session) pushLocked(st *Stream, p []byte) {
	st.growQueueLocked(4 + len(p))
	st.q = binary.LittleEndian.AppendUint32(st.q, uint32(len(p)))
	st.q = append(st.q, p...)
	s.mem.unread.Add(perMessage + int64(len(p)))
}

// pushBigLocked is pushLocked for a large message.
func (s *Session) pushBigLocked(st *Stream, m bigMessage) {
	st.bigs = append(st.bigs, m)
	st.q = appendUint32(st.q, bigMark)
	s.mem.unread.Add(m.held)
}

// wakeForMessage unlocks st, and wakes its receiver unless it waits for the
// end only.
func (st *Stream) wakeForMessage() {
	if st.endOnly {
		st.mu.Unlock()
		return
	}
	st.unlockWake()
}

// onPart takes n bytes of a large message, p if they have been read, for which
// held has been accounted. st is locked. The message grows with the bytes that
// come.
func (s *Session) onPart(st *Stream, p []byte, n int, held int64, more, end bool) error {
	if !st.inPart {
		st.inPart, st.partCost, st.partHeld = true, 0, 0
	}
	st.partHeld += held
	s.mem.parting.Add(held)
	size := len(st.part)
	st.part = growPart(st.part, size+n, more)
	if n < bulk {
		copy(st.part[size:], p)
	} else {
		dst, id := st.part[size:], st.id
		st.mu.Unlock()
		if err := s.in.into(dst); err != nil {
			return &connError{err}
		}
		st.mu.Lock()
		if st.owner != s || st.id != id || st.ended {
			st.mu.Unlock() // whoever ended it has released the bytes
			return nil
		}
	}
	st.partCost += int64(n + wire.FrameCost)
	if more {
		s.creditPart(st)
		return nil
	}
	m := bigMessage{st.part, st.partCost, st.partHeld}
	st.dropPartLocked()
	s.pushBigLocked(st, m)
	if end {
		st.recvEnd = true
	}
	st.wakeForMessage()
	return nil
}

// dropPartLocked makes st forget the large message that comes, and returns how
// many bytes it counted as buffered.
func (st *Stream) dropPartLocked() int64 {
	if !st.inPart {
		return 0
	}
	n := st.partHeld
	st.s.mem.parting.Add(-n)
	st.part, st.inPart, st.partCost, st.partHeld = nil, false, 0, 0
	return n
}

// creditPart unlocks st. If the receiver waits for the message that comes, its
// parts are credited as they come, so that it may be larger than the window.
func (s *Session) creditPart(st *Stream) {
	defer st.mu.Unlock()
	n := st.partCost
	if !st.waiting && !st.endOnly || n < st.window/4 {
		return
	}
	st.partCost = 0
	if !s.corked {
		s.cork() // the reader writes it, and need not wake the writer
	}
	st.grantLocked(n)
}

// partCharge is how many bytes more st counts as buffered when n bytes of a
// large message come: what its memory grows by.
func (st *Stream) partCharge(n int, more bool) int64 {
	have := cap(st.part)
	held := int64(partRoom(have, len(st.part)+n, more) - have)
	if !st.inPart {
		held += perMessage
	}
	return held
}

// partRoom is the room that a large message of size bytes so far, which has some
// already, is to have: if more follow four times as much while it is little, so
// that little is copied. Whoever sends smaller parts than this package does gets
// no more than twice their size.
func partRoom(have, size int, more bool) int {
	room := size
	switch {
	case size <= have:
		return have
	case !more:
	case size < bulk:
		room = 2 * size
	case have < 2*part:
		room = max(size, 2*part)
	case have < 1<<20:
		room = max(size, 4*have)
	}
	if room >= bulk {
		room = bigCap(room)
	}
	return room
}

// growPart returns b, which holds a large message so far, with size bytes.
func growPart(b []byte, size int, more bool) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	room := partRoom(cap(b), size, more)
	var grown []byte
	if room >= bulk {
		grown = getBig(room)[:size]
	} else {
		grown = make([]byte, size, room)
	}
	copy(grown, b)
	putBig(b)
	return grown
}

// reject ends a stream whose message cannot be taken, and skips n bytes of it.
// st is locked.
func (s *Session) reject(st *Stream, f *Error, n int) error {
	if s.server {
		st.cutLocked(statusOf(f), f)
	} else {
		st.err = f // whoever uses the stream tells the server
		st.unlockWake()
	}
	return s.skip(n)
}

func (s *Session) skip(n int) error {
	if err := s.in.skip(n); err != nil {
		return &connError{err}
	}
	return nil
}

func (s *Session) onStatus(h wire.Header, p []byte) error {
	if s.server {
		return errors.New("STATUS from a caller")
	}
	st := s.stream(h.ID())
	if st == nil {
		return fmt.Errorf("STATUS for stream %d, which is not open", h.ID())
	}
	if st.hasStatus || !st.opened.Load() {
		st.mu.Unlock()
		return fmt.Errorf("STATUS for stream %d, which is not open", h.ID())
	}
	s.life.inflight.Add(-1)
	if !st.sendDone.Load() {
		st.stopSend(io.EOF)
	}
	st.hasStatus, st.recvEnd = true, true
	if st.inPart && len(p) == 0 {
		p = brokenStatus
	}
	if st.partHeld > 0 {
		defer s.mem.release(st.dropPartLocked()) // the server gave up in the midst of a message
	}
	if err := st.holdBeside(p); err != nil {
		p = statusOf(noMemory(err))
	}
	st.status = append(st.status[:0], p...)
	cell, id, pooled, ended := st.cell, st.id, st.pooled, st.ended
	if !pooled || ended {
		cell.Store(nil)
	}
	if st.waiting && st.endOnly {
		st.counted = true
		s.woken.Add(1)
	}
	st.unlockWake()
	if !pooled || ended {
		s.ids.put(id)
	}
	if pooled && ended {
		st.recycle()
	}
	s.life.checkIdle()
	return nil
}

func (s *Session) onHeader(h wire.Header, p []byte) error {
	if s.server {
		return errors.New("HEADER from a caller")
	}
	st := s.stream(h.ID())
	if st == nil {
		return nil
	}
	if st.header != nil || st.ended || st.err != nil {
		st.mu.Unlock()
		return nil
	}
	if err := st.holdBeside(p); err != nil {
		return s.reject(st, noMemory(err), 0)
	}
	st.header = append([]byte{}, p...)
	st.mu.Unlock()
	return nil
}

func (s *Session) onEnd(h wire.Header) error {
	if !s.server {
		return errors.New("END from a server")
	}
	if st := s.stream(h.ID()); st != nil {
		if st.inPart {
			st.mu.Unlock()
			return errors.New("END in the midst of a message")
		}
		st.recvEnd = true
		st.unlockWake()
	}
	return nil
}

func (s *Session) onCredit(h wire.Header, p []byte) error {
	if len(p) != 4 {
		return fmt.Errorf("CREDIT frame of %d bytes, want 4", len(p))
	}
	n := int64(binary.LittleEndian.Uint32(p))
	if h.ID() == 0 {
		return s.addCredit(nil, n)
	}
	st := s.stream(h.ID())
	if st == nil {
		return nil // it has just ended
	}
	defer st.mu.Unlock() // it cannot change hands meanwhile
	return s.addCredit(st, n)
}

func (s *Session) onGoAway(p []byte) error {
	s.life.peerLeaves()
	if len(p) > 0 && p[0] != wire.ReasonDrain {
		return &connError{goAwayError(p)} // the peer closes the connection
	}
	return nil
}
