package session

import (
	"encoding/binary"
	"io"
	"slices"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

func appendUint32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }

// lost is the error of who sends on a session that has ended. Nothing is sent any
// more, so a call that has not been opened is one that no handler will see. wmu
// is held.
func (st *Stream) lost() error {
	if st.opened.Load() {
		return st.s.lost()
	}
	return unprocessed(st.s.lost())
}

// reserve waits until a frame with n message bytes may be appended for st, and
// takes the credit. It returns with wmu held if err is nil. done interrupts.
func (s *Session) reserve(st *Stream, n int, done <-chan struct{}) error {
	cost := int64(n + wire.FrameCost)
	room := roomSmall
	if n >= bulk {
		room = roomBulk
	}
	s.wmu.Lock()
	turn := n < bulk || len(s.waiters) == 0 // large parts go in the order they came
	for {
		switch {
		case s.werr != nil:
			err := st.lost()
			s.wmu.Unlock()
			return err
		case st.sendErr != nil:
			err := st.sendErr
			s.wakeSendersLocked() // the room st was woken for is another's
			s.wmu.Unlock()
			return err
		case turn && len(s.wbuf) < room && st.sendCredit >= cost && s.credit >= cost:
			st.sendCredit -= cost
			s.credit -= cost
			return nil
		}
		st.want, st.wantRoom = cost, room
		if st.sendWake == nil {
			st.sendWake = make(chan struct{}, 1)
		}
		if !st.sendWaits {
			st.sendWaits = true
			s.waiters = append(s.waiters, st)
		}
		if !turn { // those before it may wait for credit of their own
			s.wakeSendersLocked()
		}
		wake := st.sendWake
		s.wmu.Unlock()
		select {
		case <-wake:
			turn = true
		case <-done:
			s.wmu.Lock()
			if st.sendWaits {
				st.sendWaits = false
				s.waiters = slices.DeleteFunc(s.waiters, func(w *Stream) bool { return w == st })
			}
			s.wakeSendersLocked() // the room st was woken for is another's
			s.wmu.Unlock()
			return errInterrupted
		}
		s.wmu.Lock()
	}
}

// wakeSendersLocked wakes the senders that can go on, in the order they came.
func (s *Session) wakeSendersLocked() {
	if len(s.waiters) == 0 {
		return
	}
	credit, size := s.credit, len(s.wbuf)
	s.waiters = slices.DeleteFunc(s.waiters, func(st *Stream) bool {
		ok := st.sendErr != nil || st.sendCredit >= st.want && credit >= st.want && size < st.wantRoom
		if ok {
			credit -= st.want
			size += int(st.want)
			st.sendWaits = false
			st.wakeSender()
		}
		return ok
	})
}

func (st *Stream) wakeSender() {
	select {
	case st.sendWake <- struct{}{}:
	default:
	}
}

// addCredit lets a stream, or the session if st is nil, send n bytes more.
func (s *Session) addCredit(st *Stream, n int64) error {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	if st == nil {
		if s.credit += n; s.credit > maxCredit {
			return errCredit
		}
	} else {
		if st.sendCredit += n; st.sendCredit > maxCredit {
			return errCredit
		}
	}
	s.wakeSendersLocked()
	return nil
}

// stopSend makes every later send on st fail with err.
func (st *Stream) stopSend(err error) {
	s := st.s
	s.wmu.Lock()
	if st.sendErr == nil {
		st.sendErr = err
		if st.sendWaits {
			st.sendWaits = false
			s.waiters = slices.DeleteFunc(s.waiters, func(w *Stream) bool { return w == st })
			st.wakeSender()
		}
	}
	s.wmu.Unlock()
}

// Send sends one message, and with end nothing after it. It waits for credit
// and keeps nothing of msg; done interrupts. io.EOF says that the peer has
// ended the stream. Not safe for concurrent use with itself.
func (st *Stream) Send(msg []byte, end bool, done <-chan struct{}) error {
	return st.send(msg, end, done, flushStream)
}

// send sends msg in parts, the first with OPEN if the
// stream has not been opened.
func (st *Stream) send(msg []byte, end bool, done <-chan struct{}, mode flushMode) error {
	s := st.s
	if st.sendDone.Load() {
		return errSendClosed
	}
	for first := true; ; first = false {
		n := min(len(msg), part)
		if err := s.reserve(st, n, done); err != nil {
			if !first { // nothing may follow half a message
				st.stopSend(err)
			}
			return err
		}
		var flags uint64
		switch {
		case n < len(msg):
			flags = wire.FlagMore
		case end:
			flags = wire.FlagEnd
			st.sendDone.Store(true)
		}
		if !st.opened.Load() {
			st.openLocked(msg[:n], true, flags)
			lead := s.leadLocked()
			s.wmu.Unlock()
			if lead {
				s.flush(mode)
			}
		} else {
			s.writeDataLocked(st, wire.MakeHeader(wire.TypeData, flags, st.id, n), msg[:n], mode)
		}
		if msg = msg[n:]; flags != wire.FlagMore {
			return nil
		}
	}
}

// writeDataLocked sends a DATA frame: a large one straight from p if nobody
// writes, others through the buffer. wmu is held before, not after.
func (s *Session) writeDataLocked(st *Stream, h wire.Header, p []byte, mode flushMode) {
	if len(p) >= bulk && s.some != nil && !s.writing && len(s.wbuf) == 0 {
		s.writing = true
		s.wmu.Unlock()
		if s.writeSome(h.Append(s.head[:0]), p) {
			s.flush(flushNow) // what others have added
		} else {
			s.flush(flushAsync)
		}
		return
	}
	s.wbuf = append(h.Append(s.wbuf), p...)
	s.countBuffersLocked()
	lead := s.leadLocked()
	s.wmu.Unlock()
	switch {
	case lead && mode == flushStream:
		s.flush(st.streamFlush())
	case lead:
		s.flush(mode)
	default:
		st.joined = true
	}
}

// streamFlush decides who writes a message of a stream that finds nobody
// writing: the sender while it sends now and then, for the sake of latency; the
// writer goroutine when one message follows another, so that many share a
// write.
func (st *Stream) streamFlush() flushMode {
	now := nanotime()
	quick := st.joined || now-st.lastLead < int64(streamPause)
	st.joined, st.lastLead = false, now
	if quick && !st.turned.Swap(false) {
		return flushAsync
	}
	return flushNow
}

// CloseSend says that nothing follows.
func (st *Stream) CloseSend() error { return st.signal(true) }

// Open opens the stream if nothing has been sent on it.
func (st *Stream) Open() error {
	if st.opened.Load() {
		return nil
	}
	return st.signal(false)
}

// signal sends a frame without message bytes: OPEN, END, or OPEN with the end
// flag. It needs no credit and does not wait.
func (st *Stream) signal(end bool) error {
	s := st.s
	s.wmu.Lock()
	var lead bool
	var err error
	switch {
	case s.werr != nil:
		err = st.lost()
	case st.sendErr == io.EOF: // the peer has ended first: Recv tells
	case st.sendErr != nil:
		err = st.sendErr
	case !st.opened.Load():
		var flags uint64
		if end {
			flags = wire.FlagEnd
		}
		st.openLocked(nil, false, flags)
		lead = s.leadLocked()
	case end && !st.sendDone.Load():
		lead = s.controlLocked(wire.MakeHeader(wire.TypeEnd, 0, st.id, 0), nil)
	}
	if end {
		st.sendDone.Store(true)
	}
	s.wmu.Unlock()
	if lead {
		s.flush(flushNow)
	}
	return err
}
