package session

import (
	"runtime"
	"time"
)

// The reader and the writing role. When a read of the connection brings more than one
// frame, those who are woken for them are about to send: handlers their answers,
// callers their next calls. If each of them wrote for itself, most writes would
// carry one frame. So the reader takes the writing role when it sees that
// another frame is there, and writes for all of them when the frames are used
// up: a server's at the end of each record, because its caller may wait for
// them; a caller's when there are enough of them or the next read may wait.

const (
	// maxYields is how often the reader lets others run before it writes, and
	// maxYield about how long, at most: who was woken runs within a few turns,
	// unless the process has more to do than calls.
	maxYields = 16
	maxYield  = 100 * time.Microsecond
	// share is which part of the calls in flight is worth a write of its own
	// while there are frames that have come and wait to be handled. With fewer
	// the system calls cost more than the calls, with more the two sides wait
	// for each other.
	share = 16
)

// cork takes the writing role for the reader if it is free.
func (s *Session) cork() {
	s.wmu.Lock()
	s.corked = s.leadLocked()
	s.wmu.Unlock()
}

// enough reports whether the buffer holds as many calls as are worth a write
// though more frames have come.
func (s *Session) enough() bool {
	if s.server || !s.foresees {
		return true
	}
	s.letWokenRun()
	s.wmu.Lock()
	n := s.calls
	s.wmu.Unlock()
	return n*share >= s.life.inflight.Load()
}

// uncork writes what came together, and gives the role back. The reader calls
// it before a read that may wait.
func (s *Session) uncork() {
	if !s.corked {
		return
	}
	s.corked = false
	s.letWokenRun()
	mode := flushNow
	if s.life.inflight.Load() > 0 {
		mode = flushYield
	}
	s.flush(mode)
}

// letWokenRun lets callers and handlers that were woken run, so that their next
// calls and their answers are in the buffer.
func (s *Session) letWokenRun() {
	if s.woken.Load() == 0 {
		return
	}
	begin := nanotime()
	for range maxYields {
		runtime.Gosched()
		if s.woken.Load() == 0 || nanotime()-begin > int64(maxYield) {
			return
		}
	}
}
