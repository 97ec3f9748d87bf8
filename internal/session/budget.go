package session

import (
	"fmt"

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
	// tolerated is how many bytes may wait for a peer that has its share.
	tolerated = roomSmall
	// memoryBlock is how many bytes of messages a session takes at a time.
	memoryBlock = 32 << 10
	// heldMost is how many bytes of messages a session without an account holds:
	// what 2000 streams that nobody reads take at the default window, and some.
	heldMost = 512 << 20
	// keepReserved is how much more than it needs a session that is at work
	// keeps of its account. One that is idle gives it back at the next tick.
	keepReserved = 8 * memoryBlock
)

// errHeld is why a session without an account takes no more.
var errHeld = fmt.Errorf("the session holds %d MiB of messages that nobody has received: receive them, or end the streams that nobody reads", heldMost>>20)

// hold accounts for n bytes that have come and returns why the account does not
// have them. The bytes count as buffered either way. Reader only.
func (s *Session) hold(n int64) error {
	b := s.buffered.Add(n)
	a := s.cfg.Account
	if a == nil {
		if b > heldMost {
			return errHeld
		}
		return nil
	}
	for {
		lack := b - s.reserved.Load()
		if lack <= 0 {
			return nil
		}
		lack = (lack + memoryBlock - 1) / memoryBlock * memoryBlock
		if err := a.Take(a.Budget().Messages, lack); err != nil {
			return err
		}
		s.reserved.Add(lack)
	}
}

// holdBeside accounts for the header or the status of a stream. Small ones are
// within what a stream costs. st is locked; reader only.
func (st *Stream) holdBeside(p []byte) error {
	n := int64(len(p))
	if n < streamCost/4 || st.ended {
		return nil
	}
	if err := st.s.hold(n); err != nil {
		st.s.release(n)
		return err
	}
	st.beside += n
	return nil
}

// giveBack returns what the session has reserved and, with b bytes buffered,
// does not need, but for keep bytes.
func (s *Session) giveBack(b, keep int64) {
	r := s.reserved.Load()
	for r-b > keep {
		n := (r - b - keep/2) / memoryBlock * memoryBlock
		if n == 0 {
			return
		}
		if s.reserved.CompareAndSwap(r, r-n) {
			a := s.cfg.Account
			a.Give(a.Budget().Messages, n)
			return
		}
		r = s.reserved.Load()
	}
}

// release accounts for n bytes that were consumed or dropped.
func (s *Session) release(n int64) {
	b := s.buffered.Add(-n)
	s.giveBack(b, keepReserved)
}

// holdStream accounts for one more stream that runs and returns why the account
// does not have it. It is called before the stream counts as running. Reader
// only.
func (s *Session) holdStream() error {
	a := s.cfg.Account
	if a == nil {
		return nil
	}
	n := s.running.Load() + 1
	for n > s.streamRoom.Load()+freeStreams {
		if err := a.Take(a.Budget().Streams, streamBlock*streamCost); err != nil {
			return err
		}
		s.streamRoom.Add(streamBlock)
	}
	return nil
}

// streamOver notes the end of a stream that ran.
func (s *Session) streamOver() {
	s.running.Add(-1)
	if s.over.Load() { // settleAll has left it to the stream
		s.giveStreamsBack()
	}
}

// giveStreamsBack returns the room of streams that the session does not need.
func (s *Session) giveStreamsBack() {
	for {
		room := s.streamRoom.Load()
		need := max(s.running.Load()-freeStreams, 0)
		need = (need + streamBlock - 1) / streamBlock * streamBlock
		if room <= need {
			return
		}
		if s.streamRoom.CompareAndSwap(room, need) {
			a := s.cfg.Account
			a.Give(a.Budget().Streams, (room-need)*streamCost)
			return
		}
	}
}

// holdName accounts for the name of a procedure. Reader only.
func (s *Session) holdName(name []byte) error {
	a := s.cfg.Account
	if a == nil {
		return nil
	}
	n := int64(len(name) + nameCost)
	if err := a.Take(a.Budget().Names, n); err != nil {
		return err
	}
	s.names += n
	return nil
}

// countBuffersLocked accounts for a write buffer that has grown: for it and for
// another of its size, which is being written or is kept. A peer that does not
// read what it asked for, and has its share, loses the session: not before
// tolerated bytes wait for it, since refusals are answers too. wmu is held.
func (s *Session) countBuffersLocked() {
	if cap(s.wbuf) <= memoryBlock || 2*int64(cap(s.wbuf)) <= s.counted || s.cfg.Account == nil || s.over.Load() {
		return
	}
	a := s.cfg.Account
	n := 2*int64(cap(s.wbuf)) - s.counted
	if err := a.Take(a.Budget().Unsent, n); err != nil {
		if len(s.wbuf) <= tolerated {
			return
		}
		go s.fail(fmt.Errorf("%d bytes wait to be sent: %w", len(s.wbuf), err))
		return
	}
	s.counted += n
}

// uncountBuffersLocked gives back what countBuffersLocked has taken. wmu is
// held.
func (s *Session) uncountBuffersLocked() {
	if s.counted > 0 {
		a := s.cfg.Account
		a.Give(a.Budget().Unsent, s.counted)
		s.counted = 0
	}
}

// settle gives back what an idle session does not need. The tick calls it.
func (s *Session) settle() {
	if s.cfg.Account == nil {
		return
	}
	s.giveBack(s.buffered.Load(), 0)
	s.giveStreamsBack()
}

// settleAll gives back what a session has that has ended, but for the streams
// whose handlers still run: they give theirs back when they end. Reader only,
// once.
func (s *Session) settleAll() {
	a := s.cfg.Account
	if a == nil {
		return
	}
	s.over.Store(true)
	b := a.Budget()
	if r := s.reserved.Swap(0); r > 0 { // nothing is read any more
		a.Give(b.Messages, r)
	}
	s.wmu.Lock()
	s.uncountBuffersLocked()
	s.wmu.Unlock()
	if s.names > 0 {
		a.Give(b.Names, s.names)
	}
	s.giveStreamsBack()
	discharge(a)
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
