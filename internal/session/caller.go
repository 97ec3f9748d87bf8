package session

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// This file is the caller's side of a call, from OPEN to STATUS and what the caller
// does with it.

// A Request is what an OPEN frame says of a call, without its messages.
type Request struct {
	Procedure  string
	Encoding   byte
	Attempt    uint8
	Priority   int8
	Timeout    uint64    // caller: microseconds left; 0: none
	Deadline   time.Time // when the caller stops waiting; zero: never
	Metadata   []byte    // encoded
	MaxReceive int       // most bytes of one message from the peer; 0: 1 GiB
	LimitSetBy string    // the option or the directive that sets MaxReceive, for errors
}

// Call makes a unary call and waits for its end: the stream it returns has all
// that came, waits for nothing, and must be released. done interrupts. With
// prompt the call reacts to done at once; without, a call that is alone on its
// session may take a tick of 10 ms to notice, and is faster.
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
	if n > 1 {
		mode = flushYield // others are about to send too
	}
	alone := n == 1 && !prompt && len(msg) < bulk // a large request needs credit: the reader goroutine must read
	if !alone {
		s.reading.want()
	}
	if err = st.sendRequest(msg, done, mode); err == nil || err == io.EOF {
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

// reason is the code for which a call is given up now.
func (st *Stream) reason() byte {
	if !st.Deadline.IsZero() && !time.Now().Before(st.Deadline) {
		return wire.CodeDeadlineExceeded
	}
	return wire.CodeCanceled
}

// NewStream makes a stream for a call of any shape. Nothing is sent before the
// first Send, CloseSend or Open. It must be ended with Release or Abandon.
func (s *Session) NewStream(r *Request, done <-chan struct{}) (*Stream, error) {
	st := newStream()
	if _, err := s.admit(st, r, done); err != nil {
		return nil, err
	}
	s.reading.want()
	return st, nil
}

// admit gives st an id, waiting for one if the peer's limit of streams is
// reached. It returns the number of calls in flight with this one.
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
	if s.Err() != nil { // after Store: cut looks at all cells after Err tells
		st.sessionFailed(s)
	}
	return n, nil
}

// sendRequest sends the request of a unary call: OPEN with the message and the
// end of sending, or with its first part.
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
// sender.mu is held.
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

// onStatus takes the end of a call, and wakes its caller. The id is free from now
// on if the caller has given the call up or the stream is not pooled; else Release
// frees it.
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
	if !st.out.done.Load() {
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
	if st.wait.waiting && st.wait.endOnly {
		st.wait.counted = true
		s.woken.n.Add(1)
	}
	st.unlockWake() // a pooled stream that has not ended is its caller's from here
	if !pooled || ended {
		s.ids.put(id)
	}
	if pooled && ended {
		st.recycle()
	}
	s.life.checkIdle()
	return nil
}

// over reports whether a call has ended.
func (st *Stream) over() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.end.hasStatus || st.end.err != nil
}

// waitEnd waits for the end of the call, and takes what came.
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

// Status returns the outcome of a call whose Recv has returned io.EOF, or that
// Call has returned. It keeps nothing of the stream.
func (st *Stream) Status() (wire.Status, error) {
	if len(st.end.status) == 0 {
		return wire.Status{}, nil
	}
	var s wire.Status
	err := s.Parse(st.end.status)
	return s, err
}

// Header returns the metadata that came before the first message, encoded.
func (st *Stream) Header() []byte {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.in.header
}

// Release ends the use of a stream that has its status, and of the message that
// Recv returned last. It must not run at the same time as Recv.
func (st *Stream) Release() {
	s, id, pooled := st.s, st.id, st.pooled
	st.mu.Lock()
	st.end.done = true
	n := st.forgetLocked()
	if pooled {
		st.cell.Store(nil)
		st.disownLocked()
	}
	st.mu.Unlock()
	if n > 0 {
		s.mem.release(n)
	}
	st.recv.dropLast()
	if pooled {
		s.ids.put(id)
		s.streams.put(st)
	}
}

// Abandon gives the call up: the peer is told with code, and receiving and
// sending fail with err from now on. After the end of the call it only forgets
// what was not received. Safe from any goroutine, more than once.
func (st *Stream) Abandon(code byte, err error) {
	s := st.s
	st.mu.Lock()
	if st.owner != s || st.end.done {
		st.mu.Unlock()
		return
	}
	st.end.done = true
	over := st.end.hasStatus
	if st.end.err == nil && !over {
		st.end.err = err
	}
	if n := st.forgetLocked(); n > 0 {
		defer s.mem.release(n)
	}
	var free, lead bool
	if !over {
		free, lead = st.sendResetLocked(code, err)
	}
	id, cell, pooled := st.id, st.cell, st.pooled
	st.unlockWake()
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
