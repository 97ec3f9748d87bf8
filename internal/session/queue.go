package session

import (
	"encoding/binary"
	"math"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

const (
	// bigMark stands in a queue in place of the length of a message for one in
	// bigs.
	bigMark = math.MaxUint32
	// perMessage is what a message or a part counts as buffered beside its
	// bytes: its length in the queue, so that empty messages count too.
	perMessage = 4
	// keepQueue is the largest queue that a stream keeps while it waits. A larger one
	// is of the sizes of large messages and goes back to where those come from.
	keepQueue = 4 << 10
	// burst is the room that a queue of several messages takes when it grows beyond
	// keepQueue.
	burst = 32 << 10
	// keepBigs is for how many large messages a queue keeps the places, so that a large
	// message costs no allocation beside its bytes.
	keepBigs = 4
)

// A bigMessage is a message that came in parts or does not fit a queue well.
type bigMessage struct {
	b []byte
	// cost is the credit still to return when it is taken.
	cost int64
	// held is how many bytes count as buffered.
	held int64
}

// A queue has messages that have come whole and were not taken: small ones one
// behind the other in one slice, each after its length, so that many messages cost
// no allocation each. It is guarded by Stream.mu; the receiver swaps the whole of
// it with what it has used up ([cursor]).
type queue struct {
	// b has, for each message, its length as a uint32 and its bytes, or bigMark for
	// the next of bigs.
	b []byte
	// bigs has the large messages, in order.
	bigs []bigMessage
}

// empty reports whether there is no message.
func (q *queue) empty() bool { return len(q.b) == 0 }

// push adds a message, which it copies, and returns how many bytes count as
// buffered.
func (q *queue) push(p []byte) (held int64) {
	q.grow(perMessage + len(p))
	q.b = binary.LittleEndian.AppendUint32(q.b, uint32(len(p)))
	q.b = append(q.b, p...)
	return perMessage + int64(len(p))
}

// pushBig adds a large message, which it keeps.
func (q *queue) pushBig(m bigMessage) {
	q.bigs = append(q.bigs, m)
	q.b = binary.LittleEndian.AppendUint32(q.b, bigMark)
}

// grow makes room for n bytes more. Small queues grow as append does. Larger ones come
// from the buffers of large messages, so that bursts use the same memory again. A
// message that is alone, as that of a unary call, takes what it needs; behind others
// more are likely to come.
func (q *queue) grow(n int) {
	need := len(q.b) + n
	if need <= cap(q.b) || need <= keepQueue {
		return // append does it
	}
	if len(q.b) > 0 {
		need = max(need, 2*cap(q.b), burst)
	}
	grown := append(getBig(need)[:0], q.b...)
	putBig(q.b)
	q.b = grown
}

// held returns how many bytes of the queue count as buffered.
func (q *queue) held() int64 {
	n := int64(len(q.b))
	for _, m := range q.bigs {
		n += m.held - perMessage // b has the mark
	}
	return n
}

// drop empties the queue and gives the memory of its messages back. The receiver of
// the stream has none of them: what it has it took with [cursor.swap].
func (q *queue) drop() {
	if cap(q.b) > keepQueue || cap(q.bigs) > keepBigs || len(q.bigs) > 0 {
		q.dropMemory()
	}
	q.b = q.b[:0]
}

// dropMemory gives the memory of the messages back, but for a small b. It is a method of
// its own so that drop is inlined: most often there is nothing to give back.
func (q *queue) dropMemory() {
	for _, m := range q.bigs {
		putBig(m.b)
	}
	clear(q.bigs)
	if q.bigs = q.bigs[:0]; cap(q.bigs) > keepBigs {
		q.bigs = nil
	}
	if cap(q.b) > keepQueue {
		putBig(q.b)
		q.b = nil
	}
}

// A cursor is what the receiver of a stream has taken from the queue and walks
// through. It belongs to the goroutine that receives.
type cursor struct {
	// b and bigs are as in a queue; at is where the next message begins in b, and big is
	// which of bigs is the next.
	b    []byte
	at   int
	bigs []bigMessage
	big  int
	// last is the large message that Recv returned last. Its memory is used again at
	// the next Recv.
	last []byte
	// credit was consumed and not yet returned to the peer; creditMin is how much of it
	// is worth a frame.
	credit, creditMin int64
}

// reset prepares c for a call whose window is size bytes.
func (c *cursor) reset(size int64) {
	c.b, c.at, c.bigs, c.big, c.last = c.b[:0], 0, c.bigs[:0], 0, nil
	c.credit, c.creditMin = 0, size/4
}

// more reports whether c has another message.
func (c *cursor) more() bool { return c.at < len(c.b) }

// swap takes all messages of q and leaves it the memory of those that c has used up.
// Stream.mu is held.
func (c *cursor) swap(q *queue) {
	c.b, q.b = q.b, c.b[:0]
	c.bigs, q.bigs = q.bigs, c.bigs[:0]
	c.at, c.big = 0, 0
}

// next returns the next message, which is valid until the next call, and its
// credit. The memory of the large message before it is used again.
func (c *cursor) next() (msg []byte, cost int64) {
	n := binary.LittleEndian.Uint32(c.b[c.at:])
	c.at += perMessage
	c.dropLast()
	if n == bigMark {
		m := c.bigs[c.big]
		c.bigs[c.big] = bigMessage{} // the memory is the receiver's
		c.big++
		c.last = m.b
		return m.b, m.cost
	}
	msg = c.b[c.at : c.at+int(n) : c.at+int(n)]
	c.at += int(n)
	return msg, int64(n) + wire.FrameCost
}

// dropLast gives the memory of the last large message back.
func (c *cursor) dropLast() {
	if c.last != nil {
		putBig(c.last)
		c.last = nil
	}
}

// drop gives the memory of all messages back: of those that were not returned, and of
// what Recv returned last. It is for the goroutine that receives, or for one that knows
// that no goroutine receives any more.
func (c *cursor) drop() {
	c.dropLast()
	if cap(c.b) > keepQueue || cap(c.bigs) > keepBigs || len(c.bigs) > 0 {
		q := queue{c.b, c.bigs}
		q.dropMemory()
		c.b, c.bigs = q.b, q.bigs
	}
	c.b, c.at, c.big = c.b[:0], 0, 0
}
