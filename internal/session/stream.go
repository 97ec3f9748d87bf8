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
// Concurrency: one goroutine may receive and one may send at a time. Abandon, the
// session's reader and a timer may do what they do at any time.
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
// another id, perhaps while the reader still looks at it. So a goroutine that finds
// a stream through a cell or a timer looks at owner, id or serial under mu before it
// does anything ([Session.stream]). owner is nil in the pool.
type Stream struct {
	// s, id and cell are set before the call begins, and read by the goroutines that
	// use the stream for the call.
	s    *Session
	id   uint32
	cell *cell

	// Request is what OPEN says of the call.
	Request
	// Entry is [ProcedureInfo.Entry], on a server.
	Entry any

	// expiry is the timer of ExpireAt, if there is one. It belongs to the handler.
	expiry *time.Timer
	// pooled: the stream goes back to the session's pool at its end.
	pooled bool
	// inline: the handler runs on the reader.
	inline bool
	// pace is where the handler's time counts, from begun on, in nanotime. nil: it does
	// not count.
	pace  *Pace
	begun int64

	// mu guards what stands below it here, but for wait.wake, recv and out. It is
	// taken before sender.mu.
	mu sync.Mutex
	// owner is s, or nil in the pool.
	owner *Session
	// serial counts the calls that a pooled stream has served.
	serial uint32
	end    ending
	in     arrivals
	wait   waiter

	// recv belongs to the goroutine that receives.
	recv cursor
	// out belongs to the goroutine that sends, but for what sender.mu guards.
	out sending
}

// An ending is what is known of the end of a stream. It is guarded by Stream.mu.
type ending struct {
	// noMore: nothing more comes, after what is in the queue.
	noMore bool
	// done: this side is done, and what still comes is dropped.
	done bool
	// hasStatus: STATUS has come. Caller only.
	hasStatus bool
	// owes: the caller has gone, and STATUS is sent when the handler ends. Server only.
	owes bool
	// err is why this side gave up, or why the session ended. Receiving fails with it
	// when the queue is empty.
	err error
	// status is the payload of STATUS. It is not changed after hasStatus. Caller only.
	status []byte

	// canceler hears of the end of the call before the handler's stream shows it.
	// Server only.
	canceler Canceler
	// canceled is why the call was cancelled, or nil. The first reason stays.
	canceled error
}

// Arrivals are what has come on a stream and was not taken. They are guarded by
// Stream.mu.
type arrivals struct {
	queue  queue
	part   partial
	window window
	header []byte // caller: metadata that came before the first message
	taking int64  // buffered bytes that the receiver's cursor stands for
	beside int64  // bytes of header and status that count as buffered
}

// A waiter is how the receiver of a stream waits. It is guarded by Stream.mu.
//
// The receiver sets waiting and waits for a token. Who clears waiting owes it the
// token, so there is never more than one.
type waiter struct {
	// wake has room for one token.
	wake chan struct{}
	// waiting: the receiver waits for wake.
	waiting bool
	// endOnly: it is a unary call, whose receiver is woken at the end only.
	endOnly bool
	// counted: the receiver was woken and counts in the session's wakeups. It takes
	// itself out when it runs.
	counted bool
}

// A Canceler learns that the caller of a served stream has gone, that its time is
// over, or that the server cuts it, before the methods of the stream show it.
type Canceler interface {
	// Cancel runs with no lock held, on any goroutine, perhaps more than once with
	// different causes: the first counts. It must not block.
	Cancel(cause error)
}

// newStream returns a stream that resetLocked has not prepared yet.
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

// resetLocked prepares a stream for a call on s, and locks it. Memory of the call
// before is used again: that of the queue, the cursor and the status.
func (st *Stream) resetLocked(s *Session, id uint32, c *cell, r *Request) {
	st.mu.Lock()
	st.s, st.id, st.cell = s, id, c
	st.Request, st.Entry, st.expiry, st.pace = *r, nil, nil, nil
	if st.MaxReceive <= 0 {
		st.MaxReceive = maxUnlimited
	}
	st.owner = s
	st.serial++
	st.end = ending{status: st.end.status[:0]} // its memory is used again
	st.in.queue.drop()
	st.in.part, st.in.header = partial{}, nil
	st.wait.waiting, st.wait.endOnly = false, false
	size := int64(s.cfg.StreamWindow)
	st.in.window.reset(size)
	st.in.taking = 0
	st.recv.reset(size)
	st.out.reset(s.server, int64(s.peer.StreamWindow))
}

// recycle gives a pooled stream of the caller's side back, and does nothing to
// others. The reader may still know it, and finds out by its owner.
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

// disownLocked drops what a stream in the pool need not keep: large buffers, and what
// would keep others' memory alive. From now on it has no owner. It ends the use of what
// Recv returned last: no goroutine receives any more.
func (st *Stream) disownLocked() {
	st.in.queue.drop()
	st.recv.drop()
	if cap(st.end.status) > keepQueue {
		st.end.status = nil
	}
	st.owner = nil
	st.Request, st.end.canceler, st.in.header = Request{}, nil, nil
}

// forgetLocked empties what a stream that ends has received and not taken, and returns
// how many buffered bytes that were: the caller releases them. What Recv returned
// last stays readable.
func (st *Stream) forgetLocked() (held int64) {
	mem := &st.s.mem
	unread := st.in.queue.held()
	mem.unread.Add(-unread)
	held = st.in.taking + unread + st.dropPartLocked() + st.in.beside
	st.in.taking, st.in.beside = 0, 0
	st.in.queue.drop()
	st.in.window.shrink(int64(st.s.cfg.StreamWindow), mem)
	return held
}

// dropPartLocked makes st forget the large message that comes, and returns how
// many bytes it counted as buffered. Its memory is given back: here, or by the reader if
// that is filling it.
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

// cancelLocked tells the canceler of a served stream why the call ends. mu is free
// meanwhile, since the handler may receive: cancelLocked reports false if the stream
// has become another call's.
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

// sessionFailed ends all that a stream of s does, after s has ended. What has come is
// still received; a call whose STATUS has come is not touched by the end.
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
