package session

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// This file is what frames do that are neither messages nor the beginning or the end
// of a call. All of it runs on the holder of the reading role.

// stream returns the stream of a frame, locked, or nil if it has ended. While it is
// locked it cannot become another call's.
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

// onHeader takes the metadata that comes before the first message. A second HEADER
// is dropped.
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

// onEnd takes the end of what a caller sends. That of a stream that has ended is
// dropped: the caller may not know yet.
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

// onCredit lets this side send more, on a stream or, with id 0, on the session.
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

// onGoAway notes that the peer wants no new streams, or, if the reason is any other
// than a drain, ends the session with what the peer said.
func (s *Session) onGoAway(p []byte) error {
	s.life.peerLeaves()
	if len(p) > 0 && p[0] != wire.ReasonDrain {
		return &connError{goAwayError(p)} // the peer closes the connection
	}
	return nil
}
