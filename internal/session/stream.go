package session

import (
	"errors"
	"sync"
	"time"
)

var (
	errInterrupted = errors.New("interrupted")                            // done was closed; the caller knows why
	errQueued      = errors.New("interrupted while waiting for a stream") // the same, before there was a stream
)

// maxUnlimited is the size limit of a message when there is none.
const maxUnlimited = 1 << 30

// IsInterrupted reports whether a method returned because done was closed.
func IsInterrupted(err error) bool { return err == errInterrupted || err == errQueued }

// WasQueued reports whether [Session.NewStream] or [Session.Call] returned because
// done was closed while it waited for one of the streams that the peer allows at a
// time.
func WasQueued(err error) bool { return err == errQueued }

// Interrupted returns the error for [Stream.Abandon] when a context has ended.
func Interrupted() error { return errInterrupted }

// A Stream is one side of one call.
//
// One goroutine may receive and one may send at a time; Cancel and the reader
// may run at any time.
//
// # States
//
//	caller:  idle --OPEN--> open --END--> half-closed --STATUS--> closed
//	         open, half-closed --RESET--> abandoned --STATUS--> closed
//	server:  (OPEN) open --END--> half-closed; the handler returns: STATUS, closed
//	         open --RESET--> abandoned, the handler's context is cancelled;
//	         the handler returns: STATUS, closed
//	         (cut by the server) STATUS, closed, the handler's context is cancelled
//
// idle is sending.opened false; half-closed is sending.done on the caller's side and
// ending.noMore on the server's; abandoned is ending.done without a STATUS, and
// closed is an empty cell.
//
// An id is used again only after its STATUS has come, so a frame can never
// reach a stream it was not meant for, and a caller that is within the limit of
// streams is never refused because a handler has not noticed yet that its caller
// has gone. A server counts handlers that outlive a stream it has cut against
// the limit of streams.
//
// # Pooled streams
//
// A stream of a unary call is used again after its end, for another call and, on
// another id, perhaps while the reader still looks at it. So whoever finds a
// stream through a cell or a timer looks at owner, id or serial under mu before it
// does anything ([Session.stream]). owner is nil in the pool.
type Stream struct {
	s    *Session // of the goroutine that uses the stream
	id   uint32
	cell *cell

	Request             // what OPEN says; on the caller's side set by who opens
	Entry   any         // server: of the procedure's info
	expiry  *time.Timer // server: see ExpireAt; the handler's
	pooled  bool        // goes back to the session's pool at its end
	inline  bool        // server: the handler runs on the reader

	// Guarded by mu, which is taken before sender.mu.
	mu     sync.Mutex
	owner  *Session // s, or nil in the pool
	serial uint32   // which call has a pooled stream
	end    ending
	in     arrivals
	wait   waiter

	recv cursor  // the receiver's
	out  sending // the sender's; part of it guarded by sender.mu
}

// An ending is what is known of the end of a stream.
type ending struct {
	noMore    bool   // nothing more comes, after what is in the queue
	done      bool   // this side is done: what still comes is dropped
	hasStatus bool   // caller: STATUS has come
	owes      bool   // server: the caller has gone, and STATUS is sent when the handler ends
	err       error  // why this side gave up, or the session ended
	status    []byte // caller: the payload of STATUS

	canceler Canceler // server: who is told of the end of the call
	canceled error    // server: why the call was cancelled; nil: it was not
}

// Arrivals are what has come on a stream and was not taken.
type arrivals struct {
	queue  queue
	part   partial
	window window
	header []byte // caller: metadata that came before the first message
	taking int64  // buffered bytes that the receiver's cursor stands for
	beside int64  // bytes of header and status that count as buffered
}

// A waiter is how the receiver of a stream waits.
type waiter struct {
	wake    chan struct{} // has room for one token: one for each wait
	waiting bool          // the receiver waits for wake
	endOnly bool          // a unary call: the receiver is woken at the end only
	counted bool          // it was woken and counts in the session's wakeups
}

// A Canceler is told when the caller of a served stream has gone, its time is
// over, or the server cuts it: before the methods of the stream tell. It must
// not block.
type Canceler interface{ Cancel(cause error) }

func newStream() *Stream { return &Stream{wait: waiter{wake: make(chan struct{}, 1)}} }

// A streamPool has streams that are used again. There is one pool for each session
// because a channel may not leave its synctest bubble.
type streamPool struct{ p sync.Pool }

func (p *streamPool) get() *Stream {
	if st, ok := p.p.Get().(*Stream); ok {
		return st
	}
	return newStream()
}

func (p *streamPool) put(st *Stream) { p.p.Put(st) }

// resetLocked prepares a stream for a call on s, and locks it.
func (st *Stream) resetLocked(s *Session, id uint32, c *cell, r *Request) {
	st.mu.Lock()
	st.s, st.id, st.cell = s, id, c
	st.Request, st.Entry, st.expiry = *r, nil, nil
	if st.MaxReceive <= 0 {
		st.MaxReceive = maxUnlimited
	}
	st.owner = s
	st.serial++
	st.end = ending{status: st.end.status[:0]} // its memory is used again
	st.in.queue.clear()
	st.in.part, st.in.header = partial{}, nil
	st.wait.waiting, st.wait.endOnly = false, false
	size := int64(s.cfg.StreamWindow)
	st.in.window.reset(size)
	st.in.taking = 0
	st.recv.reset(size)
	st.out.reset(s.server, int64(s.peer.StreamWindow))
}

// recycle gives a pooled stream of the caller's side back. A reader may still know
// it, and finds out by its owner.
func (st *Stream) recycle() {
	if !st.pooled {
		return
	}
	st.mu.Lock()
	st.disownLocked()
	st.mu.Unlock()
	st.s.streams.put(st)
}

// Pooled reports whether the stream is used again after Finish; then all its
// requests have come and Recv does not wait.
func (st *Stream) Pooled() bool { return st.pooled }

// disownLocked drops what a stream in the pool need not keep.
func (st *Stream) disownLocked() {
	if cap(st.in.queue.b) > bulk || cap(st.recv.b) > bulk {
		st.in.queue.b, st.recv.b = nil, nil
	}
	if cap(st.end.status) > keepQueue {
		st.end.status = nil
	}
	st.owner = nil
	st.Request, st.end.canceler, st.recv.bigs, st.in.header = Request{}, nil, nil, nil
}

// forgetLocked empties what a stream that ends has received and not taken, and returns how many
// buffered bytes that were. What Recv returned last stays readable.
func (st *Stream) forgetLocked() (held int64) {
	mem := &st.s.mem
	unread := st.in.queue.held()
	mem.unread.Add(-unread)
	held = st.in.taking + unread + st.dropPartLocked() + st.in.beside
	st.in.taking, st.in.beside = 0, 0
	st.in.queue.clear()
	st.in.window.shrink(int64(st.s.cfg.StreamWindow), mem)
	return held
}

// dropPartLocked makes st forget the large message that comes, and returns how
// many bytes it counted as buffered.
func (st *Stream) dropPartLocked() (held int64) {
	if !st.in.part.coming {
		return 0
	}
	held = st.in.part.drop()
	st.s.mem.parting.Add(-held)
	return held
}

// checkDataLocked returns how a DATA frame breaks the protocol, and counts its cost.
// Reader only.
func (st *Stream) checkDataLocked(more, end bool, cost int64) error {
	switch {
	case st.end.noMore:
		return errors.New("DATA after the end of the stream")
	case more && end:
		return errors.New("DATA that is the end and goes on")
	case !st.in.window.spend(cost):
		return errors.New("more bytes than the credit allowed")
	}
	return nil
}

// holdBesideLocked counts the header or the status of a stream as buffered. Small
// ones are within what a stream costs. Reader only.
func (st *Stream) holdBesideLocked(p []byte) error {
	n := int64(len(p))
	if n < streamCost/4 || st.end.done {
		return nil
	}
	if err := st.s.mem.hold(n); err != nil {
		st.s.mem.release(n)
		return err
	}
	st.in.beside += n
	return nil
}

// cancelLocked tells the handler of a served stream that it need not go on. mu
// is free meanwhile, since the handler may receive: cancelLocked reports false if
// the stream has become another call's.
func (st *Stream) cancelLocked(cause error) (same bool) {
	if st.end.canceled == nil {
		st.end.canceled = cause
	}
	c, owner, serial := st.end.canceler, st.owner, st.serial
	if c == nil {
		return true
	}
	st.mu.Unlock()
	c.Cancel(cause)
	st.mu.Lock()
	return st.owner == owner && st.serial == serial
}

// sessionFailed ends all that a stream of s does, after s has ended.
func (st *Stream) sessionFailed(s *Session) {
	st.mu.Lock()
	err := s.Err()
	if st.owner != s || !st.cancelLocked(err) {
		st.mu.Unlock()
		return
	}
	if st.end.err == nil && !st.end.hasStatus {
		st.end.err = lost(err)
	}
	st.end.done = true
	st.unlockWake()
}
