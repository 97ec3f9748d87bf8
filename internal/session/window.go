package session

import "time"

// quickUse is how soon after the last credit a window must be used up to double.
const quickUse = 10 * time.Millisecond

// A window is how much the peer may send on one stream. It is guarded by
// Stream.mu.
//
// Every message byte that comes is spent from the allowance at once. It comes back
// when the receiver takes the message, or when a large message that is waited for
// comes, a quarter of the window at a time. So what one stream holds is bounded by
// its window, and
//
//	allowance + what has come and was not granted again == size
type window struct {
	// size is how much may wait on the stream.
	size int64
	// allowance is how many bytes the peer may still send.
	allowance int64
	// lastGrant is when credit was last given, in nanotime.
	lastGrant int64
}

// reset makes a window as large as a new stream's.
func (w *window) reset(size int64) { w.size, w.allowance = size, size }

// spend counts cost bytes that have come, and reports false if the peer had no
// credit for them.
func (w *window) spend(cost int64) bool {
	w.allowance -= cost
	return w.allowance >= 0
}

// grant returns how much credit to give the peer for n bytes that the receiver is
// done with. A window that is used up quickly doubles, up to most, within what all
// streams of the session may grow: the credit is larger then.
func (w *window) grant(n, now, most int64, mem *memory) (credit int64) {
	quick := now-w.lastGrant < int64(quickUse)
	w.lastGrant = now
	if quick && w.size < most {
		grow := mem.grow(min(w.size, most-w.size))
		w.size += grow
		n += grow
	}
	w.allowance += n
	return n
}

// shrink gives back by how much the window of a stream that ends has grown since
// it had the size first.
func (w *window) shrink(first int64, mem *memory) {
	if w.size > first {
		mem.grown.Add(first - w.size)
		w.size = first
	}
}

// A sessionWindow counts message bytes of the session's credit, which come back a
// quarter of the window at a time: when they have come, whether or not a receiver
// takes them, so that an unread stream holds up no other. What may wait is bounded
// by the windows of the streams and by [memory.hold]. It belongs to the holder of
// the reading role.
type sessionWindow struct {
	// size is how many bytes the peer may have in flight.
	size int64
	// owed is the credit that was not returned yet.
	owed int64
}

// spend counts cost bytes that have come and returns the credit to give now, often
// 0.
func (w *sessionWindow) spend(cost int64) (credit int64) {
	w.owed += cost
	if w.owed < w.size/4 {
		return 0
	}
	credit, w.owed = w.owed, 0
	return credit
}
