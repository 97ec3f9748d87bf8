package session

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// This file is a call from its beginning to its end, on both sides, in the order in
// which it happens: the caller sends OPEN, the server starts the handler, the
// handler finishes with STATUS, the caller wakes. How a call ends before that is in
// end.go; the messages of a stream are in send.go and recv.go.

// A Request is what an OPEN frame says of a call, without its messages.
type Request struct {
	Procedure string
	Encoding  byte
	Attempt   uint8
	Priority  int8
	// Timeout is what the caller tells the server of its deadline. Units:
	// microseconds; 0: there is none. A server has Deadline alone.
	Timeout uint64
	// Deadline is when the caller stops waiting, by the clock of this side. Zero:
	// never.
	Deadline time.Time
	// Metadata is encoded, as [wire.AppendMetadata] does.
	Metadata []byte
	// MaxReceive is the size limit of each message from the peer. Units: bytes.
	// Default: 1 GiB.
	MaxReceive int
	// LimitSetBy names the option or the directive that sets MaxReceive, for errors.
	LimitSetBy string
}

// Call makes a unary call and waits for its end: the stream it returns has all
// that came, waits for nothing, and must be released. done interrupts. With
// prompt the call reacts to done at once; without, a call that is alone on its
// session may take a tick of 10 ms to notice, and is faster.
//
// Errors: *[Error], with Unprocessed set if no handler has seen the call, or one
// that [IsInterrupted] knows. Call keeps nothing of r and msg.
func (s *Session) Call(r *Request, msg []byte, done <-chan struct{}, prompt bool) (*Stream, error) {
	st := s.streams.get()
	st.pooled = true
	n, err := s.admit(st, r, done)
	if err != nil {
		s.streams.put(st)
		return nil, err
	}
	st.wait.endOnly = true // nothing comes before the OPEN: no lock
	mode := flushNow
	if n > 1 { // others are about to send too: one write for all
		mode = flushYield
	}
	// A call that is alone reads its own response. It must not if it has to notice
	// done at once, or if its request has several parts: those may wait for credit, which
	// only a reader brings. For one part there is credit: see [wire.MinWindow].
	alone := n == 1 && !prompt && len(msg) <= part
	if !alone {
		s.reading.want()
	}
	if err = st.sendRequest(msg, done, mode); err == nil || err == io.EOF { // EOF: STATUS has come already
		if alone {
			s.readAlone(st)
		}
		err = st.waitEnd(done)
	}
	if err != nil {
		if !st.out.opened.Load() {
			err = unprocessed(err)
		}
		st.Abandon(st.reason(), err)
		return nil, err
	}
	return st, nil
}

// NewStream makes a stream for a call of any shape. Nothing is sent before the
// first Send, CloseSend or Open. It must be ended with Release or Abandon. It waits
// while the peer allows no more streams; done interrupts. Errors: as those of
// [Session.Call].
func (s *Session) NewStream(r *Request, done <-chan struct{}) (*Stream, error) {
	st := newStream()
	if _, err := s.admit(st, r, done); err != nil {
		return nil, err
	}
	s.reading.want()
	return st, nil
}

// admit gives st an id, waiting for one if the peer's limit of streams is
// reached, and makes it known to the reader. It returns the number of calls in
// flight with this one.
func (s *Session) admit(st *Stream, r *Request, done <-chan struct{}) (int64, error) {
	id, err := s.ids.take(done)
	if err != nil {
		if err == errEnded {
			err = unprocessed(lost(s.Err()))
		}
		return 0, err
	}
	cell := s.table.make(id)
	st.resetLocked(s, id, cell, r)
	st.mu.Unlock()
	n, ok := s.life.begin()
	if !ok {
		s.ids.put(id)
		return 0, errDraining
	}
	cell.Store(st)
	// After Store: cut looks at all cells after Err tells. So either cut has seen
	// the stream, or this has seen the end.
	if s.Err() != nil {
		st.sessionFailed(s)
	}
	return n, nil
}

// sendRequest sends the request of a unary call: OPEN with the message and the
// end of sending, or OPEN with its first part and DATA with the others. It is the
// only one that sends on the stream, so no lock is needed to see that OPEN comes
// first.
func (st *Stream) sendRequest(msg []byte, done <-chan struct{}, mode flushMode) error {
	out := &st.s.out
	n := min(len(msg), part)
	if err := out.reserve(&st.out, n, done); err != nil {
		return err
	}
	st.openLocked(msg[:n], true, st.flagsOf(n < len(msg), true))
	out.leadUnlock(mode)
	if n < len(msg) {
		return st.send(msg[n:], true, done, mode)
	}
	return nil
}

// openLocked appends the OPEN frame with the first message or its first part.
// sender.mu is held: procedure numbers must be sent in the order in which they are
// given. The caller of openLocked takes the writing role.
func (st *Stream) openLocked(msg []byte, hasMessage bool, flags uint64) {
	out := &st.s.out
	number, known := out.numbers.of(st.Procedure)
	o := wire.Open{
		Encoding: st.Encoding, Attempt: st.Attempt, Priority: st.Priority, Number: number,
		Deadline: st.Timeout, Metadata: st.Metadata, HasMessage: hasMessage,
	}
	if !known {
		o.Name = []byte(st.Procedure)
	}
	at := len(out.buf)
	out.buf = append(out.buf, make([]byte, wire.HeaderLen)...) // the length is known last
	out.buf = o.Append(out.buf)
	out.buf = append(out.buf, msg...)
	wire.MakeHeader(wire.TypeOpen, flags, st.id, len(out.buf)-at-wire.HeaderLen).Put(out.buf[at:])
	out.calls++
	st.out.opened.Store(true)
}

// onOpen starts a stream on a server. What breaks the protocol ends the session. A
// call that the server does not take ends with STATUS at once, which says that no
// handler has seen it if its caller can make it elsewhere.
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
	if o.HasMessage { // its credit comes back also if the call is refused
		s.spent(int64(len(o.Message) + wire.FrameCost))
	}
	if h.Has(wire.FlagMore) && (h.Has(wire.FlagEnd) || !o.HasMessage) {
		return errors.New("OPEN with contradicting flags")
	}
	// Counted from here on, so that a drain that begins meanwhile waits for it.
	inFlight, ok := s.life.begin()
	if !ok {
		s.answer(h.ID(), drainStatus)
		return nil
	}
	st, e := s.accept(h, cell, name, &o)
	if e != nil {
		s.life.over()
		s.answer(h.ID(), statusOf(e))
		s.life.checkIdle()
		return nil
	}
	if !s.in.isAlone(st, inFlight) {
		st.pace = nil
	}
	s.start(st)
	return nil
}

// accept makes the stream of an OPEN, or returns why the server does not take it.
// The stream is not in its cell yet, so only the reader knows it; it is locked all
// the same, because a timer of its last call can still know a pooled one.
func (s *Session) accept(h wire.Header, place *cell, name string, o *wire.Open) (*Stream, *Error) {
	if e := s.admitOpen(len(o.Metadata)); e != nil {
		return nil, e
	}
	info := s.cfg.Handler.Procedure(name)
	more, end := h.Has(wire.FlagMore), h.Has(wire.FlagEnd)
	st := s.streams.get()
	st.pooled = info.Private && end
	st.resetLocked(s, h.ID(), place, &Request{
		Procedure: name, Encoding: o.Encoding, Attempt: o.Attempt, Priority: o.Priority, MaxReceive: info.MaxReceive,
		LimitSetBy: info.LimitSetBy,
	})
	st.Entry = info.Entry
	if len(o.Metadata) > 0 {
		st.Metadata = append([]byte(nil), o.Metadata...)
	}
	if o.Deadline != 0 { // counts from the read that brought the frame, by one clock reading for all frames
		st.Deadline = s.in.now.Add(time.Duration(min(o.Deadline, math.MaxInt64/1000)) * time.Microsecond)
	}
	st.inline = info.Inline && end // else the handler waits for what only the reader brings
	st.pace = info.Pace
	st.end.noMore = end
	var e *Error
	if o.HasMessage {
		e = s.firstMessage(st, o.Message, more)
	}
	if e != nil {
		st.owner = nil // it is not used again: it is rare, and may have a large queue
	}
	st.mu.Unlock()
	if e != nil {
		s.mem.release(int64(len(st.Metadata)))
		return nil, e
	}
	return st, nil
}

// admitOpen counts the memory of one more stream with so many bytes of metadata, or
// returns why the server takes no more.
func (s *Session) admitOpen(metadata int) *Error {
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

// start makes a stream known and runs its handler: on the reader if it is inline or, when
// the OPEN has been handled, if it is alone and quick; else on a goroutine of the pool.
func (s *Session) start(st *Stream) {
	s.mem.running.Add(1)
	st.cell.Store(st)
	if s.Err() != nil { // after Store, as in admit
		st.sessionFailed(s)
	}
	if st.inline {
		if !s.in.cork.in { // the answers to all OPENs of this read share one write
			s.in.cork.put()
		}
		st.serve()
		return
	}
	if st.pace.Quick() {
		st.inline = true // its Finish must not wait for credit
		s.in.alone = st
		return
	}
	s.woken.n.Add(1)
	s.cfg.Pool.run(st)
}

// serve runs the handler.
func (st *Stream) serve() {
	if st.pace != nil {
		st.begun = nanotime()
	}
	st.s.cfg.Handler.Serve(st)
}

// Finish ends a served stream: with a last message if there is one, and the
// status, empty for success. It waits for credit for the message, until the
// deadline of the call, and keeps nothing of msg and status. It must be called
// once. The stream must not be used after it.
func (st *Stream) Finish(msg []byte, hasMessage bool, status []byte) {
	if st.pace != nil {
		st.pace.note(st.begun, len(msg))
		st.pace = nil
	}
	if st.inline && hasMessage {
		if len(msg) <= part && st.finish(msg, true, status, false) {
			st.toPool()
			return
		}
		st.inline = false // the reader must not wait for credit
		go st.Finish(slices.Clone(msg), true, slices.Clone(status))
		return
	}
	for hasMessage && len(msg) > part { // the parts before the last
		st.finishInTime()
		if st.sendPart(msg[:part]) != nil {
			hasMessage, status = false, lateStatus // if not, the caller or the session has gone
		}
		msg = msg[part:]
	}
	// Most often there is credit, and finish takes it in one critical section with
	// the end of the stream. If not, it is waited for here, without Stream.mu.
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

// finish is Finish if there is credit for the message or it is reserved; if
// not, it does nothing and returns false. Stream.mu and sender.mu are held together,
// so that the stream ends for the reader and for the peer at the same moment.
func (st *Stream) finish(msg []byte, hasMessage bool, status []byte, reserved bool) bool {
	s := st.s
	if st.expiry != nil {
		st.expiry.Stop()
	}
	st.mu.Lock()
	if st.end.done { // the caller has gone, or the server has cut the call
		st.finishCutLocked()
		if reserved && hasMessage { // what was taken for it is the session's again
			s.out.addCredit(nil, int64(len(msg)+wire.FrameCost))
		}
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
	st.unlockWake() // a goroutine that the handler has left behind may wait in Recv
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

// toPool gives a pooled stream back. finish has disowned it, so that a reader or a timer
// that still knows it leaves it alone. Others stay with their handler, which may have left
// a goroutine behind that receives: that one finds the end, and gives back what it has.
func (st *Stream) toPool() {
	if st.pooled {
		st.s.streams.put(st)
	}
}

// onStatus takes the end of a call, and wakes its caller. The id is free from now
// on if the caller has given the call up or the stream is not pooled; else Release
// frees it, since the caller reads status and response in the stream until then.
func (s *Session) onStatus(h wire.Header, p []byte) error {
	if s.server {
		return errors.New("STATUS from a caller")
	}
	st := s.stream(h.ID())
	if st == nil {
		return fmt.Errorf("STATUS for stream %d, which is not open", h.ID())
	}
	if st.end.hasStatus || !st.out.opened.Load() {
		st.mu.Unlock()
		return fmt.Errorf("STATUS for stream %d, which is not open", h.ID())
	}
	s.life.over()
	if !st.out.done.Load() { // the server has ended first: sending ends, and the status says why
		s.out.stop(&st.out, io.EOF)
	}
	if st.in.part.coming {
		if len(p) == 0 { // success cannot be
			p = brokenStatus
		}
		defer s.mem.release(st.dropPartLocked()) // the server gave up in the midst of a message
	}
	if err := st.holdBesideLocked(p); err != nil {
		p = statusOf(noMemory(err))
	}
	st.end.hasStatus, st.end.noMore = true, true
	st.end.status = append(st.end.status[:0], p...)
	cell, id, pooled, ended := st.cell, st.id, st.pooled, st.end.done
	if !pooled || ended {
		cell.Store(nil)
	}
	if st.wait.waiting && st.wait.endOnly { // its next call is worth waiting for: see cork
		st.wait.counted = true
		s.woken.n.Add(1)
	}
	st.unlockWake() // a pooled stream that has not ended is its caller's from here
	if !pooled || ended {
		s.ids.put(id)
	}
	// Abandon has left the stream to the reader. A stream that the end of the session
	// has ended is its caller's still.
	if pooled && ended && s.Err() == nil {
		st.recycle()
	}
	s.life.checkIdle()
	return nil
}

// waitEnd waits for the end of a unary call, and takes what came. A call that read for
// itself has its end already.
func (st *Stream) waitEnd(done <-chan struct{}) error {
	for {
		st.mu.Lock()
		if st.end.hasStatus || st.end.err != nil {
			err := st.end.err // also with a status: a response could not be taken
			if !st.in.queue.empty() {
				st.takeAllLocked()
			}
			st.mu.Unlock()
			return err
		}
		st.wait.waiting = true
		st.mu.Unlock()
		err := st.waitFor(done)
		if st.wait.counted {
			st.wait.counted = false
			st.s.woken.n.Add(-1)
		}
		if err != nil {
			return err
		}
	}
}

// over reports whether a call has ended: by STATUS, or because this side gave up.
func (st *Stream) over() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.end.hasStatus || st.end.err != nil
}
