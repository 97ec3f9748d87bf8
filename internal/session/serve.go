package session

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

var (
	errFinished = errors.New("the handler has returned")
	errReset    = &Error{Code: wire.CodeCanceled, Message: "the caller has gone"}
	errExpired  = &Error{Code: wire.CodeDeadlineExceeded, Message: "deadline exceeded"}
	resetStatus = statusOf(&Error{Code: wire.CodeCanceled, Message: "canceled by the caller"})
	// brokenStatus stands for success after a part of a message.
	brokenStatus = statusOf(&Error{Code: wire.CodeInternal, Message: "the last response ends in its midst"})
	// lateStatus is the end of a call whose time is over, also of one whose
	// response found no room in time.
	lateStatus  = statusOf(errExpired)
	exitStatus  = statusOf(&Error{Code: wire.CodeInternal, Message: "the handler ended its goroutine"})
	drainStatus = statusOf(&Error{Code: wire.CodeUnavailable, Message: "the server is draining", Unprocessed: true})
)

// The causes a [Canceler] hears when the caller gave up: ErrExpired if it did so
// at the call's deadline, and when the deadline has passed here.
var (
	ErrCanceled error = errReset
	ErrExpired  error = errExpired
)

// onOpen starts a stream on a server.
func (s *Session) onOpen(h wire.Header, p []byte) error {
	if !s.server {
		return errors.New("OPEN from a server")
	}
	var o wire.Open
	if err := o.Parse(p); err != nil {
		return err
	}
	cell := s.table.make(h.ID())
	if cell == nil {
		return fmt.Errorf("OPEN of stream %d is over the limit of %d", h.ID(), s.cfg.MaxStreams)
	}
	if cell.Load() != nil {
		return fmt.Errorf("OPEN of stream %d, which is open", h.ID())
	}
	name, err := s.procedureName(&o)
	if err != nil {
		return err
	}
	cost := int64(0)
	if o.HasMessage {
		cost = int64(len(o.Message) + wire.FrameCost)
		s.spent(cost)
	}
	more, end := h.Has(wire.FlagMore), h.Has(wire.FlagEnd)
	if more && (end || !o.HasMessage) {
		return errors.New("OPEN with contradicting flags")
	}
	if s.life.draining.Load() {
		s.answer(h.ID(), drainStatus)
		return nil
	}
	if s.mem.running.Load() >= int64(s.cfg.MaxStreams) {
		s.answer(h.ID(), statusOf(&Error{Code: wire.CodeResourceExhausted, Unprocessed: true, Message: fmt.Sprintf(
			"%d handlers run for this session already: see rpcnet.EndpointConfig.MaxConcurrentStreams", s.cfg.MaxStreams)}))
		return nil
	}
	if err := s.mem.holdStream(); err != nil {
		s.answerNoMemory(h.ID(), err)
		return nil
	}
	if n := int64(len(o.Metadata)); n > 0 {
		if err := s.mem.hold(n); err != nil {
			s.mem.release(n)
			s.answerNoMemory(h.ID(), err)
			return nil
		}
	}
	info := s.cfg.Handler.Procedure(name)
	st := s.pooledStream()
	st.pooled = info.Private && end
	st.resetLocked(s, h.ID(), cell, &Request{
		Procedure: name, Encoding: o.Encoding, Attempt: o.Attempt, Priority: o.Priority, MaxReceive: info.MaxReceive,
		LimitSetBy: info.LimitSetBy,
	})
	st.Entry = info.Entry
	if len(o.Metadata) > 0 {
		st.Metadata = append([]byte(nil), o.Metadata...)
	}
	if o.Deadline != 0 {
		st.Deadline = s.now.Add(time.Duration(min(o.Deadline, math.MaxInt64/1000)) * time.Microsecond)
	}
	st.inline = info.Inline && end
	st.allowance -= cost
	st.recvEnd = end
	if o.HasMessage {
		if f := s.first(st, o.Message, more); f != nil {
			st.owner = nil
			st.mu.Unlock()
			s.mem.release(int64(len(st.Metadata)))
			s.answer(h.ID(), statusOf(f))
			return nil
		}
	}
	st.mu.Unlock()
	s.life.inflight.Add(1)
	s.mem.running.Add(1)
	cell.Store(st)
	if s.Err() != nil {
		st.sessionFailed(s)
	}
	if st.inline {
		if !s.corked {
			s.cork()
		}
		st.serve()
		return nil
	}
	s.woken.Add(1)
	s.cfg.Pool.run(st)
	return nil
}

// first takes the message in an OPEN frame. st is locked.
func (s *Session) first(st *Stream, p []byte, more bool) *Error {
	n := len(p)
	large := more || n >= bulk
	held := int64(n) + perMessage
	if large {
		held = st.partCharge(n, more)
	}
	if f := s.admitBytes(st, n, held, large); f != nil {
		c := *f
		c.Unprocessed = n <= st.MaxReceive // another server may have room, and none takes more
		return &c
	}
	if !large {
		s.pushLocked(st, p)
		return nil
	}
	b := growPart(nil, n, more)
	copy(b, p)
	cost := int64(n + wire.FrameCost)
	if more {
		st.part, st.inPart, st.partCost, st.partHeld = b, true, cost, held
		s.mem.parting.Add(held)
		return nil
	}
	s.pushBigLocked(st, bigMessage{b, cost, held})
	return nil
}

// procedureName returns the name of an OPEN's procedure, and learns it if it
// has a number.
func (s *Session) procedureName(o *wire.Open) (string, error) {
	n := int(o.Number)
	if n == 0 {
		return string(o.Name), nil
	}
	if o.Name == nil {
		if n > len(s.procs) {
			return "", fmt.Errorf("OPEN of procedure number %d, which has no name yet", n)
		}
		return s.procs[n-1], nil
	}
	switch {
	case n <= len(s.procs):
		if s.procs[n-1] != string(o.Name) {
			return "", fmt.Errorf("procedure number %d is %q and cannot become %q", n, s.procs[n-1], o.Name)
		}
	case n == len(s.procs)+1:
		if err := s.mem.holdName(o.Name); err != nil { // the number would have no meaning here
			s.goAway(wire.ReasonRefused, err.Error())
			return "", &connError{err}
		}
		s.procs = append(s.procs, string(o.Name))
	default:
		return "", fmt.Errorf("procedure number %d out of turn: the next is %d", n, len(s.procs)+1)
	}
	return s.procs[n-1], nil
}

// answer sends STATUS for a stream that has no Stream.
func (s *Session) answer(id uint32, status []byte) {
	s.control(wire.MakeHeader(wire.TypeStatus, 0, id, len(status)), status)
}

// answerNoMemory ends a call for which the account has no room, for err's
// reason.
func (s *Session) answerNoMemory(id uint32, err error) {
	s.answer(id, statusOf(unprocessed(noMemory(err)).(*Error)))
}

// onReset ends a stream whose caller has gone. The caller's clock and this one
// seldom agree on which of them notices the deadline first: the code says.
func (s *Session) onReset(h wire.Header, p []byte) error {
	if !s.server {
		return errors.New("RESET from a server")
	}
	if st := s.stream(h.ID()); st != nil {
		cause := errReset
		if len(p) == 1 && p[0] == wire.CodeDeadlineExceeded && !st.Deadline.IsZero() {
			cause = errExpired
		}
		st.cutLocked(nil, cause)
	}
	return nil
}

// cutLocked ends a served stream before its handler does: the handler's context
// is cancelled, STATUS is sent and the id is free. Without a status that waits
// for the handler's end, so that a caller that has gone opens no other stream
// in the place of a handler that still runs. It unlocks st.
//
// The context comes first: a handler that learns from Recv or Send that its
// caller has gone finds its context cancelled.
func (st *Stream) cutLocked(status []byte, cause error) {
	s := st.s
	if st.ended {
		st.mu.Unlock()
		return
	}
	n := st.forgetLocked()
	st.ended = true // the handler's Finish is not an end any more
	st.owesStatus = status == nil
	cell, id := st.cell, st.id
	if st.cancelLocked(cause) {
		st.err = cause
		st.stopSend(cause)
		st.unlockWake()
	} else {
		st.mu.Unlock()
	}
	if status != nil {
		cell.Store(nil)
	}
	s.life.inflight.Add(-1)
	s.mem.release(n)
	if status != nil {
		s.answer(id, status)
	}
	s.life.checkIdle()
}

// OnCancel names who is told when the caller goes. It returns why, if that
// has happened. Of a pooled stream it takes the request, so that the first Recv
// need not lock again.
func (st *Stream) OnCancel(c Canceler) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.canceler = c
	if st.pooled && len(st.q) > 0 {
		st.takeAllLocked()
	}
	return st.canceled
}

func (st *Stream) serve() { st.s.cfg.Handler.Serve(st) }

// ExpireAt has what a served stream waits for end at t, when its caller stops
// waiting: the handler is cancelled, and the stream's methods return
// [ErrExpired]. A pooled stream need not be told: it waits for nothing but to
// finish.
func (st *Stream) ExpireAt(t time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	serial := st.serial
	st.expiry = time.AfterFunc(time.Until(t), func() { st.expire(serial) })
}

// expire ends what the call waits for that had the stream when the timer was
// set.
func (st *Stream) expire(serial uint32) {
	st.mu.Lock()
	if st.serial != serial || st.ended || !st.cancelLocked(errExpired) || st.ended {
		st.mu.Unlock()
		return
	}
	if st.err == nil {
		st.err = errExpired
	}
	st.stopSend(errExpired)
	st.unlockWake()
}

// finishInTime sees to it that Finish does not wait beyond the deadline.
func (st *Stream) finishInTime() {
	if st.expiry == nil && !st.Deadline.IsZero() {
		st.ExpireAt(st.Deadline)
	}
}

// SendHeader sends metadata ahead of the first message. It does not wait.
func (st *Stream) SendHeader(metadata []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.ended { // under mu: later the id is another call's
		st.s.control(wire.MakeHeader(wire.TypeHeader, 0, st.id, len(metadata)), metadata)
	}
}

// Finish ends a served stream: with a last message if there is one, and the
// status, empty for success. It waits for credit for the message, until the
// deadline. The stream must not be used after it.
func (st *Stream) Finish(msg []byte, hasMessage bool, status []byte) {
	s := st.s
	if st.inline && hasMessage && (len(msg) > part || !st.finish(msg, true, status, false)) {
		st.inline = false // the reader must not wait for credit
		go st.Finish(slices.Clone(msg), true, status)
		return
	}
	if st.inline && hasMessage {
		st.toPool()
		return
	}
	for hasMessage && len(msg) > part { // the parts before the last
		st.finishInTime()
		if st.sendPart(msg[:part]) != nil {
			hasMessage, status = false, lateStatus // if not, the caller or the session has gone
		}
		msg = msg[part:]
	}
	reserved := !hasMessage
	for !st.finish(msg, hasMessage, status, reserved) {
		st.finishInTime()
		if s.reserve(st, len(msg), nil) == nil {
			s.wmu.Unlock()
		} else {
			hasMessage, status = false, lateStatus
		}
		reserved = true
	}
	st.toPool()
}

// toPool ends the use of what Recv returned last, and gives a pooled stream
// back. finish has disowned it.
func (st *Stream) toPool() {
	st.putTaken()
	if st.pooled {
		st.s.streams.Put(st)
	}
}

// finish is Finish if there is credit for the message or it is reserved; if
// not, it does nothing and returns false.
func (st *Stream) finish(msg []byte, hasMessage bool, status []byte, reserved bool) bool {
	s := st.s
	if st.expiry != nil {
		st.expiry.Stop()
	}
	st.mu.Lock()
	if st.ended { // cut before
		owes, n := st.owesStatus, int64(len(st.Metadata))
		status := resetStatus
		if st.canceled == errExpired {
			status = lateStatus
		}
		if owes {
			st.cell.Store(nil)
		}
		if st.pooled {
			st.disownLocked()
		}
		st.mu.Unlock()
		s.mem.streamOver()
		if n > 0 {
			s.mem.release(n)
		}
		if owes {
			s.answer(st.id, status)
		}
		return true
	}
	s.wmu.Lock()
	if cost := int64(len(msg) + wire.FrameCost); !reserved {
		if s.werr == nil && (len(s.wbuf) > roomSmall || st.sendCredit < cost || s.credit < cost) {
			s.wmu.Unlock()
			st.mu.Unlock()
			return false
		}
		st.sendCredit -= cost
		s.credit -= cost
	}
	n := st.forgetLocked() + int64(len(st.Metadata))
	st.ended = true
	if st.err == nil {
		st.err = errFinished
	}
	st.sendErr = errFinished
	st.cell.Store(nil) // before the caller can see STATUS and use the id again
	busy := s.life.inflight.Add(-1) > 0
	s.mem.streamOver() // as cell: the next call may come at once
	lead := false
	switch {
	case s.werr != nil:
	case len(s.wbuf) > roomControl:
		go s.fail(errNotReading)
	default:
		if hasMessage {
			s.wbuf = wire.MakeHeader(wire.TypeData, 0, st.id, len(msg)).Append(s.wbuf)
			s.wbuf = append(s.wbuf, msg...)
		}
		s.wbuf = wire.MakeHeader(wire.TypeStatus, 0, st.id, len(status)).Append(s.wbuf)
		s.wbuf = append(s.wbuf, status...)
		s.countBuffersLocked()
		s.calls++
		lead = s.leadLocked()
	}
	s.wmu.Unlock()
	if st.pooled {
		st.disownLocked()
	}
	st.mu.Unlock()
	if n > 0 {
		s.mem.release(n)
	}
	if lead {
		mode := flushNow
		if busy {
			mode = flushYield
		}
		s.flush(mode)
	}
	s.life.checkIdle()
	return true
}

// sendPart sends a part of a message that goes on.
func (st *Stream) sendPart(p []byte) error {
	s := st.s
	if err := s.reserve(st, len(p), nil); err != nil {
		return err
	}
	s.writeDataLocked(st, wire.MakeHeader(wire.TypeData, wire.FlagMore, st.id, len(p)), p, flushNow)
	return nil
}

// Pooled reports whether the stream is used again after Finish; then all its
// requests have come and Recv does not wait.
func (st *Stream) Pooled() bool { return st.pooled }
