package session

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// This file is the server's side of a call: from OPEN to the handler, and from the
// handler, or the caller's RESET, to STATUS.

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
	name, err := s.in.names.of(&o, &s.mem) // also if the call is refused: the caller will not say it again
	if err != nil {
		return s.refuseName(err)
	}
	if o.HasMessage {
		s.spent(int64(len(o.Message) + wire.FrameCost))
	}
	if h.Has(wire.FlagMore) && (h.Has(wire.FlagEnd) || !o.HasMessage) {
		return errors.New("OPEN with contradicting flags")
	}
	if e := s.admitOpen(len(o.Metadata)); e != nil {
		s.answer(h.ID(), statusOf(e))
		return nil
	}
	st, e := s.accept(h, cell, name, &o)
	if e != nil {
		s.answer(h.ID(), statusOf(e))
		return nil
	}
	s.start(st)
	return nil
}

// refuseName ends the session of a caller that breaks the rules of procedure
// numbers, or has no room in its account for more names: then the number would have
// no meaning here.
func (s *Session) refuseName(err error) error {
	var full *noRoomError
	if errors.As(err, &full) {
		s.goAway(wire.ReasonRefused, err.Error())
		return &connError{full.error}
	}
	return err
}

// admitOpen counts one more stream with so many bytes of metadata, or returns why
// the server takes no more.
func (s *Session) admitOpen(metadata int) *Error {
	if s.life.draining.Load() {
		return errServerDraining
	}
	if s.mem.running.Load() >= int64(s.cfg.MaxStreams) { // handlers of streams that have ended count as well
		return &Error{Code: wire.CodeResourceExhausted, Unprocessed: true, Message: fmt.Sprintf(
			"%d handlers run for this session already: see rpcnet.EndpointConfig.MaxConcurrentStreams", s.cfg.MaxStreams)}
	}
	if err := s.mem.holdStream(); err != nil {
		return unprocessed(noMemory(err)).(*Error)
	}
	if n := int64(metadata); n > 0 {
		if err := s.mem.hold(n); err != nil {
			s.mem.release(n)
			return unprocessed(noMemory(err)).(*Error)
		}
	}
	return nil
}

// accept makes the stream of an OPEN that was admitted, or returns why its first
// message cannot be taken.
func (s *Session) accept(h wire.Header, cell *cell, name string, o *wire.Open) (*Stream, *Error) {
	info := s.cfg.Handler.Procedure(name)
	more, end := h.Has(wire.FlagMore), h.Has(wire.FlagEnd)
	st := s.streams.get()
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
		st.Deadline = s.in.now.Add(time.Duration(min(o.Deadline, math.MaxInt64/1000)) * time.Microsecond)
	}
	st.inline = info.Inline && end // else the handler waits for what only the reader brings
	st.end.noMore = end
	var e *Error
	if o.HasMessage {
		e = s.firstMessage(st, o.Message, more)
	}
	if e != nil {
		st.owner = nil
	}
	st.mu.Unlock()
	if e != nil {
		s.mem.release(int64(len(st.Metadata)))
		return nil, e
	}
	return st, nil
}

// firstMessage takes the message in an OPEN frame. st is locked.
func (s *Session) firstMessage(st *Stream, p []byte, more bool) *Error {
	n := len(p)
	cost := int64(n + wire.FrameCost)
	st.in.window.spend(cost) // the next frame is measured by it: a new window has room for one
	large := more || n >= bulk
	held := int64(n) + perMessage
	if large {
		held = st.in.part.charge(n, more)
	}
	if e := s.admitBytes(st, n, held, large); e != nil {
		c := *e
		c.Unprocessed = n <= st.MaxReceive // another server may have room, and none takes more
		return &c
	}
	switch {
	case !large:
		s.mem.unread.Add(st.in.queue.push(p))
	case more:
		s.mem.parting.Add(held)
		copy(st.in.part.extend(n, held, true), p)
		st.in.part.cost = cost
	default:
		b := growPart(nil, n, false)
		copy(b, p)
		st.in.queue.pushBig(bigMessage{b, cost, held})
		s.mem.unread.Add(held)
	}
	return nil
}

// start runs the handler of a stream: on the reader if it is inline, else on a
// goroutine of the pool.
func (s *Session) start(st *Stream) {
	s.life.inflight.Add(1)
	s.mem.running.Add(1)
	st.cell.Store(st)
	if s.Err() != nil { // after Store: cut looks at all cells after Err tells
		st.sessionFailed(s)
	}
	if st.inline {
		if !s.in.cork.in {
			s.in.cork.put()
		}
		st.serve()
		return
	}
	s.woken.n.Add(1)
	s.cfg.Pool.run(st)
}

func (st *Stream) serve() { st.s.cfg.Handler.Serve(st) }

// answer sends STATUS for a stream that has no Stream.
func (s *Session) answer(id uint32, status []byte) {
	s.out.control(wire.MakeHeader(wire.TypeStatus, 0, id, len(status)), status)
}

// Finish ends a served stream: with a last message if there is one, and the
// status, empty for success. It waits for credit for the message, until the
// deadline. The stream must not be used after it.
func (st *Stream) Finish(msg []byte, hasMessage bool, status []byte) {
	if st.inline && hasMessage {
		if len(msg) <= part && st.finish(msg, true, status, false) {
			st.toPool()
			return
		}
		st.inline = false // the reader must not wait for credit
		go st.Finish(slices.Clone(msg), true, status)
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
		if st.s.out.reserve(&st.out, len(msg), nil) == nil {
			st.s.out.mu.Unlock() // finish appends the message; its credit is taken
		} else {
			hasMessage, status = false, lateStatus
		}
		reserved = true
	}
	st.toPool()
}

// sendPart sends a part of a message that goes on.
func (st *Stream) sendPart(p []byte) error {
	out := &st.s.out
	if err := out.reserve(&st.out, len(p), nil); err != nil {
		return err
	}
	out.dataLocked(&st.out, wire.MakeHeader(wire.TypeData, wire.FlagMore, st.id, len(p)), p, flushNow)
	return nil
}

// finishInTime sees to it that Finish does not wait beyond the deadline.
func (st *Stream) finishInTime() {
	if st.expiry == nil && !st.Deadline.IsZero() {
		st.ExpireAt(st.Deadline)
	}
}

// toPool ends the use of what Recv returned last, and gives a pooled stream
// back. finish has disowned it.
func (st *Stream) toPool() {
	st.recv.dropLast()
	if st.pooled {
		st.s.streams.put(st)
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
	if st.end.done {
		st.finishCutLocked()
		return true
	}
	s.out.mu.Lock()
	if !reserved && !s.out.takeForLastLocked(&st.out, len(msg)) {
		s.out.mu.Unlock()
		st.mu.Unlock()
		return false
	}
	n := st.forgetLocked() + int64(len(st.Metadata))
	st.end.done = true
	if st.end.err == nil {
		st.end.err = errFinished
	}
	st.out.err = errFinished
	// Before the caller can see STATUS: the next OPEN with the id may come at
	// once, and finds its cell empty and room for its handler.
	st.cell.Store(nil)
	busy := s.life.over() > 0
	s.mem.streamOver()
	lead := s.out.statusLocked(st.id, msg, hasMessage, status)
	s.out.mu.Unlock()
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
			mode = flushYield // other handlers are about to finish too
		}
		s.out.flush(mode)
	}
	s.life.checkIdle()
	return true
}

// finishCutLocked is the end of the handler of a stream that was cut before. STATUS
// follows if the caller waits for it still. It unlocks st.
func (st *Stream) finishCutLocked() {
	s, id, owes, n := st.s, st.id, st.end.owes, int64(len(st.Metadata))
	status := resetStatus
	if st.end.canceled == errExpired {
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
		s.answer(id, status)
	}
}

// Pooled reports whether the stream is used again after Finish; then all its
// requests have come and Recv does not wait.
func (st *Stream) Pooled() bool { return st.pooled }

// SendHeader sends metadata ahead of the first message. It does not wait.
func (st *Stream) SendHeader(metadata []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.end.done { // under mu: later the id is another call's
		st.s.out.control(wire.MakeHeader(wire.TypeHeader, 0, st.id, len(metadata)), metadata)
	}
}

// OnCancel names who is told when the caller goes. It returns why, if that
// has happened. Of a pooled stream it takes the request, so that the first Recv
// need not lock again.
func (st *Stream) OnCancel(c Canceler) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.end.canceler = c
	if st.pooled && !st.in.queue.empty() {
		st.takeAllLocked()
	}
	return st.end.canceled
}

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
// set. The stream itself ends when its handler does.
func (st *Stream) expire(serial uint32) {
	st.mu.Lock()
	if st.serial != serial || st.end.done || !st.cancelLocked(errExpired) || st.end.done { // done again: mu was free meanwhile
		st.mu.Unlock()
		return
	}
	if st.end.err == nil {
		st.end.err = errExpired
	}
	st.s.out.stop(&st.out, errExpired)
	st.unlockWake()
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

// cutLocked ends a served stream before its handler does: the handler's context
// is cancelled, STATUS is sent and the id is free. Without a status that waits
// for the handler's end, so that a caller that has gone opens no other stream
// in the place of a handler that still runs. It unlocks st.
//
// The context comes first: a handler that learns from Recv or Send that its
// caller has gone finds its context cancelled.
func (st *Stream) cutLocked(status []byte, cause error) {
	s := st.s
	if st.end.done {
		st.mu.Unlock()
		return
	}
	n := st.forgetLocked()
	st.end.done = true // the handler's Finish is not an end any more
	st.end.owes = status == nil
	cell, id := st.cell, st.id
	if st.cancelLocked(cause) {
		st.end.err = cause
		s.out.stop(&st.out, cause)
		st.unlockWake()
	} else { // the handler has finished meanwhile, and the stream is another call's
		st.mu.Unlock()
	}
	if status != nil {
		cell.Store(nil)
	}
	s.life.over()
	s.mem.release(n)
	if status != nil {
		s.answer(id, status)
	}
	s.life.checkIdle()
}
