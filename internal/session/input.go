package session

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

const (
	// firstBuffer is the read buffer of a new session, lastBuffer what it
	// grows to with use.
	firstBuffer = 4 << 10
	lastBuffer  = 32 << 10
	// direct is from how many bytes on the rest of a message is read into the message
	// itself. A read of fewer goes through the buffer, because more frames may follow.
	direct = 4 << 10
)

// An input reads frames from a connection. It belongs to the holder of the reading
// role, but for lastRead.
//
// A read may end with a time-out when the tick wants a lone caller to give the role
// up. header returns it, because between two frames the role can change hands; the
// other methods go on, because in the midst of a frame it cannot. Nothing is lost
// by a time-out.
type input struct {
	conn Conn
	// b[s:e] has come and was not taken.
	b    []byte
	s, e int
	// now is the clock at the last read of the connection. It serves as the time of all
	// frames that the read brought: a clock reading for each would cost more than it
	// tells.
	now time.Time
	// lastRead is now for the tick, in Unix nanoseconds. Any goroutine may read it.
	lastRead atomic.Int64
}

// A connError is a failure of the connection in the midst of a frame, so that it is
// not taken for a mistake of the peer.
type connError struct{ err error }

func (e *connError) Error() string { return e.err.Error() }
func (e *connError) Unwrap() error { return e.err }

// init prepares the input of a new session.
func (in *input) init(conn Conn) { in.conn, in.b = conn, make([]byte, firstBuffer) }

// read reads into p, and notes the time if anything came.
func (in *input) read(p []byte) (int, error) {
	n, err := in.conn.Read(p)
	if n > 0 {
		in.now = time.Now()
		in.lastRead.Store(in.now.UnixNano())
	}
	return n, err
}

// need makes n bytes available at b[s:], which are not there yet. After a time-out
// it can be called again: nothing is lost.
func (in *input) need(n int) error {
	in.makeRoom(n)
	for in.e-in.s < n {
		k, err := in.read(in.b[in.e:])
		in.e += k
		if in.e == len(in.b) && len(in.b) < lastBuffer { // the peer sends more than fits: larger reads are cheaper
			in.replace(make([]byte, 2*len(in.b)))
		}
		if err != nil && in.e-in.s < n {
			return err
		}
	}
	return nil
}

// makeRoom makes b large enough to have n bytes at s.
func (in *input) makeRoom(n int) {
	if in.s == in.e {
		in.s, in.e = 0, 0
		if len(in.b) > 2*lastBuffer && n <= lastBuffer { // it has grown for a frame with much metadata
			in.b = make([]byte, lastBuffer)
		}
	}
	switch {
	case n > len(in.b):
		in.replace(make([]byte, n))
	case len(in.b)-in.s < n:
		in.replace(in.b)
	}
}

// replace moves what has come to the front of b, which takes the place of the
// buffer.
func (in *input) replace(b []byte) {
	in.e = copy(b, in.b[in.s:in.e])
	in.s, in.b = 0, b
}

// whole reports whether a whole frame has come behind so many bytes. If so, handling it
// needs no read.
func (in *input) whole(ahead int) bool {
	n := in.e - in.s - ahead
	return n >= wire.HeaderLen && n >= wire.HeaderLen+wire.ParseHeader(in.b[in.s+ahead:]).Len()
}

// header waits for the header of the next frame and takes it. The caller checks
// it. A time-out is returned as it is: see isTimeout.
func (in *input) header() (wire.Header, error) {
	if in.e-in.s < wire.HeaderLen {
		if err := in.need(wire.HeaderLen); err != nil {
			return 0, err
		}
	}
	h := wire.ParseHeader(in.b[in.s:])
	in.s += wire.HeaderLen
	return h, nil
}

// payload takes n bytes, which are valid until the next call. It fails with a
// *connError.
func (in *input) payload(n int) ([]byte, error) {
	if in.e-in.s < n {
		if err := in.wait(n); err != nil {
			return nil, err
		}
	}
	p := in.b[in.s : in.s+n : in.s+n]
	in.s += n
	return p, nil
}

// wait is need in the midst of a frame: it goes on after a time-out, and fails with
// a *connError.
func (in *input) wait(n int) error {
	for {
		err := in.need(n)
		if err == nil {
			return nil
		}
		if !in.again(err) {
			return &connError{err}
		}
	}
}

// into takes len(dst) bytes, large rests straight from the connection. It fails
// with a *connError.
func (in *input) into(dst []byte) error {
	for {
		k := copy(dst, in.b[in.s:in.e])
		in.s += k
		dst = dst[k:]
		if len(dst) == 0 {
			return nil
		}
		if len(dst) >= direct {
			k, err := in.read(dst)
			dst = dst[k:]
			if err != nil && len(dst) > 0 && !in.again(err) {
				return &connError{err}
			}
		} else if err := in.wait(1); err != nil {
			return err
		}
	}
}

// skip drops n bytes, without making room for them. It fails with a *connError.
func (in *input) skip(n int) error {
	for n > 0 {
		if in.s == in.e {
			if err := in.wait(1); err != nil {
				return err
			}
		}
		k := min(n, in.e-in.s)
		in.s += k
		n -= k
	}
	return nil
}

// again reports whether reading goes on after err, a time-out.
func (in *input) again(err error) bool {
	if !isTimeout(err) {
		return false
	}
	in.resume()
	return true
}

// interrupt makes a read that waits end with a time-out. Safe from any goroutine.
func (in *input) interrupt() { in.conn.SetReadDeadline(time.Unix(1, 0)) }

// resume makes the connection readable again after an interruption.
func (in *input) resume() { in.conn.SetReadDeadline(time.Time{}) }

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
