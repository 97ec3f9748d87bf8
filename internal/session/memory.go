package session

import (
	"fmt"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet/internal/budget"
)

// What a session counts in its account, beside the bytes of messages. The
// figures are measured, on 64-bit machines, with what the runtime adds:
// TestCostsAreWhatIsCounted holds them.
const (
	// Cost is what a session takes while nothing happens: its goroutines, its
	// buffers and those of TLS, and freeStreams streams.
	Cost = 32 << 10
	// streamCost is what a call that runs takes beside its messages: the
	// Stream, the handler's goroutine with its stack, its context.
	streamCost = 4 << 10
	// freeStreams is how many streams Cost covers.
	freeStreams = 4
	// streamBlock is how many more a session takes at a time.
	streamBlock = 32
	// nameCost is what the name of a procedure takes beside its bytes.
	nameCost = 32
	// memoryBlock is how many bytes of messages a session takes at a time.
	memoryBlock = 32 << 10
	// heldMost is how many bytes of messages a session without an account holds:
	// what 2000 unread streams take at the default window, and some.
	heldMost = 512 << 20
	// keepReserved is how much more than it needs a session that is at work
	// keeps of its account. One that is idle gives it back at the next tick.
	keepReserved = 8 * memoryBlock
)

// errHeld is why a session without an account takes no more.
var errHeld = fmt.Errorf("the session holds %d MiB of messages that nobody has received: receive them, or end the streams that nobody reads", heldMost>>20)

// A memory counts what a peer makes a session hold, and takes it from the account
// of the peer: messages in blocks, so that most messages cost one atomic addition,
// and streams in blocks. The write buffers are counted by the [sender].
//
// Only the holder of the reading role takes; any goroutine gives back. So a check
// followed by an addition never lets two goroutines exceed a limit together.
//
// Invariants while the session lives, the last two if it has an account:
//
//	unread + parting <= buffered
//	running <= streamRoom + freeStreams
//	buffered <= reserved after each hold that succeeds
//
// A release at the same time as a hold may lower reserved too far; the next hold
// makes up for it.
type memory struct {
	account *budget.Account // nil: none
	most    int64           // most of grown, and most of parting for messages within it

	buffered atomic.Int64 // bytes received and not consumed
	reserved atomic.Int64 // bytes of messages taken from the account
	unread   atomic.Int64 // of buffered: whole messages that wait for a Recv
	parting  atomic.Int64 // of buffered: large messages that have not come whole
	grown    atomic.Int64 // by which the windows of streams are larger than at first

	running    atomic.Int64 // server: handlers, also those whose stream has ended
	streamRoom atomic.Int64 // server: running ones that the account has, beside freeStreams
	names      int64        // server: bytes that the names of procedures have; the reader's
	over       atomic.Bool  // the session has ended and the account has been settled
}

// hold counts n bytes that have come and returns why the account does not have
// them. The bytes count as buffered either way. Reader only.
func (m *memory) hold(n int64) error {
	b := m.buffered.Add(n)
	if m.account == nil {
		if b > heldMost {
			return errHeld
		}
		return nil
	}
	for {
		lack := b - m.reserved.Load() // giveBack may lower it meanwhile: look again after a take
		if lack <= 0 {
			return nil
		}
		lack = (lack + memoryBlock - 1) / memoryBlock * memoryBlock
		if err := m.account.Take(m.account.Budget().Messages, lack); err != nil {
			return err
		}
		m.reserved.Add(lack)
	}
}

// release counts n bytes that were consumed or dropped.
func (m *memory) release(n int64) {
	b := m.buffered.Add(-n)
	m.giveBack(b, keepReserved)
}

// giveBack returns what is reserved and, with b bytes buffered, not needed. If that
// is more than keep bytes, half of keep stays, so that a session at work does not
// take and give in turns.
func (m *memory) giveBack(b, keep int64) {
	r := m.reserved.Load()
	for r-b > keep {
		n := (r - b - keep/2) / memoryBlock * memoryBlock
		if n == 0 {
			return
		}
		if m.reserved.CompareAndSwap(r, r-n) {
			m.account.Give(m.account.Budget().Messages, n)
			return
		}
		r = m.reserved.Load()
	}
}

// roomForParts reports whether held bytes more of unfinished messages may wait, one
// of which may have up to largest bytes: that one is always let in alone. Reader
// only.
func (m *memory) roomForParts(held int64, largest int) bool {
	return m.parting.Load()+held <= max(m.most, int64(largest)+perMessage)
}

// grow returns n if the windows of the session's streams may grow by so much more,
// and 0 if not.
func (m *memory) grow(n int64) int64 {
	if m.grown.Add(n) > m.most {
		m.grown.Add(-n)
		return 0
	}
	return n
}

// holdStream counts one more stream that runs and returns why the account does
// not have it; then the stream does not count. Reader only.
func (m *memory) holdStream() error {
	if m.account == nil {
		return nil
	}
	n := m.running.Load() + 1
	for n > m.streamRoom.Load()+freeStreams {
		if err := m.account.Take(m.account.Budget().Streams, streamBlock*streamCost); err != nil {
			return err
		}
		m.streamRoom.Add(streamBlock)
	}
	return nil
}

// streamOver counts the end of a stream that ran.
func (m *memory) streamOver() {
	m.running.Add(-1)
	if m.over.Load() { // settleAll has left it to the stream
		m.giveStreamsBack()
	}
}

// giveStreamsBack returns the room of streams that the session does not need.
func (m *memory) giveStreamsBack() {
	for {
		room := m.streamRoom.Load()
		need := max(m.running.Load()-freeStreams, 0)
		need = (need + streamBlock - 1) / streamBlock * streamBlock
		if room <= need {
			return
		}
		if m.streamRoom.CompareAndSwap(room, need) {
			m.account.Give(m.account.Budget().Streams, (room-need)*streamCost)
			return
		}
	}
}

// holdName counts the name of a procedure. Reader only.
func (m *memory) holdName(name []byte) error {
	if m.account == nil {
		return nil
	}
	n := int64(len(name) + nameCost)
	if err := m.account.Take(m.account.Budget().Names, n); err != nil {
		return err
	}
	m.names += n
	return nil
}

// settle gives back what an idle session does not need. The tick calls it.
func (m *memory) settle() {
	if m.account == nil {
		return
	}
	m.giveBack(m.buffered.Load(), 0)
	m.giveStreamsBack()
}

// settleAll gives back what a session has that has ended, but for the streams
// whose handlers still run: they give theirs back when they end. Reader only,
// once.
func (m *memory) settleAll() {
	if m.account == nil {
		return
	}
	m.over.Store(true) // before giveStreamsBack: a stream that ends from now on gives back itself
	b := m.account.Budget()
	if r := m.reserved.Swap(0); r > 0 { // nothing is read any more
		m.account.Give(b.Messages, r)
	}
	if m.names > 0 {
		m.account.Give(b.Names, m.names)
	}
	m.giveStreamsBack()
	discharge(m.account)
}

// Charge opens the account of a peer for a session and takes what the session
// costs. The session that is made with the account owns it.
func Charge(b *budget.Budget, peer string) (*budget.Account, error) {
	a := b.Open(peer)
	if err := a.Take(b.Sessions, Cost); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// discharge is the end of what Charge began.
func discharge(a *budget.Account) {
	if a != nil {
		a.Give(a.Budget().Sessions, Cost)
		a.Close()
	}
}
