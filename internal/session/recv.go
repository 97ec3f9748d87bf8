package session

import "io"

// Recv returns the next message, which is valid until the next Recv. io.EOF
// says that no more come: on the caller's side [Stream.Status] has the outcome.
// It waits; done interrupts. Not safe for concurrent use with itself.
//
// Errors: *[Error], one that [IsInterrupted] knows, or what Abandon was given.
func (st *Stream) Recv(done <-chan struct{}) ([]byte, error) {
	for {
		if st.recv.more() {
			return st.next(), nil
		}
		if err := st.refill(done); err != nil {
			return nil, err
		}
	}
}

// RecvOwned is Recv of a stream that waits for nothing, as [Session.Call] returns it.
// The message is the caller's to keep.
func (st *Stream) RecvOwned() ([]byte, error) {
	msg, err := st.Recv(nil)
	if err != nil {
		return nil, err
	}
	// A large message has memory of its own, which changes owner if it fits: the caller may
	// keep the message for long.
	if last := st.recv.last; last != nil && cap(last)-len(last) <= len(last)/8 {
		st.recv.last = nil
		return msg, nil
	}
	return append([]byte{}, msg...), nil
}

// EndReceive gives back the memory of what Recv returned last. It is for the goroutine
// that receives; on a server it may follow Finish if the stream is not Pooled. Without
// it the memory goes back with the next Recv, with that which finds the end, with
// Release, and with Finish of a stream that is Pooled.
func (st *Stream) EndReceive() {
	if st.recv.more() {
		st.recv.dropLast()
	} else {
		st.recv.drop()
	}
}

// next returns the next message of the cursor, which has one, and gives its credit
// back to the peer, a quarter of the window at a time.
func (st *Stream) next() []byte {
	msg, cost := st.recv.next()
	st.recv.credit += cost
	if st.recv.credit >= st.recv.creditMin {
		st.giveBack()
	}
	return msg
}

// giveBack gives the credit of what has been taken back to the peer. The window may
// grow, and with it what is worth a frame.
func (st *Stream) giveBack() {
	n := st.recv.credit
	st.recv.credit = 0
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.end.noMore || st.end.done {
		return // the peer sends no more
	}
	st.grantLocked(n)
	st.recv.creditMin = st.in.window.size / 4
}

// grantLocked lets the peer send n bytes more, or more than that if the window
// grows. sender.mu is taken under Stream.mu here.
func (st *Stream) grantLocked(n int64) {
	s := st.s
	n = st.in.window.grant(n, nanotime(), int64(s.cfg.MaxStreamWindow), &s.mem)
	s.out.giveCredit(st.id, n) // under mu: later the id may be another call's
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
			<-st.wait.wake
		} else if err := st.waitFor(done); err != nil {
			return err
		}
	}
}

// swap moves what has come into the cursor, which is used up. If there is nothing
// and more may come, it leaves waiting set.
func (st *Stream) swap() (ready bool, err error) {
	st.mu.Lock()
	taken := st.in.taking
	st.in.taking = 0
	switch {
	case !st.in.queue.empty():
		st.takeAllLocked()
		ready = true
	case st.end.err != nil:
		err = st.end.err
	case st.end.noMore:
		err = io.EOF
	default:
		st.creditPartLocked()
		st.wait.waiting = true
	}
	if !ready { // a stream that waits keeps little, and one that has ended nothing
		st.in.queue.drop()
		st.recv.drop()
	}
	st.mu.Unlock()
	if taken > 0 || ready {
		st.s.mem.release(taken)
	}
	return ready, err
}

// creditPartLocked gives back the credit of the large message whose parts come, if one
// does: it is the next that the receiver waits for, and it can be larger than the
// window. The window does not grow by it.
func (st *Stream) creditPartLocked() {
	n := st.in.part.cost
	st.in.part.cost = 0
	st.in.window.allowance += n
	st.s.out.giveCredit(st.id, n) // under mu: later the id may be another call's
}

// takeAllLocked moves what has come into the cursor, which is used up. The bytes count
// as buffered until the next swap: the receiver takes them without a lock.
func (st *Stream) takeAllLocked() {
	held := st.in.queue.held()
	st.recv.swap(&st.in.queue)
	st.in.taking = held
	st.out.turned.Store(true)
	st.s.mem.unread.Add(-held)
}

// waitFor waits until it is woken, or done is closed. waiting was set before.
func (st *Stream) waitFor(done <-chan struct{}) error {
	select {
	case <-st.wait.wake:
		return nil
	case <-done:
	}
	st.mu.Lock()
	woken := !st.wait.waiting
	st.wait.waiting = false
	st.mu.Unlock()
	if woken {
		<-st.wait.wake // the token of this wait must not be left to the next
	}
	return errInterrupted
}

// unlockWake wakes the receiver if it waits, and unlocks mu.
func (st *Stream) unlockWake() {
	if st.wait.waiting {
		st.wait.waiting = false
		st.mu.Unlock()
		st.wait.wake <- struct{}{} // has room: one token for one wait
		return
	}
	st.mu.Unlock()
}

// unlockMessage is unlockWake after a message has come, which is nothing to a
// receiver that waits for the end only.
func (st *Stream) unlockMessage() {
	if st.wait.endOnly {
		st.mu.Unlock()
		return
	}
	st.unlockWake()
}

// Header returns the metadata that came before the first message, encoded. nil: none
// has come. The caller must not change it. Safe for concurrent use.
func (st *Stream) Header() []byte {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.in.header
}
