package failover

import (
	"io"
	"reflect"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// This file is how a resumable stream keeps its requests, to send those again
// that its worker has not acknowledged.

// resumeKeep is how many bytes of requests, after the first, a resumable stream
// keeps until its worker has acknowledged them. Above it the stream goes on
// but cannot be resumed any more.
const resumeKeep = 1 << 20

// An Acknowledger is a response that says how many requests of its stream,
// from the first, its worker has dealt with for good once the response is
// accepted: those are not sent again when the stream is resumed. The worker
// counts what it was sent itself: for one that goes on with the stream, the
// first request, asked again, and those after it that were not acknowledged.
type Acknowledger interface{ AcknowledgedRequests() uint64 }

// sending keeps a request and returns the stream to send it on.
func (s *Resumable) sending(b []byte) (rpcnet.ClientStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.final != nil || s.current == nil {
		return nil, io.EOF
	}
	if b != nil && !s.tooMany {
		s.kept = append(s.kept, b)
		if s.keptSize += len(b); s.keptSize > resumeKeep {
			s.kept, s.tooMany = nil, true
		}
	}
	return s.current, nil
}

// sent hides that the try has ended: Recv opens the call again, with what was
// kept. A request that cannot be sent at all is not kept.
func (s *Resumable) sent(err error) error {
	switch {
	case err == nil, err == io.EOF:
		return nil
	case s.ctx.Err() != nil:
		return err
	case !unsendable(err):
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.kept); n > 0 {
		s.keptSize -= len(s.kept[n-1])
		s.kept = s.kept[:n-1]
	}
	return err
}

// copyOf returns the first request in a form that its sender cannot change.
func (s *Resumable) copyOf(msg any, b []byte) any {
	if s.spec.Request.Decode == nil {
		return b
	}
	if t := reflect.TypeOf(msg); t.Kind() == reflect.Pointer {
		c := reflect.New(t.Elem()).Interface()
		var d cbor.Decoder
		d.Reset(b, cbor.Limits{Depth: -1, Budget: -1}) // it was encoded here
		s.spec.Request.Decode(&d, c)
		if d.Finish() == nil {
			return c
		}
	}
	return s.spec.Resume.From(msg, 1)
}

// A replaying stream sends nothing new before the old requests are sent.
type replaying struct {
	rpcnet.ClientStream
	sent chan struct{}
}

func (r *replaying) Send(msg any) error { <-r.sent; return r.ClientStream.Send(msg) }
func (r *replaying) CloseSend() error   { <-r.sent; return r.ClientStream.CloseSend() }

// acknowledged forgets the requests that the worker has dealt with.
func (s *Resumable) acknowledged(msg any) {
	a, ok := msg.(Acknowledger)
	if !ok {
		if v := reflect.ValueOf(msg); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Interface && !v.Elem().IsNil() {
			a, ok = v.Elem().Interface().(Acknowledger) // a variant of a union
		}
		if !ok {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// The first request is kept for ever: it is what a resumed stream asks with.
	for n := a.AcknowledgedRequests(); s.dropped-s.base+1 < n && len(s.kept) > 0; s.dropped++ {
		s.keptSize -= len(s.kept[0])
		s.kept = s.kept[1:]
	}
}
