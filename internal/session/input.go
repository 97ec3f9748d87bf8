package session

import (
	"errors"
	"io"
	"os"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

const (
	// firstBuffer is the read buffer of a new session, lastBuffer what it
	// grows to with use.
	firstBuffer = 4 << 10
	lastBuffer  = 32 << 10
)

// An input reads frames from a connection. One goroutine at a time uses it.
type input struct {
	conn   io.Reader
	b      []byte
	s, e   int    // what b holds that was not taken
	read   func() // runs after each read of the connection
	resume func() // makes the connection readable again after a time-out
}

// need makes n bytes available at b[s:]. After a time-out it can be called
// again: nothing is lost.
func (in *input) need(n int) error {
	if in.e-in.s >= n {
		return nil
	}
	if in.s == in.e {
		in.s, in.e = 0, 0
		if len(in.b) > 2*lastBuffer && n <= lastBuffer { // a frame with much metadata
			in.b = make([]byte, lastBuffer)
		}
	}
	if n > len(in.b) {
		b := make([]byte, n)
		in.e = copy(b, in.b[in.s:in.e])
		in.s, in.b = 0, b
	} else if len(in.b)-in.s < n {
		in.e = copy(in.b, in.b[in.s:in.e])
		in.s = 0
	}
	for in.e-in.s < n {
		k, err := in.conn.Read(in.b[in.e:])
		in.e += k
		if k > 0 && in.read != nil {
			in.read()
		}
		if in.e == len(in.b) && len(in.b) < lastBuffer {
			b := make([]byte, 2*len(in.b))
			in.e = copy(b, in.b[in.s:in.e])
			in.s, in.b = 0, b
		}
		if err != nil && in.e-in.s < n {
			return err
		}
	}
	return nil
}

// whole reports whether a whole frame is there behind so many bytes.
func (in *input) whole(ahead int) bool {
	n := in.e - in.s - ahead
	return n >= wire.HeaderLen && n >= wire.HeaderLen+wire.ParseHeader(in.b[in.s+ahead:]).Len()
}

// header waits for the header of the next frame and takes it. The caller checks
// it.
func (in *input) header() (wire.Header, error) {
	if err := in.need(wire.HeaderLen); err != nil {
		return 0, err
	}
	h := wire.ParseHeader(in.b[in.s:])
	in.s += wire.HeaderLen
	return h, nil
}

// payload takes n bytes, which are valid until the next call.
func (in *input) payload(n int) ([]byte, error) {
	if err := in.need(n); err != nil {
		return nil, err
	}
	p := in.b[in.s : in.s+n : in.s+n]
	in.s += n
	return p, nil
}

// into takes len(dst) bytes, large rests straight from the connection.
func (in *input) into(dst []byte) error {
	for {
		k := copy(dst, in.b[in.s:in.e])
		in.s += k
		dst = dst[k:]
		if len(dst) == 0 {
			return nil
		}
		if len(dst) >= len(in.b) {
			k, err := in.conn.Read(dst)
			dst = dst[k:]
			if k > 0 && in.read != nil {
				in.read()
			}
			if err != nil && len(dst) > 0 && !in.again(err) {
				return err
			}
		} else if err := in.need(1); err != nil && !in.again(err) {
			return err
		}
	}
}

// again reports whether reading goes on after err, a time-out.
func (in *input) again(err error) bool {
	if !isTimeout(err) {
		return false
	}
	in.resume()
	return true
}

// skip drops n bytes.
func (in *input) skip(n int) error {
	for n > 0 {
		if in.s == in.e {
			if err := in.need(1); err != nil {
				if in.again(err) {
					continue
				}
				return err
			}
		}
		k := min(n, in.e-in.s)
		in.s += k
		n -= k
	}
	return nil
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
