package session

import (
	"errors"
	"runtime"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// This file is what moves bytes: the loop that writes what others have appended,
// and the loop that reads frames, messages among them, and has them handled.

// A flushMode says who writes what was just appended.
type flushMode uint8

const (
	flushNow    flushMode = iota // the appending goroutine, at once
	flushYield                   // the same, after others have run once
	flushAsync                   // the writer goroutine
	flushStream                  // as [sending.flushMode] decides
)

// maxRounds is how often a goroutine that appended looks whether others have
// appended more meanwhile, before it leaves them to the writer goroutine.
const maxRounds = 4

// flush writes what the buffer holds, and what others add meanwhile, and gives
// the writing role back. The caller has the role. It never waits for the peer to
// read: callers have a context to honour, and a reader that waited for a peer whose
// reader waits for it would wait for ever. The writer goroutine writes what the
// connection does not take at once.
func (o *sender) flush(mode flushMode) {
	switch {
	case mode == flushAsync || o.some == nil:
		o.kick <- struct{}{} // has room: only the holder of the role sends
		return
	case mode == flushYield:
		runtime.Gosched()
	}
	o.mu.Lock()
	for rounds := 0; len(o.buf) > 0 && o.err == nil; rounds++ {
		if rounds == maxRounds || !o.writeSomeLocked() {
			o.mu.Unlock()
			o.kick <- struct{}{}
			return
		}
	}
	o.writing = false
	o.wakeLocked() // here too: dataLocked may have written a large part past the buffer
	o.mu.Unlock()
}

// writeSomeLocked writes the buffer, and reports whether the connection has taken all
// of it. mu is held before and after, not during: others append to the next buffer.
func (o *sender) writeSomeLocked() (done bool) {
	b := o.takeBufferLocked()
	done = o.writeSome(b, nil)
	o.mu.Lock()
	o.keepBufferLocked(b)
	return done
}

// writeSome writes two slices as one, and reports whether the connection has taken all
// of them. The caller has the writing role.
func (o *sender) writeSome(a, b []byte) (done bool) {
	done, err := o.some.WriteSome(a, b)
	if err != nil {
		o.fail(err)
	}
	return done
}

// takeBufferLocked takes the buffer to write it, and unlocks mu. The caller has the
// writing role, so that buffers are written in the order in which they were taken.
func (o *sender) takeBufferLocked() []byte {
	b := o.buf
	o.calls = 0
	o.buf = o.spare[:0]
	o.spare = nil
	o.lines.taken()
	o.wakeLocked() // there is room again
	o.mu.Unlock()
	return b
}

// keepBufferLocked keeps a buffer that was written for the next round, unless it has
// grown for more than a peer that reads makes wait.
func (o *sender) keepBufferLocked(b []byte) {
	if cap(b) <= keepBuffer {
		o.spare = b
	}
}

// writeLoop is the writer goroutine. It has the writing role from each kick until
// the buffer is empty, and ends with the session.
func (o *sender) writeLoop() {
	for {
		select {
		case <-o.kick:
		case <-o.ended:
			return
		}
		if o.some != nil {
			o.writeWaiting(o.some.Flush) // what WriteSome left comes first
		}
		o.mu.Lock()
		for len(o.buf) > 0 && o.err == nil {
			b := o.takeBufferLocked()
			o.writeWaiting(func() error {
				_, err := o.conn.Write(b)
				return err
			})
			o.mu.Lock()
			o.keepBufferLocked(b)
		}
		o.writing = false
		o.mu.Unlock()
	}
}

// writeWaiting runs a write that may wait for the peer. While it runs, writes is odd,
// and the tick ends the session if nothing moves for too long ([stallWatch]).
func (o *sender) writeWaiting(write func() error) {
	o.writes.Add(1)
	err := write()
	o.writes.Add(1)
	if err != nil {
		o.fail(err)
	}
}

var (
	// errRole is returned by read when the reading role is to be given up.
	errRole = errors.New("reading role given up")
	// errReplaced is returned by read on a goroutine that has run a handler in the
	// meantime and is not the reader any more: it must end.
	errReplaced = errors.New("another goroutine reads")
	// errReaderExit is why a session ends whose inline handler has called
	// runtime.Goexit.
	errReaderExit = errors.New("an inline handler ended the goroutine that reads")
)

// readLoop is the reader goroutine. On a server it reads until the end of the session.
// On a caller's side it shares the reading role with lone callers: it parks when
// nothing is in flight, and reads again when there is more than one call, or after a
// pause, so that an idle session still hears its peer.
func (s *Session) readLoop() {
	s.reading.role.lock()
	s.readOn()
}

// readOn is readLoop for a goroutine that has the role already: that of a reader which
// runs a handler is left to the next ([Session.replaceReader]).
func (s *Session) readOn() {
	end, replaced := errReaderExit, false
	defer func() {
		if replaced {
			return
		}
		s.fail(end)
		s.out.settle()
		s.mem.settleAll()
		s.reading.role.unlock()
	}()
	for ; ; s.reading.role.lock() { // after a pause
		err := s.read(nil, &replaced)
		if err != errRole {
			end = err
			return
		}
		s.reading.parked.Store(true) // before the role is free: readAlone wants both
		s.reading.role.unlock()
		s.tick.hurry()                  // lone callers are to be watched
		if s.life.inflight.Load() > 0 { // a call that came between errRole and parked has woken nobody
			s.reading.want()
		}
		<-s.reading.wake
	}
}

// readAlone reads the connection on behalf of st, the only call in flight, until it
// ends. If another goroutine reads, or the tick finds that it takes long, the
// reader goroutine does. It leaves other calls that came meanwhile to the reader
// goroutine too.
func (s *Session) readAlone(st *Stream) {
	if !s.reading.parked.Load() || !s.reading.role.tryLock() {
		s.reading.want()
		return
	}
	s.reading.lone.Add(1)
	s.tick.hurry()
	err := s.read(st, nil)
	s.reading.lone.Add(1)
	s.reading.role.unlock()
	switch {
	case err != errRole:
		s.fail(err)
	case !st.over() || s.life.inflight.Load() > 0:
		s.reading.want()
	}
}

// serveAlone runs the handler of a call on the reader. It sets replaced if another
// goroutine reads by now: this one must end, and touch nothing. runtime.Goexit in the
// handler, as of a test that fails there, ends the goroutine and not the session.
func (s *Session) serveAlone(st *Stream, replaced *bool) {
	n := s.reading.lone.Add(1)
	s.tick.hurry()
	if s.Err() != nil { // after Add: either cut has seen the number, or this has seen the end
		s.replaceReader(n)
	}
	returned := false
	defer func() {
		if !returned {
			*replaced = true
			st.Finish(nil, false, exitStatus)
			s.replaceReader(n)
		}
	}()
	st.serve()
	returned = true
	*replaced = !s.reading.lone.CompareAndSwap(n, n+1)
}

// replaceReader starts another reader if the one that there is runs the handler n.
func (s *Session) replaceReader(n uint64) {
	if n%2 == 1 && s.reading.lone.CompareAndSwap(n, n+1) {
		go s.readOn()
	}
}

// read takes frames from the connection and acts on them, until the connection fails
// or, on a caller's side, the role is to be given up: by a lone caller when its call
// has ended or the tick interrupts it, by the reader goroutine (lone nil) when the
// last call in flight has ended. The caller has the reading role. When it returns
// nothing is held back any more. If another goroutine has got the role meanwhile, replaced
// is set, and the session is not touched.
func (s *Session) read(lone *Stream, replaced *bool) error {
	err := s.readFrames(lone, replaced)
	if err != errReplaced {
		s.in.cork.pull()
	}
	return err
}

// readFrames is read, but for what is held back.
func (s *Session) readFrames(lone *Stream, replaced *bool) error {
	in := &s.in
	ended := false // a call has ended since the role was taken
	for {
		if !in.whole(0) { // the next read may wait: the frames that came together are used up
			if lone != nil && lone.over() || lone == nil && ended && !s.server && s.life.inflight.Load() == 0 {
				return errRole
			}
			if in.cork.in && in.cork.enough() {
				in.cork.pull()
			}
		}
		h, err := in.header()
		if err != nil {
			if !isTimeout(err) {
				return err
			}
			in.resume()
			if lone != nil {
				return errRole
			}
			continue // meant for a lone caller that has just ended
		}
		if err = h.Check(); err == nil {
			err = s.handle(h, lone == nil)
		}
		if err != nil {
			var conn *connError
			if errors.As(err, &conn) {
				return conn.err
			}
			return s.protocolError(err)
		}
		ended = ended || h.Type() == wire.TypeStatus
		if st := in.alone; st != nil {
			in.alone = nil
			if s.serveAlone(st, replaced); *replaced {
				return errReplaced
			}
		}
	}
}

// handle acts on a frame whose header has been read. If mayCork is set and another
// whole frame is there behind it, what both cause shares one write. An error ends
// the session: a *connError as what it is, any other as the peer's breach of the
// protocol.
func (s *Session) handle(h wire.Header, mayCork bool) (err error) {
	in := &s.in
	var p []byte
	ahead := 0 // bytes before the next frame
	if h.Type() == wire.TypeData {
		ahead = h.Len() // onData takes the payload: straight into the message if it is large
	} else if p, err = in.payload(h.Len()); err != nil {
		return err
	}
	if mayCork && !in.cork.in && in.whole(ahead) {
		in.cork.put()
	}
	switch h.Type() {
	case wire.TypeData:
		return s.onData(h)
	case wire.TypeStatus:
		return s.onStatus(h, p)
	case wire.TypeOpen:
		return s.onOpen(h, p)
	case wire.TypeEnd:
		return s.onEnd(h)
	case wire.TypeReset:
		return s.onReset(h, p)
	case wire.TypeHeader:
		return s.onHeader(h, p)
	case wire.TypeCredit:
		return s.onCredit(h, p)
	case wire.TypePing:
		s.out.control(wire.MakeHeader(wire.TypePong, 0, 0, len(p)), p)
	case wire.TypeGoAway:
		return s.onGoAway(p)
	case wire.TypeSettings:
		return errors.New("a second SETTINGS frame")
	}
	return nil // PONG: that it has come is enough; or an unknown frame that can be ignored
}

// spent counts message bytes that have come, and gives the session's credit back: for
// all of them, those that are dropped too, or the session's credit would shrink.
func (s *Session) spent(cost int64) {
	if n := s.in.window.spend(cost); n > 0 {
		s.out.giveCredit(0, n)
	}
}

// onData takes a message, or a part of one, whose header has been read. In this order:
// the session's credit, the state of the stream, the stream's credit, the size limit
// and the memory. Nothing of the payload is kept before all of them agree.
func (s *Session) onData(h wire.Header) error {
	n := h.Len()
	cost := int64(n + wire.FrameCost)
	s.spent(cost) // also for a stream that has ended: the peer may not know yet
	var p []byte
	if n < bulk { // a larger part is read into the message itself
		var err error
		if p, err = s.in.payload(n); err != nil {
			return err
		}
	}
	st := s.stream(h.ID())
	if st == nil {
		return s.in.skip(n - len(p))
	}
	if st.end.done || st.end.err != nil || st.end.noMore && !s.server {
		st.mu.Unlock() // nothing takes it any more
		return s.in.skip(n - len(p))
	}
	more, end := h.Has(wire.FlagMore), h.Has(wire.FlagEnd)
	if err := st.checkDataLocked(more, end, cost); err != nil {
		st.mu.Unlock()
		return err
	}
	large := more || st.in.part.coming || n >= bulk
	held := int64(n) + perMessage
	if large {
		held = st.in.part.charge(n, more)
	}
	if e := s.admitBytes(st, n, held, large); e != nil {
		return s.reject(st, e, n-len(p))
	}
	if large {
		return s.onPart(st, p, n, held, more, end)
	}
	s.mem.unread.Add(st.in.queue.push(p))
	st.end.noMore = end
	st.unlockMessage()
	return nil
}

// firstMessage takes the message in an OPEN frame, or returns why it cannot be taken.
// It is onData for a stream that has nothing yet. st is locked.
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

// admitBytes checks the size of a message that grows by n bytes, and counts held
// bytes of memory for it. It returns why the message cannot be taken, and counts
// nothing then. st is locked.
func (s *Session) admitBytes(st *Stream, n int, held int64, large bool) *Error {
	size := len(st.in.part.b) + n
	switch {
	case size > st.MaxReceive:
		return tooLarge(size, st.MaxReceive, st.LimitSetBy)
	case st.wait.endOnly && !st.in.queue.empty(): // its receiver would not look before the end
		return &Error{Code: wire.CodeInternal, Message: "more than one response to a unary call"}
	case large && !s.mem.roomForParts(held, st.MaxReceive):
		return errParting
	}
	if err := s.mem.hold(held); err != nil {
		s.mem.release(held)
		return noMemory(err)
	}
	return nil
}

// onPart takes n bytes of a large message, for which held bytes have been counted.
// They are in p if they have been read; if not, it reads them into the message, which
// copies nothing. st is locked before, not after.
func (s *Session) onPart(st *Stream, p []byte, n int, held int64, more, end bool) error {
	s.mem.parting.Add(held)
	dst := st.in.part.extend(n, held, more)
	if n < bulk {
		copy(dst, p)
	} else {
		id := st.id
		// Reading can wait, and so must not hold mu. The message is the reader's
		// meanwhile, and stays its own if the stream ends.
		b := st.in.part.take()
		st.mu.Unlock()
		if err := s.in.into(dst); err != nil {
			return err
		}
		st.mu.Lock()
		if st.owner != s || st.id != id || st.end.done {
			st.mu.Unlock() // the goroutine that ended it has released the bytes
			putBig(b)
			return nil
		}
		st.in.part.b = b
	}
	st.in.part.cost += int64(n + wire.FrameCost)
	if more {
		s.creditPart(st)
		return nil
	}
	m := bigMessage{st.in.part.take(), st.in.part.cost, st.in.part.held}
	st.dropPartLocked()
	st.in.queue.pushBig(m)
	s.mem.unread.Add(m.held)
	st.end.noMore = end
	st.unlockMessage()
	return nil
}

// creditPart unlocks st. If the receiver waits for the message that comes, its
// parts are credited as they come, so that it can be larger than the window.
func (s *Session) creditPart(st *Stream) {
	defer st.mu.Unlock()
	n := st.in.part.cost
	if !st.wait.waiting && !st.wait.endOnly || n < st.in.window.size/4 {
		return
	}
	st.in.part.cost = 0
	if !s.in.cork.in {
		s.in.cork.put() // the reader writes the credit, and need not wake the writer
	}
	st.grantLocked(n)
}

// reject ends a stream whose message cannot be taken because of e, and skips n bytes
// of it. st is locked before, not after. The session goes on: a message that is too
// large is a mistake of one call.
func (s *Session) reject(st *Stream, e *Error, n int) error {
	if s.server {
		st.cutLocked(statusOf(e), e)
	} else {
		st.end.err = e // the goroutine that uses the stream tells the server
		st.unlockWake()
	}
	return s.in.skip(n)
}
