package session

import (
	"io"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

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
	st := s.pooledStream()
	st.pooled = true
	n, err := s.admit(st, r, done)
	if err != nil {
		s.streams.Put(st)
		return nil, err
	}
	st.endOnly = true // nothing comes before the OPEN: no lock
	mode := flushNow
	if n > 1 {
		mode = flushYield
	}
	alone := n == 1 && !prompt && len(msg) < bulk // a large request needs credit: somebody must read
	if !alone {
		s.wantReader()
	}
	if err = st.send(msg, true, done, mode); err == nil || err == io.EOF {
		if alone {
			s.readAlone(st)
		}
		err = st.waitEnd(done)
	}
	if err != nil {
		if !st.opened.Load() {
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
	s.wantReader()
	return st, nil
}

// admit gives st an id, waiting for one if the peer's limit of streams is
// reached. It returns the number of calls in flight with this one.
func (s *Session) admit(st *Stream, r *Request, done <-chan struct{}) (int64, error) {
	id, err := s.ids.take(done)
	if err != nil {
		if err == errEnded {
			err = unprocessed(s.lost())
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
	if err := s.Err(); err != nil { // after Store: fail looks at all cells after it closes closed
		st.sessionFailed(s)
	}
	return n, nil
}

// openLocked appends the OPEN frame with the first message or its first part.
// wmu is held.
func (st *Stream) openLocked(msg []byte, hasMessage bool, flags uint64) {
	s := st.s
	o := wire.Open{
		Encoding: st.Encoding, Attempt: st.Attempt, Priority: st.Priority, Number: s.procedures[st.Procedure],
		Deadline: st.Timeout, Metadata: st.Metadata, HasMessage: hasMessage,
	}
	if o.Number == 0 { // the peer does not know the name
		o.Name = []byte(st.Procedure)
		if n := len(s.procedures) + 1; n <= wire.MaxProcedures {
			o.Number = uint32(n)
			s.procedures[st.Procedure] = o.Number
		}
	}
	at := len(s.wbuf)
	s.wbuf = append(s.wbuf, make([]byte, wire.HeaderLen)...)
	s.wbuf = o.Append(s.wbuf)
	s.wbuf = append(s.wbuf, msg...)
	wire.MakeHeader(wire.TypeOpen, flags, st.id, len(s.wbuf)-at-wire.HeaderLen).Put(s.wbuf[at:])
	s.calls++
	st.opened.Store(true)
	if flags&wire.FlagEnd != 0 {
		st.sendDone.Store(true)
	}
}

// waitEnd waits for the end of the call, and takes what came.
func (st *Stream) waitEnd(done <-chan struct{}) error {
	for {
		st.mu.Lock()
		if st.hasStatus || st.err != nil {
			err := st.err // also with a status: a response could not be taken
			if len(st.q) > 0 {
				st.takeAllLocked()
			}
			st.mu.Unlock()
			return err
		}
		st.waiting = true
		st.mu.Unlock()
		err := st.wait(done)
		if st.counted {
			st.counted = false
			st.s.woken.Add(-1)
		}
		if err != nil {
			return err
		}
	}
}

// Status returns the outcome of a call whose Recv has returned io.EOF, or that
// Call has returned. It keeps nothing of the stream.
func (st *Stream) Status() (wire.Status, error) {
	if len(st.status) == 0 {
		return wire.Status{}, nil
	}
	var s wire.Status
	err := s.Parse(st.status)
	return s, err
}

// Header returns the metadata that came before the first message, encoded.
func (st *Stream) Header() []byte {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.header
}

// Release ends the use of a stream that has its status, and of the message that
// Recv returned last. It must not run at the same time as Recv.
func (st *Stream) Release() {
	s, id, pooled := st.s, st.id, st.pooled
	st.mu.Lock()
	st.ended = true
	n := st.forgetLocked()
	if pooled {
		st.cell.Store(nil)
		st.disownLocked()
	}
	st.mu.Unlock()
	if n > 0 {
		s.mem.release(n)
	}
	st.putTaken()
	if pooled {
		s.ids.put(id)
		s.streams.Put(st)
	}
}

// Abandon gives the call up: the peer is told with code, and receiving and
// sending fail with err from now on. After the end of the call it only forgets
// what was not received. Safe from any goroutine, more than once.
func (st *Stream) Abandon(code byte, err error) {
	s := st.s
	st.mu.Lock()
	if st.owner != s || st.ended {
		st.mu.Unlock()
		return
	}
	st.ended = true
	over := st.hasStatus
	if st.err == nil && !over {
		st.err = err
	}
	if n := st.forgetLocked(); n > 0 {
		defer s.mem.release(n)
	}
	free := false // the reader will, when STATUS comes
	lead := false
	if !over {
		s.wmu.Lock()
		if st.sendErr == nil {
			st.sendErr = err
		}
		if st.sendWaits {
			st.sendWaits = false
			s.waiters = slices.DeleteFunc(s.waiters, func(w *Stream) bool { return w == st })
			st.wakeSender()
		}
		if st.opened.Load() {
			lead = s.controlLocked(wire.MakeHeader(wire.TypeReset, 0, st.id, 1), []byte{code})
		} else {
			free = true
		}
		s.wmu.Unlock()
	}
	id, cell, pooled := st.id, st.cell, st.pooled
	st.unlockWake()
	if lead {
		s.flush(flushNow)
	}
	if free || over && pooled {
		cell.Store(nil)
		if free {
			s.life.inflight.Add(-1)
			s.life.checkIdle()
		}
		s.ids.put(id)
		st.recycle()
	}
}
