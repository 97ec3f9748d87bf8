package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

var (
	errInterrupted = errors.New("interrupted")                            // done was closed; the caller knows why
	errQueued      = errors.New("interrupted while waiting for a stream") // the same, before there was a stream
	errSendClosed  = errors.New("send after the end of sending")
	errCredit      = fmt.Errorf("more credit than %d bytes", int64(maxCredit))
	errWindow      = errors.New("more bytes than the credit allowed")
)

const (
	maxCredit   = 1 << 40
	streamPause = 100 * time.Microsecond
	// maxUnlimited is the size limit of a message when there is none.
	maxUnlimited = 1 << 30
)

// IsInterrupted reports whether a method returned because done was closed.
func IsInterrupted(err error) bool { return err == errInterrupted || err == errQueued }

// WasQueued reports whether [Session.Open] returned because done was closed while
// it waited for one of the streams that the peer allows at a time.
func WasQueued(err error) bool { return err == errQueued }

// Interrupted returns the error for [Stream.Abandon] when a context has ended.
func Interrupted() error { return errInterrupted }

// start is the origin of nanotime.
var start = time.Now()

func nanotime() int64 { return int64(time.Since(start)) }

// A Stream is one side of one call.
//
// One goroutine may receive and one may send at a time; Cancel and the reader
// may run at any time.
type Stream struct {
	s    *Session // of the goroutine that uses the stream
	id   uint32
	cell *atomic.Pointer[Stream]

	// What the OPEN frame says; on the caller's side set by who opens.
	Request
	Entry  any         // server: of the procedure's info
	expiry *time.Timer // server: see ExpireAt; the handler's
	serial uint32      // which call has a pooled stream; guarded by mu
	pooled bool        // goes back to the session's pool at its end
	inline bool        // server: the handler runs on the reader

	// What has come; guarded by mu. The reader fills the end of part unlocked.
	mu        sync.Mutex
	owner     *Session // s; guarded, since a pooled stream changes hands
	q         []byte   // messages not yet taken: length uint32, bytes; or a mark for one in bigs
	bigs      []bigMessage
	curBuf    int64  // buffered bytes that cur, below, stands for
	part      []byte // a large message while its parts come
	partCost  int64  // of part: cost not yet returned as credit
	partHeld  int64  // of part: bytes that count as buffered
	beside    int64  // bytes of header and status that count as buffered
	err       error  // why this side gave up, or the session ended
	status    []byte
	header    []byte
	window    int64
	lastGrant int64 // when credit was last given
	allowance int64 // bytes the peer may still send
	wake      chan struct{}
	inPart    bool
	recvEnd   bool // nothing more comes
	hasStatus bool
	waiting   bool // for wake
	counted   bool // in the session's woken
	endOnly   bool // wake the receiver only at the end
	ended     bool // this side is done: what still comes is dropped
	// owesStatus: the server's STATUS goes out when the handler ends.
	owesStatus bool

	// The receiver's.
	cur       []byte // messages being taken, from q
	at        int
	curBigs   []bigMessage
	taken     []byte // the last large message, until the next Recv
	credit    int64  // consumed and not yet returned
	creditMin int64  // of it that is worth a frame
	canceler  Canceler
	canceled  error // guarded by mu

	// The sender's.
	lastLead int64       // when a message last found nobody writing
	joined   bool        // a message since then found somebody
	turned   atomic.Bool // a message has been received since then
	sendDone atomic.Bool // nothing more is to be sent
	opened   atomic.Bool // OPEN is in the write buffer or further; set under wmu

	// Guarded by s.wmu.
	sendCredit int64
	sendErr    error
	sendWake   chan struct{}
	want       int64
	wantRoom   int
	sendWaits  bool
}

// A Canceler is told when the caller of a served stream has gone, its time is
// over, or the server cuts it: before the methods of the stream tell. It must
// not block.
type Canceler interface{ Cancel(cause error) }

// A bigMessage is a message that came in parts or does not fit q well.
type bigMessage struct {
	b    []byte
	cost int64 // credit still to return when it is taken
	held int64 // bytes that count as buffered
}

const (
	bigMark = math.MaxUint32
	// perMessage is what a message or a part counts as buffered beside its
	// bytes.
	perMessage = 4
)

func newStream() *Stream { return &Stream{wake: make(chan struct{}, 1)} }

// pooledStream returns a stream of the session's pool. There is one pool for
// each session because a channel may not leave its synctest bubble.
func (s *Session) pooledStream() *Stream {
	if st, ok := s.streams.Get().(*Stream); ok {
		return st
	}
	return newStream()
}

// resetLocked prepares a stream for a call on s, and locks it.
func (st *Stream) resetLocked(s *Session, id uint32, cell *atomic.Pointer[Stream], r *Request) {
	st.mu.Lock()
	st.s, st.id, st.cell = s, id, cell
	st.Request, st.Entry, st.expiry = *r, nil, nil
	if st.MaxReceive <= 0 {
		st.MaxReceive = maxUnlimited
	}
	st.owner = s
	st.serial++
	st.q, st.bigs, st.part, st.partCost, st.partHeld, st.inPart = st.q[:0], nil, nil, 0, 0, false
	st.recvEnd, st.err, st.hasStatus, st.status, st.header = false, nil, false, st.status[:0], nil
	st.waiting, st.endOnly, st.ended, st.owesStatus = false, false, false, false
	st.window = int64(s.cfg.StreamWindow)
	st.allowance, st.creditMin = st.window, st.window/4
	st.cur, st.at, st.curBigs, st.taken, st.curBuf, st.credit = st.cur[:0], 0, nil, nil, 0, 0
	st.canceler, st.canceled = nil, nil
	st.opened.Store(s.server)
	st.lastLead, st.joined = 0, false
	st.turned.Store(false)
	st.sendDone.Store(false)
	st.sendCredit, st.sendErr = int64(s.peer.StreamWindow), nil
}

// recycle gives a pooled stream of the caller's side back. Nobody but a reader
// that is about to find out may still know it.
func (st *Stream) recycle() {
	if !st.pooled {
		return
	}
	st.mu.Lock()
	st.disownLocked()
	st.mu.Unlock()
	st.s.streams.Put(st)
}

// disownLocked drops what a stream in the pool need not keep.
func (st *Stream) disownLocked() {
	if cap(st.q) > bulk || cap(st.cur) > bulk {
		st.q, st.cur = nil, nil
	}
	if cap(st.status) > keepQueue {
		st.status = nil
	}
	st.owner = nil
	st.Request, st.canceler, st.curBigs, st.header = Request{}, nil, nil, nil
}

// unlockWake wakes the receiver if it waits, and unlocks mu.
func (st *Stream) unlockWake() {
	if st.waiting {
		st.waiting = false
		st.mu.Unlock()
		st.wake <- struct{}{} // has room: one token for one wait
		return
	}
	st.mu.Unlock()
}

// Recv returns the next message, which is valid until the next Recv. io.EOF
// says that no more come: on the caller's side [Stream.Status] has the outcome.
// It waits; done interrupts. Not safe for concurrent use with itself.
func (st *Stream) Recv(done <-chan struct{}) ([]byte, error) {
	for {
		if st.at < len(st.cur) {
			return st.take(), nil
		}
		if err := st.refill(done); err != nil {
			return nil, err
		}
	}
}

// RecvOwned is Recv of a stream that waits for nothing; the message is the
// caller's to keep.
func (st *Stream) RecvOwned() ([]byte, error) {
	msg, err := st.Recv(nil)
	if err != nil {
		return nil, err
	}
	if st.taken != nil { // a large message has memory of its own
		st.taken = nil
		return msg, nil
	}
	return append(make([]byte, 0, len(msg)), msg...), nil
}

// take returns the next message of cur and gives its credit back.
func (st *Stream) take() []byte {
	n := binary.LittleEndian.Uint32(st.cur[st.at:])
	st.at += 4
	st.putTaken()
	if n == bigMark {
		m := st.curBigs[0]
		st.curBigs = st.curBigs[1:]
		st.taken = m.b
		st.grant(m.cost)
		return m.b
	}
	msg := st.cur[st.at : st.at+int(n) : st.at+int(n)]
	st.at += int(n)
	st.grant(int64(n) + wire.FrameCost)
	return msg
}

// putTaken gives the memory of the last large message back.
func (st *Stream) putTaken() {
	if st.taken != nil {
		putBig(st.taken)
		st.taken = nil
	}
}

// grant returns credit to the peer, a quarter of the window at a time.
func (st *Stream) grant(cost int64) {
	st.credit += cost
	if st.credit < st.creditMin {
		return
	}
	n := st.credit
	st.credit = 0
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.recvEnd && !st.ended {
		st.grantLocked(n)
		st.creditMin = st.window / 4
	}
}

// grantLocked lets the peer send n bytes more. A window that is used up quickly
// doubles, up to the limit.
func (st *Stream) grantLocked(n int64) {
	now := nanotime()
	quick := now-st.lastGrant < int64(10*time.Millisecond)
	st.lastGrant = now
	if limit := int64(st.s.cfg.MaxStreamWindow); quick && st.window < limit {
		grow := st.s.mem.grow(min(st.window, limit-st.window))
		st.window += grow
		n += grow
	}
	st.allowance += n
	st.s.sendCredit(st.id, n) // under mu: later the id may be another call's
}

// shrinkLocked gives back by how much the window of a stream that ends has grown.
func (st *Stream) shrinkLocked() {
	if first := int64(st.s.cfg.StreamWindow); st.window > first {
		st.s.mem.grown.Add(first - st.window)
		st.window = first
	}
}

// refill swaps in what has come, or waits for it. A goroutine that waits here
// keeps its stack: it and what it calls use little of it.
func (st *Stream) refill(done <-chan struct{}) error {
	for {
		ready, err := st.swap()
		if ready || err != nil {
			return err
		}
		if done == nil {
			<-st.wake
		} else if err := st.wait(done); err != nil {
			return err
		}
	}
}

// swap makes what has come cur. If there is nothing and more may come, it
// leaves waiting set.
func (st *Stream) swap() (ready bool, err error) {
	st.mu.Lock()
	taken := st.curBuf
	st.curBuf = 0
	switch {
	case len(st.q) > 0:
		st.takeAllLocked()
		ready = true
	case st.err != nil:
		err = st.err
	case st.recvEnd:
		err = io.EOF
	default:
		// The large message that comes, if one does, is next: let it.
		st.allowance += st.partCost
		st.s.sendCredit(st.id, st.partCost) // under mu: later the id may be another call's
		st.partCost = 0
		st.waiting = true
		st.dropQueueLocked()
	}
	st.mu.Unlock()
	if taken > 0 || ready {
		st.s.mem.release(taken)
	}
	return ready, err
}

// keepQueue is how large the queue of a stream may be that waits. A larger one
// is of the sizes of large messages and goes back to where those come from.
const keepQueue = 4 << 10

// growQueueLocked makes room for n bytes in the queue.
func (st *Stream) growQueueLocked(n int) {
	need := len(st.q) + n
	if need <= cap(st.q) || need <= keepQueue {
		return // append does it
	}
	grown := append(getBig(max(need, 2*cap(st.q)))[:0], st.q...)
	putBig(st.q)
	st.q = grown
}

// dropQueueLocked gives up the memory that a burst of messages needed, all of
// which have been used.
func (st *Stream) dropQueueLocked() {
	if cap(st.q) > keepQueue {
		putBig(st.q)
		st.q = nil
	}
	if cap(st.cur) > keepQueue {
		putBig(st.cur)
		st.cur, st.at = nil, 0
	}
}

// takeAllLocked makes what has come cur, which is used up.
func (st *Stream) takeAllLocked() {
	st.cur, st.q = st.q, st.cur[:0]
	st.at = 0
	st.curBuf = int64(len(st.cur))
	st.curBigs, st.bigs = st.bigs, nil
	st.turned.Store(true)
	for _, m := range st.curBigs {
		st.curBuf += m.held - perMessage // cur has the mark
	}
	st.s.mem.unread.Add(-st.curBuf)
}

// wait waits until it is woken, or done is closed.
func (st *Stream) wait(done <-chan struct{}) error {
	select {
	case <-st.wake:
		return nil
	case <-done:
	}
	st.mu.Lock()
	woken := !st.waiting
	st.waiting = false
	st.mu.Unlock()
	if woken {
		<-st.wake
	}
	return errInterrupted
}

// cancelLocked tells the handler of a served stream that it need not go on. mu
// is free meanwhile, since the handler may receive: cancelLocked reports false if
// the stream has become another call's.
func (st *Stream) cancelLocked(cause error) (same bool) {
	if st.canceled == nil {
		st.canceled = cause
	}
	c, owner, serial := st.canceler, st.owner, st.serial
	if c == nil {
		return true
	}
	st.mu.Unlock()
	c.Cancel(cause)
	st.mu.Lock()
	return st.owner == owner && st.serial == serial
}

// sessionFailed ends all that a stream of s does.
func (st *Stream) sessionFailed(s *Session) {
	st.mu.Lock()
	if st.owner != s || !st.cancelLocked(s.Err()) {
		st.mu.Unlock()
		return
	}
	if st.err == nil && !st.hasStatus {
		st.err = s.lost()
	}
	st.ended = true
	st.unlockWake()
}

// forgetLocked empties what a stream that ends has received and not taken, and returns how many
// buffered bytes that were. What Recv returned last stays readable.
func (st *Stream) forgetLocked() int64 {
	unread := int64(len(st.q))
	for _, m := range st.bigs {
		unread += m.held - perMessage // q has the mark
	}
	st.s.mem.unread.Add(-unread)
	n := st.curBuf + unread + st.dropPartLocked() + st.beside
	st.curBuf, st.beside, st.q, st.bigs = 0, 0, st.q[:0], nil
	st.shrinkLocked()
	return n
}

// holdBeside accounts for the header or the status of a stream. Small ones are
// within what a stream costs. st is locked; reader only.
func (st *Stream) holdBeside(p []byte) error {
	n := int64(len(p))
	if n < streamCost/4 || st.ended {
		return nil
	}
	if err := st.s.mem.hold(n); err != nil {
		st.s.mem.release(n)
		return err
	}
	st.beside += n
	return nil
}
