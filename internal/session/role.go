package session

import (
	"errors"
	"time"
)

// A role is held by one goroutine at a time. It is not a mutex because whoever
// waits for it waits long: for a frame, which in a synctest bubble may need time
// to pass.
type role chan struct{}

func (r role) lock()   { r <- struct{}{} }
func (r role) unlock() { <-r }

func (r role) tryLock() bool {
	select {
	case r <- struct{}{}:
		return true
	default:
		return false
	}
}

// errReaderExit is why a session ends whose inline handler has called
// runtime.Goexit.
var errReaderExit = errors.New("an inline handler ended the goroutine that reads")

// readLoop is the reader goroutine. On a server it reads until the end. On a
// caller's side it shares the reading role with lone callers: it parks when
// nothing is in flight, and reads again when there is more than one call, or
// after a pause, so that an idle session still hears its peer.
func (s *Session) readLoop() {
	s.in.read = s.wasRead
	defer s.fail(errReaderExit)
	for {
		s.role.lock()
		err := s.read(nil)
		if err != errRole {
			s.fail(err)
			s.settleBuffers()
			s.mem.settleAll()
			s.role.unlock()
			return
		}
		s.parked.Store(true)
		s.role.unlock()
		s.tick.hurry()
		if s.life.inflight.Load() > 0 { // came between errRole and parked
			s.unpark()
		}
		<-s.wakeReader
	}
}

func (s *Session) unpark() {
	if s.parked.CompareAndSwap(true, false) {
		s.wakeParked()
	}
}

func (s *Session) wakeParked() {
	select {
	case s.wakeReader <- struct{}{}:
	default: // it will find a token
	}
}

// wantReader makes sure that somebody reads for a call that does not itself.
func (s *Session) wantReader() {
	if s.parked.Load() {
		s.unpark()
	}
}

// readAlone reads the connection on behalf of st, the only call in flight, until it
// ends. If somebody else reads, or the tick finds that it takes long, the
// reader goroutine does.
func (s *Session) readAlone(st *Stream) {
	if !s.parked.Load() || !s.role.tryLock() {
		s.wantReader()
		return
	}
	s.lone.Add(1)
	s.tick.hurry()
	err := s.read(st)
	s.lone.Add(1)
	s.role.unlock()
	switch {
	case err != errRole:
		s.fail(err)
	case !st.over() || s.life.inflight.Load() > 0:
		s.wantReader()
	}
}

// over reports whether a call has ended.
func (st *Stream) over() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.hasStatus || st.err != nil
}

// interruptLone makes a lone caller give the role up.
func (s *Session) interruptLone() { s.conn.SetReadDeadline(time.Unix(1, 0)) }

// resumeReading makes the connection readable again after an interruption.
func (s *Session) resumeReading() { s.conn.SetReadDeadline(time.Time{}) }
