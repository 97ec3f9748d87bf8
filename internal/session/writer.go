package session

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

const (
	// roomSmall is the size of the write buffer above which senders wait.
	roomSmall = 512 << 10
	// part is the size of the parts of a large message.
	part = 32 << 10
	// roomBulk is roomSmall for such parts: one in the buffer and one being
	// written, so that a small frame never has more than 64 KiB of large
	// messages in front of it.
	roomBulk = part
	// bulk is from which size on a message is sent in such parts.
	bulk = 16 << 10
	// roomControl is the size at which a peer that does not read its socket
	// has made us owe it too many answers.
	roomControl = 4 << 20
	// keepBuffer is the largest write buffer that is kept for the next round.
	keepBuffer = 2 * roomSmall
	// tolerated is how many bytes may wait for a peer that has its share.
	tolerated = roomSmall
)

// errNotReading is why a session ends whose peer asks and never reads.
var errNotReading = errors.New("the peer does not read what it asked for")

// A flushMode says who writes what was just appended.
type flushMode uint8

const (
	flushNow    flushMode = iota // the appending goroutine, at once
	flushYield                   // the same, after others have run once
	flushAsync                   // the writer goroutine
	flushStream                  // as [Stream.streamFlush] decides
)

// leadLocked takes the writing role if it is free, and reports whether the
// caller now has it and must call flush. wmu is held.
func (s *Session) leadLocked() bool {
	lead := !s.writing
	s.writing = true
	return lead
}

// flush writes what the buffer holds, and what others add meanwhile, and gives
// the writing role back. It never waits for the peer to read: callers have a
// context to honour, and a reader that waited for a peer whose reader waits for
// it would wait for ever. The writer goroutine writes what the connection does not take
// at once.
func (s *Session) flush(mode flushMode) {
	switch {
	case mode == flushAsync || s.some == nil:
		s.kick <- struct{}{} // has room: only the holder of the role sends
		return
	case mode == flushYield:
		runtime.Gosched()
	}
	s.wmu.Lock()
	for rounds := 0; len(s.wbuf) > 0 && s.werr == nil; rounds++ {
		if rounds == 4 || !s.writeSomeLocked() { // a caller writes for others only so long
			s.wmu.Unlock()
			s.kick <- struct{}{}
			return
		}
	}
	s.writing = false
	s.wakeSendersLocked() // who writes its own large part wakes nobody else
	s.wmu.Unlock()
}

// writeLoop is the writer goroutine.
func (s *Session) writeLoop() {
	for {
		select {
		case <-s.kick:
		case <-s.life.ended:
			return
		}
		if s.some != nil {
			s.writeWaiting(s.some.Flush)
		}
		s.wmu.Lock()
		for len(s.wbuf) > 0 && s.werr == nil {
			b := s.takeBufferLocked()
			s.writeWaiting(func() error {
				_, err := s.conn.Write(b)
				return err
			})
			s.wmu.Lock()
			s.keepBufferLocked(b)
		}
		s.writing = false
		s.wmu.Unlock()
	}
}

// writeWaiting runs a write that may wait for the peer, under the eye of
// writeStalled.
func (s *Session) writeWaiting(write func() error) {
	s.writeSeq.Add(1)
	err := write()
	s.writeSeq.Add(1)
	if err != nil {
		s.fail(err)
	}
}

// writeSomeLocked writes the buffer, and reports whether the connection has taken all
// of it. wmu is held before and after, not during.
func (s *Session) writeSomeLocked() (done bool) {
	b := s.takeBufferLocked()
	done = s.writeSome(b, nil)
	s.wmu.Lock()
	s.keepBufferLocked(b)
	return done
}

// writeSome writes two slices as one, and reports whether the connection has taken all
// of them. The caller has the writing role.
func (s *Session) writeSome(a, b []byte) (done bool) {
	done, err := s.some.WriteSome(a, b)
	if err != nil {
		s.fail(err)
	}
	return done
}

// takeBufferLocked takes the buffer to write it, and unlocks wmu.
func (s *Session) takeBufferLocked() []byte {
	b := s.wbuf
	s.calls = 0
	s.wbuf = s.wspare[:0]
	s.wspare = nil
	s.wakeSendersLocked() // there is room again
	s.wmu.Unlock()
	return b
}

// keepBufferLocked keeps a buffer that was written for the next round.
func (s *Session) keepBufferLocked(b []byte) {
	if cap(b) <= keepBuffer {
		s.wspare = b
	}
}

// control sends a frame that needs no credit. It never waits.
func (s *Session) control(h wire.Header, p []byte) {
	s.wmu.Lock()
	lead := s.controlLocked(h, p)
	s.wmu.Unlock()
	if lead {
		s.flush(flushAsync)
	}
}

// controlLocked is control with wmu held; the caller flushes if it returns
// true.
func (s *Session) controlLocked(h wire.Header, p []byte) (lead bool) {
	if s.werr != nil {
		return false
	}
	if len(s.wbuf) > roomControl {
		go s.fail(errNotReading)
		return false
	}
	s.wbuf = append(h.Append(s.wbuf), p...)
	s.countBuffersLocked()
	return s.leadLocked()
}

func (s *Session) sendCredit(id uint32, n int64) {
	if n <= 0 {
		return
	}
	var p [4]byte
	s.control(wire.MakeHeader(wire.TypeCredit, 0, id, 4), appendUint32(p[:0], uint32(n)))
}

// dropBuffersLocked gives an idle session's write buffers back.
func (s *Session) dropBuffersLocked() {
	if !s.writing && len(s.wbuf) == 0 {
		s.wbuf, s.wspare = nil, nil
		s.uncountBuffersLocked()
	}
}

// countBuffersLocked accounts for a write buffer that has grown: for it and for
// another of its size, which is being written or is kept. A peer that does not
// read what it asked for, and has its share, loses the session: not before
// tolerated bytes wait for it, since refusals are answers too. wmu is held.
func (s *Session) countBuffersLocked() {
	if cap(s.wbuf) <= memoryBlock || 2*int64(cap(s.wbuf)) <= s.counted || s.cfg.Account == nil || s.settled {
		return
	}
	a := s.cfg.Account
	n := 2*int64(cap(s.wbuf)) - s.counted
	if err := a.Take(a.Budget().Unsent, n); err != nil {
		if len(s.wbuf) <= tolerated {
			return
		}
		go s.fail(fmt.Errorf("%d bytes wait to be sent: %w", len(s.wbuf), err))
		return
	}
	s.counted += n
}

// uncountBuffersLocked gives back what countBuffersLocked has taken. wmu is
// held.
func (s *Session) uncountBuffersLocked() {
	if s.counted > 0 {
		a := s.cfg.Account
		a.Give(a.Budget().Unsent, s.counted)
		s.counted = 0
	}
}

// settleBuffers gives back what is counted, when the session has ended.
func (s *Session) settleBuffers() {
	s.wmu.Lock()
	s.settled = true
	s.uncountBuffersLocked()
	s.wmu.Unlock()
}

// unsent reports whether frames wait to be written or are being written.
func (s *Session) unsent() bool {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	return s.writing || len(s.wbuf) > 0
}
