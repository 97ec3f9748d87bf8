package session

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// This file is what frames other than OPEN and STATUS do. All of it runs on the
// holder of the reading role. An error of a handler of frames ends the session: a
// *connError as what it is, any other as the peer's breach of the protocol.

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
	if st.owner != s || st.id != id { // it has ended meanwhile, and may be another call's
		st.mu.Unlock()
		return nil
	}
	return st
}

// spent counts message bytes that have come, and gives the session's credit back.
func (s *Session) spent(cost int64) {
	if n := s.in.window.spend(cost); n > 0 {
		s.out.giveCredit(0, n)
	}
}

// onData takes a message, or a part of one, whose header has been read.
func (s *Session) onData(h wire.Header) error {
	n := h.Len()
	cost := int64(n + wire.FrameCost)
	s.spent(cost) // also for a stream that has ended: the peer may not know yet
	var p []byte
	if n < bulk { // a larger part is read into the message itself
		var err error
		if p, err = s.in.payload(n); err != nil {
			return err
		}
	}
	st := s.stream(h.ID())
	if st == nil {
		return s.in.skip(n - len(p))
	}
	if st.end.done || st.end.err != nil || st.end.noMore && !s.server {
		st.mu.Unlock() // nothing takes it any more
		return s.in.skip(n - len(p))
	}
	more, end := h.Has(wire.FlagMore), h.Has(wire.FlagEnd)
	if err := st.checkDataLocked(more, end, cost); err != nil {
		st.mu.Unlock()
		return err
	}
	large := more || st.in.part.coming || n >= bulk
	held := int64(n) + perMessage
	if large {
		held = st.in.part.charge(n, more)
	}
	if e := s.admitBytes(st, n, held, large); e != nil {
		return s.reject(st, e, n-len(p))
	}
	if large {
		return s.onPart(st, p, n, held, more, end)
	}
	s.mem.unread.Add(st.in.queue.push(p))
	st.end.noMore = end
	st.unlockMessage()
	return nil
}

// admitBytes checks the size of a message that grows by n bytes, and counts
// the memory it takes. st is locked.
func (s *Session) admitBytes(st *Stream, n int, held int64, large bool) *Error {
	size := len(st.in.part.b) + n
	switch {
	case size > st.MaxReceive:
		return tooLarge(size, st.MaxReceive, st.LimitSetBy)
	case st.wait.endOnly && !st.in.queue.empty():
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

// onPart takes n bytes of a large message, p if they have been read, for which
// held has been counted. st is locked. The message grows with the bytes that
// come.
func (s *Session) onPart(st *Stream, p []byte, n int, held int64, more, end bool) error {
	s.mem.parting.Add(held)
	dst := st.in.part.extend(n, held, more)
	if n < bulk {
		copy(dst, p)
	} else {
		id := st.id
		st.mu.Unlock() // reading may wait
		if err := s.in.into(dst); err != nil {
			return err
		}
		st.mu.Lock()
		if st.owner != s || st.id != id || st.end.done {
			st.mu.Unlock() // whoever ended it has released the bytes
			return nil
		}
	}
	st.in.part.cost += int64(n + wire.FrameCost)
	if more {
		s.creditPart(st)
		return nil
	}
	m := bigMessage{st.in.part.b, st.in.part.cost, st.in.part.held}
	st.dropPartLocked()
	st.in.queue.pushBig(m)
	s.mem.unread.Add(m.held)
	st.end.noMore = end
	st.unlockMessage()
	return nil
}

// creditPart unlocks st. If the receiver waits for the message that comes, its
// parts are credited as they come, so that it may be larger than the window.
func (s *Session) creditPart(st *Stream) {
	defer st.mu.Unlock()
	n := st.in.part.cost
	if !st.wait.waiting && !st.wait.endOnly || n < st.in.window.size/4 {
		return
	}
	st.in.part.cost = 0
	if !s.in.cork.in {
		s.in.cork.put() // the reader writes the credit, and need not wake the writer
	}
	st.grantLocked(n)
}

// reject ends a stream whose message cannot be taken, and skips n bytes of it.
// st is locked.
func (s *Session) reject(st *Stream, e *Error, n int) error {
	if s.server {
		st.cutLocked(statusOf(e), e)
	} else {
		st.end.err = e // whoever uses the stream tells the server
		st.unlockWake()
	}
	return s.in.skip(n)
}

// onHeader takes the metadata that comes before the first message.
func (s *Session) onHeader(h wire.Header, p []byte) error {
	if s.server {
		return errors.New("HEADER from a caller")
	}
	st := s.stream(h.ID())
	if st == nil {
		return nil
	}
	if st.in.header != nil || st.end.done || st.end.err != nil {
		st.mu.Unlock()
		return nil
	}
	if err := st.holdBesideLocked(p); err != nil {
		return s.reject(st, noMemory(err), 0)
	}
	st.in.header = append([]byte{}, p...) // not nil: a second one is dropped
	st.mu.Unlock()
	return nil
}

// onEnd takes the end of what a caller sends.
func (s *Session) onEnd(h wire.Header) error {
	if !s.server {
		return errors.New("END from a server")
	}
	st := s.stream(h.ID())
	if st == nil {
		return nil
	}
	if st.in.part.coming {
		st.mu.Unlock()
		return errors.New("END in the midst of a message")
	}
	st.end.noMore = true
	st.unlockWake()
	return nil
}

// onCredit lets this side send more.
func (s *Session) onCredit(h wire.Header, p []byte) error {
	if len(p) != 4 {
		return fmt.Errorf("CREDIT frame of %d bytes, want 4", len(p))
	}
	n := int64(binary.LittleEndian.Uint32(p))
	if h.ID() == 0 {
		return s.out.addCredit(nil, n)
	}
	st := s.stream(h.ID())
	if st == nil {
		return nil // it has just ended
	}
	defer st.mu.Unlock() // it cannot change hands meanwhile
	return s.out.addCredit(&st.out, n)
}

// onGoAway notes that the peer wants no new streams, or ends the session.
func (s *Session) onGoAway(p []byte) error {
	s.life.peerLeaves()
	if len(p) > 0 && p[0] != wire.ReasonDrain {
		return &connError{goAwayError(p)} // the peer closes the connection
	}
	return nil
}
