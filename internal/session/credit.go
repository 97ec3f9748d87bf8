package session

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

const (
	// maxCredit is how much credit a peer may give in all.
	maxCredit = 1 << 40
	// streamPause is how soon after another a message of a stream counts as one
	// of a sequence: see [sending.flushMode].
	streamPause = 100 * time.Microsecond
)

// errCredit is how a peer breaks the protocol that gives more than maxCredit.
var errCredit = fmt.Errorf("more credit than %d bytes", int64(maxCredit))

// A sending is the send side of one stream. It is part of the [Stream].
type sending struct {
	// These two belong to the goroutine that sends.

	// lastLead is when a message last found no goroutine writing, in nanotime.
	lastLead int64
	// joined: a message since then found one that writes.
	joined bool

	// Any goroutine reads these three.

	// turned: a message has been received since flushMode last looked.
	turned atomic.Bool
	// done: nothing more is to be sent.
	done atomic.Bool
	// opened: OPEN is in the write buffer or further. It is set under sender.mu.
	opened atomic.Bool

	// sender.mu guards the rest.

	// credit is how many bytes the peer takes on the stream.
	credit int64
	// err is why nothing more can be sent; io.EOF: the peer has ended the stream.
	err error
	// wake has a token when a wait is over, or seems to be. It is made at the first
	// wait, since most streams never wait.
	wake chan struct{}
	// at is where it waits.
	at place
}

// reset prepares p for a call. No other goroutine uses it.
func (p *sending) reset(opened bool, credit int64) {
	p.lastLead, p.joined = 0, false
	p.turned.Store(false)
	p.done.Store(false)
	p.opened.Store(opened)
	p.credit, p.err = credit, nil
}

// flushMode decides who writes a message of a stream that finds no other writer:
// the sender while it sends now and then, for the sake of latency; the writer
// goroutine when one message follows another, so that many share a write. A
// stream whose messages answer messages sends now and then, however quick it is.
func (p *sending) flushMode() flushMode {
	now := nanotime()
	quick := p.joined || now-p.lastLead < int64(streamPause)
	p.joined, p.lastLead = false, now
	if quick && !p.turned.Swap(false) {
		return flushAsync
	}
	return flushNow
}

// lostLocked is the error of sending on a session that has ended. A call that has
// not been opened is one that no handler will see, since nothing is sent any more.
func (o *sender) lostLocked(p *sending) error {
	if p.opened.Load() {
		return lost(o.err)
	}
	return unprocessed(lost(o.err))
}

// reserve waits until there is credit and room for a frame with n message bytes of p,
// and takes the credit. It returns with mu held if err is nil, so that the frame is
// appended in the order in which credit was taken. If done is closed first it
// fails with errInterrupted.
//
// Parts of large messages wait for each other, in the order in which they came,
// so that two large messages share the connection evenly. A small message passes
// those, and waits for other small ones when the buffer is full. A stream that was woken
// and sends more goes on until its turn is over ([lines]).
func (o *sender) reserve(p *sending, n int, done <-chan struct{}) error {
	cost := int64(n + wire.FrameCost)
	o.mu.Lock()
	p.at.want = cost
	turn := n < part || o.lines.large.first == nil
	for {
		own := o.lines.redeem(p)
		if err := o.failureLocked(p); err != nil {
			o.lines.forfeit(p)
			o.wakeLocked() // what p was woken for is another's
			o.mu.Unlock()
			return err
		}
		if (own || turn && o.lines.hasRoom(len(o.buf), p.at.large())) && o.takeLocked(p, cost) {
			return nil
		}
		if err := o.waitLocked(p, done); err != nil {
			return err
		}
		o.mu.Lock()
	}
}

// failureLocked returns why p can send no more, or nil.
func (o *sender) failureLocked(p *sending) error {
	if o.err != nil {
		return o.lostLocked(p)
	}
	return p.err
}

// takeLocked takes the credit for a frame of a cost from the stream and from the
// session, or reports false and takes nothing. What others were promised stays.
func (o *sender) takeLocked(p *sending, cost int64) bool {
	if p.credit < cost || o.credit-o.lines.promised.credit < cost {
		return false
	}
	p.credit -= cost
	o.credit -= cost
	return true
}

// takeForLastLocked takes the credit for the last message of a served stream, of n
// bytes, if there is room for it in the buffer and credit, or reports false. On a
// session that has ended there is nothing to wait for.
func (o *sender) takeForLastLocked(p *sending, n int) bool {
	return o.err != nil || len(o.buf) <= roomSmall && o.takeLocked(p, int64(n+wire.FrameCost))
}

// waitLocked waits until p has reason to look again. If done is closed first it
// returns errInterrupted. mu is held before, not after.
func (o *sender) waitLocked(p *sending, done <-chan struct{}) error {
	if p.wake == nil {
		p.wake = make(chan struct{}, 1)
	}
	o.lines.forfeit(p)
	o.lines.add(p)
	o.wakeLocked() // it may be able to go on at once, when it has waited for its turn alone
	wake := p.wake
	o.mu.Unlock()
	if done == nil { // as it is for handlers
		<-wake
		return nil
	}
	select {
	case <-wake:
		return nil
	case <-done:
	}
	o.mu.Lock()
	if !o.leaveLocked(p) {
		<-wake // the token of this wait must not be left to the next
		o.lines.redeem(p)
		o.lines.forfeit(p)
		o.wakeLocked() // what p was woken for is another's
	}
	o.mu.Unlock()
	return errInterrupted
}

// wakeLocked wakes the waiters that can go on, in the order in which they came, and
// promises them what they go on with. If the first that has room lacks credit of the
// session, the others wait behind it.
func (o *sender) wakeLocked() {
	turn := o.lines.turn()
	for {
		p := o.lines.next(len(o.buf))
		if p == nil || o.credit-o.lines.promised.credit < p.at.want {
			return
		}
		p.at.in.remove(p)
		o.lines.give(p, turn)
		p.signal()
	}
}

// signal wakes the goroutine that waits for p, which was in a line until now. There is
// one token for one wait, so wake has room.
func (p *sending) signal() { p.wake <- struct{}{} }

// leaveLocked takes p out of its line and reports whether it was in one. If not, it has
// been woken, and what it was woken for is another's: see wakeLocked.
func (o *sender) leaveLocked(p *sending) bool {
	if p.at.in == nil {
		return false
	}
	p.at.in.remove(p)
	return true
}

// addCredit lets a stream send n bytes more, or the session if p is nil. It fails if
// the peer has given more than maxCredit: a sum that overflows would be a way to
// make the session stop.
func (o *sender) addCredit(p *sending, n int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	credit := &o.credit
	if p != nil {
		credit = &p.credit
	}
	if *credit += n; *credit > maxCredit {
		return errCredit
	}
	if p != nil && p.at.in == &o.lines.poor && p.credit >= p.at.want {
		p.at.in.remove(p)
		o.lines.add(p)
	}
	o.wakeLocked()
	return nil
}

// stop makes every later send on p fail with err, and the one that waits.
func (o *sender) stop(p *sending, err error) {
	o.mu.Lock()
	o.stopLocked(p, err)
	o.mu.Unlock()
}

// stopLocked is stop. The first error stays.
func (o *sender) stopLocked(p *sending, err error) {
	if p.err == nil {
		p.err = err
	}
	if o.leaveLocked(p) {
		p.signal()
	}
}

// close makes everything fail that sends or waits to send, because of err.
func (o *sender) close(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
	o.lines.each(func(p *sending) {
		p.at.in.remove(p)
		p.signal()
	})
}

// blocked returns how many streams wait for credit or room.
func (o *sender) blocked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines.count()
}
