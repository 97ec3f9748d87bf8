package session

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A dribble is a connection whose reads bring a few bytes each, and time-outs in
// between. At its end it fails with err.
type dribble struct {
	b       []byte
	rng     *rand.Rand
	resumed int
	err     error
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, d.err
	}
	if d.rng.IntN(3) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p[:min(len(p), 1+d.rng.IntN(5000))], d.b)
	d.b = d.b[n:]
	return n, nil
}

func (d *dribble) Write(p []byte) (int, error) { return len(p), nil }
func (d *dribble) Close() error                { return nil }

func (d *dribble) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		d.resumed++
	}
	return nil
}

// Frames come out of an input as they went in, however the reads cut them and
// whichever way their payload is taken; time-outs lose nothing.
func TestInput(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	type frame struct {
		n    int
		take int // payload, into, skip
	}
	var frames []frame
	var b []byte
	for range 300 {
		f := frame{rng.IntN(300), rng.IntN(3)}
		if rng.IntN(10) == 0 {
			f.n = rng.IntN(wire.MaxChunk)
		}
		frames = append(frames, f)
		b = wire.MakeHeader(wire.TypeData, 0, uint32(f.n), f.n).Append(b)
		b = append(b, bytes.Repeat([]byte{byte(f.n)}, f.n)...)
	}
	conn := &dribble{b: b, rng: rng, err: io.ErrUnexpectedEOF}
	in := new(input)
	in.init(conn)
	for i, f := range frames {
		h, err := in.header()
		for err != nil {
			if !isTimeout(err) {
				t.Fatalf("frame %d: %v", i, err)
			}
			in.resume()
			h, err = in.header()
		}
		if h.Len() != f.n || h.ID() != uint32(f.n) {
			t.Fatalf("frame %d has %d bytes, want %d", i, h.Len(), f.n)
		}
		p := bytes.Repeat([]byte{byte(f.n)}, f.n)
		switch f.take {
		case 0:
			p, err = in.payload(f.n)
		case 1:
			clear(p)
			err = in.into(p)
		default:
			err = in.skip(f.n)
		}
		if err != nil || !bytes.Equal(p, bytes.Repeat([]byte{byte(f.n)}, f.n)) {
			t.Fatalf("the payload of frame %d is not what was sent: %v", i, err)
		}
	}
	if conn.resumed == 0 || in.lastRead.Load() == 0 {
		t.Errorf("resumed %d times, last read at %d", conn.resumed, in.lastRead.Load())
	}
	if _, err := in.header(); err != io.ErrUnexpectedEOF {
		for isTimeout(err) {
			_, err = in.header()
		}
		if err != io.ErrUnexpectedEOF {
			t.Errorf("at the end: %v", err)
		}
	}
}

// An end in the midst of a frame is a failure of the connection, whatever takes the
// rest of the frame.
func TestInputThatEndsInTheMidstOfAFrame(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(in *input) error{
		"payload": func(in *input) error { _, err := in.payload(10); return err },
		"into":    func(in *input) error { return in.into(make([]byte, 10)) },
		"large":   func(in *input) error { return in.into(make([]byte, 2*lastBuffer)) },
		"skip":    func(in *input) error { return in.skip(10) },
	} {
		in := new(input)
		in.init(&dribble{b: []byte("nine byte"), rng: rand.New(rand.NewPCG(7, 8)), err: io.EOF})
		var conn *connError
		if err := take(in); !errors.As(err, &conn) || conn.err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The buffer grows with what the peer sends and with large frames, and shrinks after
// them.
func TestInputBufferFollowsItsUse(t *testing.T) {
	t.Parallel()
	in := new(input)
	in.init(&dribble{b: make([]byte, 1<<20), rng: rand.New(rand.NewPCG(9, 10)), err: io.EOF})
	for _, c := range []struct{ n, most int }{
		{100, 2 * firstBuffer}, {wire.MaxPayload, wire.MaxPayload}, {100, wire.MaxPayload}, {wire.MaxPayload, wire.MaxPayload},
	} {
		if _, err := in.payload(c.n); err != nil {
			t.Fatal(err)
		}
		if len(in.b) > c.most {
			t.Errorf("a buffer of %d bytes after a frame of %d", len(in.b), c.n)
		}
	}
	if err := in.skip(in.e - in.s); err != nil {
		t.Fatal(err)
	}
	if _, err := in.payload(1); err != nil || len(in.b) > 2*lastBuffer {
		t.Errorf("a buffer of %d bytes after small frames, %v", len(in.b), err)
	}
}
