package session

import (
	"errors"
	"io"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// errSendClosed is a mistake of who sends.
var errSendClosed = errors.New("send after the end of sending")

// Send sends one message, and with end nothing after it. It waits for credit
// and keeps nothing of msg; done interrupts. Not safe for concurrent use with itself.
//
// Errors: io.EOF if the peer has ended the stream, *[Error], one that [IsInterrupted]
// knows, or what Abandon was given. A message that was begun and not sent whole ends
// the sending side.
func (st *Stream) Send(msg []byte, end bool, done <-chan struct{}) error {
	return st.send(msg, end, done, flushStream)
}

// send sends msg in parts, so that frames of other streams come between them. mode says
// who writes.
func (st *Stream) send(msg []byte, end bool, done <-chan struct{}, mode flushMode) error {
	out := &st.s.out
	if st.out.done.Load() {
		return errSendClosed
	}
	for first := true; ; first = false {
		n := min(len(msg), part)
		if err := out.reserve(&st.out, n, done); err != nil {
			if !first { // nothing may follow half a message
				out.stop(&st.out, err)
			}
			return err
		}
		flags := st.flagsOf(n < len(msg), end)
		if !st.out.opened.Load() { // under mu: Open may have come first, on the goroutine that receives
			st.openLocked(msg[:n], true, flags)
			out.leadUnlock(mode)
		} else {
			out.dataLocked(&st.out, wire.MakeHeader(wire.TypeData, flags, st.id, n), msg[:n], mode)
		}
		if msg = msg[n:]; flags != wire.FlagMore {
			return nil
		}
	}
}

// flagsOf returns the flags of a part: more of the message follows, or it is the
// end of what is sent.
func (st *Stream) flagsOf(more, end bool) uint64 {
	switch {
	case more:
		return wire.FlagMore
	case end:
		st.out.done.Store(true)
		return wire.FlagEnd
	}
	return 0
}

// CloseSend says that nothing follows. It does not wait. The second time it does
// nothing.
func (st *Stream) CloseSend() error { return st.signal(true) }

// Open opens the stream if nothing has been sent on it, so that a caller that receives
// first has a handler to receive from. It does not wait. Safe for use beside Send.
func (st *Stream) Open() error {
	if st.out.opened.Load() {
		return nil
	}
	return st.signal(false)
}

// signal sends a frame without message bytes: OPEN, END, or OPEN with the end
// flag. It needs no credit and does not wait.
func (st *Stream) signal(end bool) error {
	out := &st.s.out
	out.mu.Lock()
	var lead bool
	var err error
	switch {
	case out.err != nil:
		err = out.lostLocked(&st.out)
	case st.out.err == io.EOF: // the peer has ended first: Recv tells how
	case st.out.err != nil:
		err = st.out.err
	case !st.out.opened.Load():
		st.openLocked(nil, false, st.flagsOf(false, end))
		lead = out.leadLocked()
	case end && !st.out.done.Load():
		lead = out.controlLocked(wire.MakeHeader(wire.TypeEnd, 0, st.id, 0), nil)
	}
	if end {
		st.out.done.Store(true)
	}
	out.mu.Unlock()
	if lead {
		out.flush(flushNow)
	}
	return err
}

// SendHeader sends metadata, encoded, ahead of the first message. It does not wait,
// and keeps nothing of metadata. After the end of the call it does nothing.
func (st *Stream) SendHeader(metadata []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.end.done { // under mu: later the id is another call's
		st.s.out.control(wire.MakeHeader(wire.TypeHeader, 0, st.id, len(metadata)), metadata)
	}
}
