package session

import (
	"errors"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// This file is how a call ends otherwise than by its handler, on both sides, and
// what is left of it after its end.

// Status returns the outcome of a call whose Recv has returned io.EOF, or that
// Call has returned: no lock is needed, since nothing comes after STATUS. The result
// keeps nothing of the stream. It fails if the server's STATUS cannot be parsed.
func (st *Stream) Status() (wire.Status, error) {
	if len(st.end.status) == 0 {
		return wire.Status{}, nil
	}
	var s wire.Status
	err := s.Parse(st.end.status)
	return s, err
}

// Succeeded reports whether the call has ended with success. It allocates nothing.
func (st *Stream) Succeeded() bool {
	_, ok := wire.Succeeded(st.end.status, "")
	return ok
}

// Trailer returns the first value of a key that ends in "-bin" in the trailer of a call
// that has succeeded, nil if there is none. It is valid until Release.
func (st *Stream) Trailer(key string) []byte {
	v, _ := wire.Succeeded(st.end.status, key)
	return v
}

// Release ends the use of a stream that has its status, and of the message that
// Recv returned last. It must not run at the same time as Recv. A pooled stream
// serves another call from here on: the caller must not use it again.
func (st *Stream) Release() {
	s, id, pooled := st.s, st.id, st.pooled
	st.mu.Lock()
	st.end.done = true
	n := st.forgetLocked()
	if pooled { // of others onStatus has emptied the cell and freed the id
		st.cell.Store(nil)
		st.disownLocked()
	} else {
		st.recv.drop()
	}
	st.mu.Unlock()
	if n > 0 {
		s.mem.release(n)
	}
	if pooled {
		s.ids.put(id) // after the cell is empty: the next call with the id fills it
		s.streams.put(st)
	}
}

// reason is the code for which a call is given up now.
func (st *Stream) reason() byte {
	if !st.Deadline.IsZero() && !time.Now().Before(st.Deadline) {
		return wire.CodeDeadlineExceeded
	}
	return wire.CodeCanceled
}

// Abandon gives the call up: RESET tells the peer, with code, and receiving and
// sending fail with err from now on. After the end of the call it only forgets
// what was not received, and receiving fails with err if there was something.
// Safe from any goroutine, more than once.
//
// The id stays in use until STATUS comes, if the peer knows of the call: until then
// its frames may still be on their way, and its handler may still run.
func (st *Stream) Abandon(code byte, err error) {
	s := st.s
	st.mu.Lock()
	if st.owner != s || st.end.done { // it was given up before, or the session has ended
		st.mu.Unlock()
		return
	}
	st.end.done = true
	over := st.end.hasStatus
	if st.end.err == nil && (!over || !st.in.queue.empty()) {
		st.end.err = err // also when messages are dropped here, or the rest would look whole
	}
	if n := st.forgetLocked(); n > 0 {
		defer s.mem.release(n)
	}
	var free, lead bool
	if !over {
		free, lead = st.sendResetLocked(code, err)
	}
	id, cell, pooled := st.id, st.cell, st.pooled
	st.unlockWake() // from here on the reader may end the stream, and it may be another call's
	if lead {
		s.out.flush(flushNow)
	}
	if !free && !(over && pooled) {
		return // the reader frees the id when STATUS comes, or has done so
	}
	cell.Store(nil)
	if free {
		s.life.over()
		s.life.checkIdle()
	}
	s.ids.put(id)
	st.recycle()
}

// sendResetLocked stops sending because of err and tells the peer with code. If it
// knows nothing of the call yet, the id is free at once. If lead is true the caller
// must call flush.
func (st *Stream) sendResetLocked(code byte, err error) (free, lead bool) {
	out := &st.s.out
	out.mu.Lock()
	defer out.mu.Unlock()
	out.stopLocked(&st.out, err)
	if !st.out.opened.Load() {
		return true, false
	}
	return false, out.controlLocked(wire.MakeHeader(wire.TypeReset, 0, st.id, 1), []byte{code})
}

// onReset ends a stream whose caller has gone. The caller's clock and this one
// seldom agree on which of them notices the deadline first: the code says whether it
// was the deadline. A call without a deadline cannot have met one.
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

// OnCancel sets the [Canceler] of a served stream. If the call was cancelled before,
// it returns why, and c is not called for that. Of a pooled stream it takes the
// request, so that the first Recv need not lock again.
func (st *Stream) OnCancel(c Canceler) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.end.canceler = c
	if st.pooled && !st.in.queue.empty() {
		st.takeAllLocked()
	}
	return st.end.canceled
}

// finishInTime makes sure that Finish does not wait beyond the deadline. It is called
// before Finish waits, and so not for most calls: a timer costs more than they do.
func (st *Stream) finishInTime() {
	if st.expiry == nil && !st.Deadline.IsZero() {
		st.ExpireAt(st.Deadline)
	}
}

// ExpireAt has what a served stream waits for end at t, when its caller stops
// waiting: the handler is cancelled, and the stream's methods return
// [ErrExpired]. It is for the handler's goroutine, once. A pooled stream does
// without: it waits for nothing but to finish.
func (st *Stream) ExpireAt(t time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	serial := st.serial
	st.expiry = time.AfterFunc(time.Until(t), func() { st.expire(serial) })
}

// expire ends what a call waits for, if the stream is still that of the call whose
// timer it was. It runs on the goroutine of the timer. The stream itself ends when
// its handler does, which then has no need to be quick.
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

// CutAll ends every served stream at once with an outcome; the handlers'
// contexts end with cause. It does not wait for the handlers. Safe for concurrent
// use.
func (s *Session) CutAll(code byte, message string, cause error) {
	status := statusOf(&Error{Code: code, Message: message})
	s.table.each(func(st *Stream) {
		st.mu.Lock()
		if st.owner != s { // it has ended meanwhile
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

// answer sends STATUS for an id whose cell is empty: the caller may use the id again
// as soon as it has come.
func (s *Session) answer(id uint32, status []byte) {
	s.out.control(wire.MakeHeader(wire.TypeStatus, 0, id, len(status)), status)
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
