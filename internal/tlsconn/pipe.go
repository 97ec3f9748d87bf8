package tlsconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how many bytes each direction holds before a writer waits. It is of
// the order of a socket's buffers.
const pipeBuffer = 256 << 10

// PipeEnd is one end of a connection inside the process, with the methods of a
// [Conn] that a session uses. One goroutine may read while another writes. Two
// must not read at the same time, nor write. Close is safe at any time.
type PipeEnd struct {
	in, out *pipeHalf
	rest    []byte // what WriteSome left; the writer's alone
}

// Pipe returns the two ends of a connection inside the process.
func Pipe() (a, b *PipeEnd) {
	// What one writes the other reads.
	ab, ba := newPipeHalf(), newPipeHalf()
	return &PipeEnd{in: ba, out: ab}, &PipeEnd{in: ab, out: ba}
}

// A pipeHalf is one direction: a buffer with room for pipeBuffer unread bytes. cond
// is signalled after every change, for the reader and for the writer.
type pipeHalf struct {
	mu          sync.Mutex
	cond        sync.Cond // of mu
	b           []byte
	r           int  // b[r:] is unread
	closed      bool // by either end
	interrupted bool // reads fail, until it is taken back
}

// newPipeHalf returns an empty direction.
func newPipeHalf() *pipeHalf {
	h := &pipeHalf{}
	h.cond.L = &h.mu
	return h
}

// Read waits for bytes. It returns io.EOF when either end has closed and everything
// has been read, and os.ErrDeadlineExceeded while reads are interrupted.
func (p *PipeEnd) Read(b []byte) (int, error) {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.r == len(h.b) {
		// What was written before the end is read before the end is reported.
		switch {
		case h.closed:
			return 0, io.EOF
		case h.interrupted:
			return 0, os.ErrDeadlineExceeded
		}
		h.cond.Wait()
	}
	n := copy(b, h.b[h.r:])
	if h.r += n; h.r == len(h.b) { // all is read: start over at the front
		h.b, h.r = h.b[:0], 0
	}
	h.cond.Broadcast()
	return n, nil
}

// Write writes b, and waits for room. After Close of either end it fails with
// net.ErrClosed.
func (p *PipeEnd) Write(b []byte) (int, error) { return p.out.put(b, true) }

// WriteSome writes a and then b, as far as there is room without waiting. If a rest
// stays, done is false, and Flush must be called before anything else is written.
// The rest is copied: a and b are the caller's again.
func (p *PipeEnd) WriteSome(a, b []byte) (done bool, err error) {
	for _, s := range [...][]byte{a, b} {
		n := 0 // of s; nothing overtakes a rest
		if len(p.rest) == 0 {
			if n, err = p.out.put(s, false); err != nil {
				return false, err
			}
		}
		p.rest = append(p.rest, s[n:]...)
	}
	return len(p.rest) == 0, nil
}

// Flush writes what WriteSome left, and waits for room.
func (p *PipeEnd) Flush() error {
	_, err := p.out.put(p.rest, true)
	p.rest = nil // also after an error: the pipe is closed then
	return err
}

// put appends b. It waits for room, or else returns how much of b there was room for.
func (h *pipeHalf) put(b []byte, wait bool) (done int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for done < len(b) {
		if h.closed {
			return done, net.ErrClosed
		}
		// Only unread bytes count, not the length of the buffer.
		room := pipeBuffer - (len(h.b) - h.r)
		if room <= 0 {
			if !wait {
				return done, nil
			}
			h.cond.Wait()
			continue
		}
		n := min(room, len(b)-done)
		// Move the unread bytes to the front rather than let the buffer grow: so it
		// stays below twice pipeBuffer.
		if h.r > 0 && len(h.b)+n > cap(h.b) {
			h.b = h.b[:copy(h.b, h.b[h.r:])]
			h.r = 0
		}
		h.b = append(h.b, b[done:done+n]...)
		done += n
		h.cond.Broadcast()
	}
	return done, nil
}

// SetReadDeadline interrupts reads if t is not zero, and lets them continue if it is.
// A time in the future interrupts at once as well: a session sets none.
func (p *PipeEnd) SetReadDeadline(t time.Time) error {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	h.interrupted = !t.IsZero()
	h.cond.Broadcast()
	return nil
}

// Close closes both directions: reads return what was written before, and then
// io.EOF; writes fail. It is idempotent and never fails.
func (p *PipeEnd) Close() error {
	for _, h := range [...]*pipeHalf{p.in, p.out} {
		h.mu.Lock()
		h.closed = true
		h.cond.Broadcast()
		h.mu.Unlock()
	}
	return nil
}
