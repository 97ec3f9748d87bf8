package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet/internal/budget"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

const (
	// roomSmall is the size of the write buffer above which senders wait.
	roomSmall = 512 << 10
	// part is the size of the parts of a large message.
	part = 32 << 10
	// roomBulk is roomSmall for such parts: one in the buffer and one being
	// written, so that a small frame never has more than 64 KiB of large
	// messages in front of it. A message that is smaller than a part takes its turn with
	// the other small ones.
	roomBulk = part
	// bulk is from which size on the bytes of a frame are read into the memory of their
	// message, and written from it, without a copy between.
	bulk = 16 << 10
	// roomControl is the size at which a peer that does not read its socket
	// has made us owe it too many answers.
	roomControl = 4 << 20
	// keepBuffer is the largest write buffer that is kept for the next round.
	keepBuffer = 2 * roomSmall
	// tolerated is how many bytes may wait for a peer that has its share of
	// the account. Refusals are answers too, so it is not zero.
	tolerated = roomSmall
)

// errNotReading is why a session ends whose peer asks and never reads.
var errNotReading = errors.New("the peer does not read what it asked for")

// A sender sends the frames of a session. Any goroutine appends frames to its
// buffer; one goroutine at a time, which has the writing role, writes the buffer to
// the connection.
//
// # Who writes
//
// A goroutine that appends to an idle sender gets the role from leadLocked, and must
// call flush. A goroutine that appends while another has the role does nothing more:
// the holder looks at the buffer again before it gives the role back. So nothing
// stays in the buffer while writing is false.
//
// # Credit
//
// A frame with n bytes of a message costs n + [wire.FrameCost] of the credit of
// its stream and as much of the session's. [sender.reserve] takes both at once, in
// the same critical section in which the frame is appended. Neither is ever
// negative. Frames without message bytes cost nothing; a peer that makes us owe
// it more than roomControl bytes of them loses the session.
//
// # Locks
//
// mu guards what stands below it here and in each [sending]. It is the last lock
// that a goroutine takes, and it is not held while the connection is written.
type sender struct {
	// These do not change after init.

	conn Conn
	// some is conn, if it can write without waiting. nil: the writer goroutine writes
	// all.
	some someWriter
	// account is that of the peer, or nil.
	account *budget.Account
	// fail ends the session. It takes mu.
	fail func(error)
	// ended is closed when the session has ended.
	ended <-chan struct{}
	// kick gives the writing role to the writer goroutine. It has room for one token,
	// which only the holder of the role puts there.
	kick chan struct{}

	// writes counts beginnings and ends of writes that may wait; it is odd during one.
	writes atomic.Uint64
	// head belongs to the holder of the writing role.
	head [wire.HeaderLen]byte

	mu sync.Mutex
	// buf has the frames that wait to be written.
	buf []byte
	// spare is the buffer of the last round, for the next. nil while it is written.
	spare []byte
	// writing: some goroutine has the writing role.
	writing bool
	// err is why nothing can be sent any more. It is that of the session.
	err error
	// credit is how many bytes of messages the peer takes on the session.
	credit int64
	// lines are where streams wait for credit or room.
	lines lines
	// calls is how many OPEN and STATUS frames are in buf.
	calls int64
	// counted is how many bytes of the account there are for buf, for what is being
	// written and for spare.
	counted int64
	// settled: the session has ended, and nothing is counted any more.
	settled bool
	// numbers are those of the procedures that the peer knows. Caller only.
	numbers procedureNumbers
}

// init prepares a sender for the connection of a session.
func (o *sender) init(s *Session) {
	o.conn, o.account, o.fail, o.ended = s.conn, s.cfg.Account, s.fail, s.life.ended
	o.some, _ = s.conn.(someWriter)
	o.kick = make(chan struct{}, 1)
}

// leadLocked takes the writing role if it is free, and reports whether the
// caller now has it and must call flush.
func (o *sender) leadLocked() bool {
	lead := !o.writing
	o.writing = true
	return lead
}

// leadUnlock unlocks mu, and writes what the caller has appended, if no other
// goroutine does.
func (o *sender) leadUnlock(mode flushMode) {
	lead := o.leadLocked()
	o.mu.Unlock()
	if lead {
		o.flush(mode)
	}
}

// tryLead is leadLocked for a caller that has nothing to append.
func (o *sender) tryLead() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leadLocked()
}

// control sends a frame that needs no credit. It never waits: the writer goroutine
// writes, so that the reader, which is the usual caller, does not.
func (o *sender) control(h wire.Header, p []byte) {
	o.mu.Lock()
	lead := o.controlLocked(h, p)
	o.mu.Unlock()
	if lead {
		o.flush(flushAsync)
	}
}

// controlLocked appends a frame that needs no credit. The caller must call flush
// if it returns true.
func (o *sender) controlLocked(h wire.Header, p []byte) (lead bool) {
	if !o.roomForControlLocked() {
		return false
	}
	o.buf = append(h.Append(o.buf), p...)
	o.countBuffersLocked()
	return o.leadLocked()
}

// roomForControlLocked reports whether a frame that needs no credit can be
// appended. It ends the session of a peer that makes us owe it too much: such a peer
// asks and does not read the answers.
func (o *sender) roomForControlLocked() bool {
	if o.err != nil {
		return false
	}
	if len(o.buf) > roomControl {
		go o.fail(errNotReading) // not here: fail takes mu
		return false
	}
	return true
}

// now sends a frame that needs no credit, and writes it before it returns if that
// is possible without waiting.
func (o *sender) now(h wire.Header, p []byte) {
	o.mu.Lock()
	lead := o.controlLocked(h, p)
	o.mu.Unlock()
	if lead {
		o.flush(flushNow)
	}
}

// giveCredit lets the peer send n bytes more on a stream, or on the session if id
// is 0.
func (o *sender) giveCredit(id uint32, n int64) {
	if n <= 0 {
		return
	}
	var p [4]byte
	o.control(wire.MakeHeader(wire.TypeCredit, 0, id, 4), binary.LittleEndian.AppendUint32(p[:0], uint32(n)))
}

// statusLocked appends the end of a served stream: its last message if there is
// one, for which credit has been taken, and STATUS, so that both go in one write.
// The caller must call flush if it returns true.
func (o *sender) statusLocked(id uint32, msg []byte, hasMessage bool, status []byte) (lead bool) {
	if !o.roomForControlLocked() {
		return false
	}
	if hasMessage {
		o.buf = append(wire.MakeHeader(wire.TypeData, 0, id, len(msg)).Append(o.buf), msg...)
	}
	o.buf = append(wire.MakeHeader(wire.TypeStatus, 0, id, len(status)).Append(o.buf), status...)
	o.countBuffersLocked()
	o.calls++
	return o.leadLocked()
}

// dataLocked sends a DATA frame, for which credit has been taken. A large one goes to the
// connection straight from p if no other goroutine writes, which saves a copy; others
// go through the buffer. st.joined is the sending goroutine's. mu is held before, not
// after.
func (o *sender) dataLocked(st *sending, h wire.Header, p []byte, mode flushMode) {
	if len(p) >= bulk && o.some != nil && !o.writing && len(o.buf) == 0 {
		o.writing = true
		o.mu.Unlock()
		if o.writeSome(h.Append(o.head[:0]), p) {
			o.flush(flushNow) // what others have added
		} else {
			o.flush(flushAsync)
		}
		return
	}
	o.buf = append(h.Append(o.buf), p...)
	o.countBuffersLocked()
	lead := o.leadLocked()
	o.mu.Unlock()
	switch {
	case lead && mode == flushStream:
		o.flush(st.flushMode())
	case lead:
		o.flush(mode)
	default:
		st.joined = true
	}
}

// countBuffersLocked counts a write buffer that has grown: it, and another of its
// size, which is being written or is kept. Small buffers are within [Cost]. A peer
// that does not read what it asked for, and has used up its share of the account,
// loses the session as soon as more than tolerated bytes wait for it.
func (o *sender) countBuffersLocked() {
	if cap(o.buf) <= memoryBlock || 2*int64(cap(o.buf)) <= o.counted || o.account == nil || o.settled {
		return
	}
	n := 2*int64(cap(o.buf)) - o.counted
	if err := o.account.Take(o.account.Budget().Unsent, n); err != nil {
		if len(o.buf) <= tolerated {
			return
		}
		go o.fail(fmt.Errorf("%d bytes wait to be sent: %w", len(o.buf), err)) // not here: fail takes mu
		return
	}
	o.counted += n
}

// uncountBuffersLocked gives back what countBuffersLocked has taken, when the buffers
// are gone.
func (o *sender) uncountBuffersLocked() {
	if o.counted > 0 {
		o.account.Give(o.account.Budget().Unsent, o.counted)
		o.counted = 0
	}
}

// dropBuffers frees the write buffers of an idle session. The tick calls it. If a
// goroutine writes, the session is not idle, and the buffers stay.
func (o *sender) dropBuffers() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing && len(o.buf) == 0 {
		o.buf, o.spare = nil, nil
		o.uncountBuffersLocked()
	}
}

// settle gives back what the sender of a session that has ended has of the account. It
// must be called before the account is closed.
func (o *sender) settle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settled = true
	o.uncountBuffersLocked()
}

// unsent reports whether frames wait to be written or are being written, to the
// system: what the system has taken is sent.
func (o *sender) unsent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writing || len(o.buf) > 0
}

// callsWaiting returns how many OPEN and STATUS frames are in the buffer.
func (o *sender) callsWaiting() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls
}
