package workers

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/failover"
)

// Moving a resumable stream is planned: the worker stops the handler after a
// whole message and ends the call with a detail that says which was the last,
// and the caller goes on elsewhere without any time to detect a failure.

// errMoved is the cause of a handler's context when its stream moves.
var errMoved = errors.New("workers: the stream moves to another worker")

// A movable is a resumable stream as its handler sees it: it notes the
// sequences sent, and sends nothing more once the stream moves.
//
// One goroutine sends, that of the handler. Any other moves it, under the worker's mu, so
// that a stream that has ended is not moved. moved and cancel are set once each.
type movable struct {
	rpcnet.ServerStream
	resume  *codegen.Resume
	began   time.Duration // when it began here
	resumed bool          // another worker had it before, or has refused it
	last    atomic.Uint64
	moved   atomic.Bool
	cancel  context.CancelCauseFunc
}

// Send sends a message and notes its sequence, unless the stream moves.
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

// move lets the handler send nothing more, and ends its context.
func (m *movable) move() {
	m.moved.Store(true)
	m.cancel(errMoved)
}

// serveMovable serves a resumable stream. Its end carries the last sequence that was
// sent, in the trailer if the handler has come to its end, in the error's detail if the
// stream moves: so the caller sees whether it has everything, and where to go on.
func (w *Worker) serveMovable(ctx context.Context, spec *rpcnet.Spec, s rpcnet.ServerStream, next rpcnet.ServerFunc) error {
	call := rpcnet.ServerCallFrom(ctx)
	m := &movable{ServerStream: s, resume: spec.Resume, resumed: call != nil && call.Attempt() > 0}
	inner, cancel := context.WithCancelCause(ctx)
	m.cancel = cancel
	defer cancel(nil)
	// Under one lock with moveStreams and handOver, so that no stream is missed by both.
	w.mu.Lock()
	m.began = w.now()
	w.streams[m] = struct{}{}
	moving := w.moving
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.streams, m)
		w.mu.Unlock()
	}()
	if moving { // it was admitted before, and has begun after the others were moved
		m.move()
	}
	err := next(inner, spec, m)
	if call != nil && err == nil {
		call.SetTrailer(failover.LastTrailer, strconv.FormatUint(m.last.Load(), 10))
	}
	// If the call itself has ended, there is no caller left to go on elsewhere.
	if m.moved.Load() && ctx.Err() == nil {
		// The handler may have come to its end all the same; then the next
		// worker has nothing left to send.
		return failover.MovedError(m.last.Load())
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
