package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet"
)

// Moving a resumable stream is planned: the worker stops the handler after a
// whole message and ends the call with a detail that says which was the last,
// and the caller goes on elsewhere without any time to detect a failure.

// MovedDetail is the name of the [rpcnet.Detail] of the error that a resumable
// stream ends with when its worker drains. Its data is the last sequence sent,
// as a varint.
const MovedDetail = "cluster.v1.Moved"

// errMoved is the cause of a handler's context when its stream moves.
var errMoved = errors.New("cluster: the stream moves to another worker")

// movedError ends a stream that moves. last is the last sequence sent.
func movedError(last uint64) error {
	return rpcnet.NewError(rpcnet.CodeUnavailable, "worker is draining: the stream moves").
		WithDetail(&rpcnet.Detail{Name: MovedDetail, Data: binary.AppendUvarint(nil, last)})
}

// MovedAt reports whether err is the end of a stream that moves, and the last
// sequence its worker sent.
func MovedAt(err error) (last uint64, ok bool) {
	var d *rpcnet.Detail
	if errors.As(err, &d) && d.Name == MovedDetail {
		last, n := binary.Uvarint(d.Data)
		return last, n > 0
	}
	return 0, false
}

// lastHeader is the trailer in which a resumable stream's end says which
// sequence was its last, as decimal text.
const lastHeader = "rpcnet-last-sequence"

// A movable is a resumable stream as its handler sees it: it notes the
// sequences sent, and sends nothing more once the stream moves.
type movable struct {
	rpcnet.ServerStream
	resume *rpcnet.Resume
	last   atomic.Uint64
	moved  atomic.Bool
	cancel context.CancelCauseFunc
}

func (m *movable) Send(msg any) error {
	if m.moved.Load() {
		return errMoved
	}
	err := m.ServerStream.Send(msg)
	if err == nil {
		if seq := m.resume.Sequence(msg); seq > 0 {
			m.last.Store(seq)
		}
	}
	return err
}

func (m *movable) move() {
	m.moved.Store(true)
	m.cancel(errMoved)
}

// serveMovable serves a resumable stream.
func (w *Worker) serveMovable(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream, next rpcnet.ServerFunc) error {
	m := &movable{ServerStream: s, resume: spec.Resume}
	inner, cancel := context.WithCancelCause(ctx)
	m.cancel = cancel
	defer cancel(nil)
	w.mu.Lock()
	w.streams[m] = struct{}{}
	moving := w.moving
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.streams, m)
		w.mu.Unlock()
	}()
	if moving {
		m.move()
	}
	err := next(inner, spec, m)
	if m.moved.Load() && ctx.Err() == nil {
		// The handler may have come to its end all the same; then the next
		// worker has nothing left to send.
		return movedError(m.last.Load())
	}
	return err
}

// moveStreams moves all resumable streams, and those that begin from now on.
func (w *Worker) moveStreams() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moving = true
	for m := range w.streams {
		m.move()
	}
}
