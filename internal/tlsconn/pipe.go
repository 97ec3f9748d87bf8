package tlsconn

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how many bytes a pipe holds before a writer waits.
const pipeBuffer = 256 << 10

// PipeEnd is one end of a connection inside the process, with the methods of a
// [Conn] that a session uses. One goroutine may read while another writes. Two
// must not read at the same time, nor write. Close is safe at any time.
type PipeEnd struct {
	in, out *pipeHalf
	rest    []byte // of WriteSome
}

// Pipe returns the two ends of a connection inside the process.
func Pipe() (a, b *PipeEnd) {
	ab, ba := newPipeHalf(), newPipeHalf()
	return &PipeEnd{in: ba, out: ab}, &PipeEnd{in: ab, out: ba}
}

type pipeHalf struct {
	mu          sync.Mutex
	cond        sync.Cond
	b           []byte
	r           int // b[r:] is unread
	closed      bool
	interrupted bool
}

func newPipeHalf() *pipeHalf {
	h := &pipeHalf{}
	h.cond.L = &h.mu
	return h
}

// Read waits for bytes. It returns io.EOF when the other end has closed and
// everything has been read.
func (p *PipeEnd) Read(b []byte) (int, error) {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.r == len(h.b) {
		switch {
		case h.closed:
			return 0, io.EOF
		case h.interrupted:
			return 0, os.ErrDeadlineExceeded
		}
		h.cond.Wait()
	}
	n := copy(b, h.b[h.r:])
	if h.r += n; h.r == len(h.b) {
		h.b, h.r = h.b[:0], 0
	}
	h.cond.Broadcast()
	return n, nil
}

// Write waits for room.
func (p *PipeEnd) Write(b []byte) (int, error) { return p.out.put(b, true) }

// WriteSome writes a and b as far as there is room. If a rest stays, done is
// false, and Flush must be called before anything else is written.
func (p *PipeEnd) WriteSome(a, b []byte) (done bool, err error) {
	for _, s := range [...][]byte{a, b} {
		n := 0
		if len(p.rest) == 0 {
			if n, err = p.out.put(s, false); err != nil {
				return false, err
			}
		}
		p.rest = append(p.rest, s[n:]...)
	}
	return len(p.rest) == 0, nil
}

// Flush writes what WriteSome left.
func (p *PipeEnd) Flush() error {
	_, err := p.out.put(p.rest, true)
	p.rest = nil
	return err
}

// put appends b, and waits for room or returns how much of it there was room
// for.
func (h *pipeHalf) put(b []byte, wait bool) (done int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for done < len(b) {
		if h.closed {
			return done, net.ErrClosed
		}
		room := pipeBuffer - (len(h.b) - h.r)
		if room <= 0 {
			if !wait {
				return done, nil
			}
			h.cond.Wait()
			continue
		}
		n := min(room, len(b)-done)
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

// SetReadDeadline interrupts reads with a time in the past, and lets them go
// on with the zero time. Other times are not supported: nothing uses them.
func (p *PipeEnd) SetReadDeadline(t time.Time) error {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	h.interrupted = !t.IsZero()
	h.cond.Broadcast()
	return nil
}

// Close closes both directions.
func (p *PipeEnd) Close() error {
	for _, h := range [...]*pipeHalf{p.in, p.out} {
		h.mu.Lock()
		h.closed = true
		h.cond.Broadcast()
		h.mu.Unlock()
	}
	return nil
}
