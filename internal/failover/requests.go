package failover

import (
	"io"
	"reflect"
	"slices"
	"sync"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// keepMost is how many bytes of requests can be sent again at once: less than any
// window, so that doing so never waits for a worker that waits for us. A stream
// that is made again only until its first response keeps no more.
const keepMost = 128 << 10

// An Acknowledger is a response that says how many requests of its stream,
// from the first, its worker has dealt with for good once the response is
// accepted: those are not sent again when the stream is resumed. The worker
// counts what it was sent itself: for one that goes on with the stream, the
// first request, asked again, and those after it that were not acknowledged.
type Acknowledger interface{ AcknowledgedRequests() uint64 }

// requests are what a call has sent so far, encoded, to be sent again. It is safe
// for concurrent use.
type requests struct {
	mu sync.Mutex
	// head is the first one, nil if there was none. It is kept apart because a resumed
	// stream asks with another one in its place.
	head []byte
	// rest are those after it that are not acknowledged. size is theirs in bytes, and
	// limit the most of it.
	rest        [][]byte
	size, limit int
	// ended says that the caller sends no more.
	ended bool
	// gone says that the call cannot be made again: rest was over the limit, or the call
	// stays where it is.
	gone bool
	// acked counts the requests after the first that are acknowledged, and base
	// those of them that the present attempt was not sent.
	acked, base uint64
}

// begin keeps the first request, and up to limit bytes after it. With a negative
// limit it is kept only for the opening that follows.
func (r *requests) begin(head []byte, limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if head == nil {
		head = []byte{} // an empty request is one too
	}
	r.head, r.limit, r.gone = head, limit, limit < 0
}

// add keeps a request after the first.
func (r *requests) add(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return
	}
	r.rest = append(r.rest, b)
	// Over the limit the call goes on, but can no longer be made again.
	if r.size += len(b); r.size > r.limit {
		r.rest, r.size, r.gone = nil, 0, true
	}
}

// end notes that the caller sends no more. It returns false if that was known.
func (r *requests) end() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.ended
	r.ended = true
	return !was
}

// unsend forgets the request that was added last.
func (r *requests) unsend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.rest); n > 0 {
		r.size -= len(r.rest[n-1])
		r.rest = r.rest[:n-1]
	}
}

// whole reports whether all requests are there that making the call again needs.
func (r *requests) whole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.gone
}

// drop forgets all: the call is not made again.
func (r *requests) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.head, r.rest, r.size, r.gone = nil, nil, 0, true
}

// resend returns the requests that a new attempt is sent, whether there are no more
// to come, and whether a window holds them.
func (r *requests) resend() (head []byte, rest [][]byte, ended, small bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base = r.acked
	return r.head, r.rest, r.ended, r.size <= keepMost
}

// acknowledged forgets the requests that the worker has dealt with by its response
// msg. The first one stays: a resumed stream asks with it.
func (r *requests) acknowledged(msg any) {
	a, ok := msg.(Acknowledger)
	if !ok { // perhaps msg is a pointer to a union, whose variant is one
		v := reflect.ValueOf(msg)
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Interface || v.Elem().IsNil() {
			return
		}
		if a, ok = v.Elem().Interface().(Acknowledger); !ok {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// The worker counts from the first request of its own attempt, which is there again
	// (1), and after which it was sent those from base on. It cannot acknowledge more than
	// it was sent: the loop ends with rest.
	for n := a.AcknowledgedRequests(); r.acked-r.base+1 < n && len(r.rest) > 0; r.acked++ {
		r.size -= len(r.rest[0])
		r.rest = r.rest[1:]
	}
}

// sendAll sends requests that were kept. That the attempt has ended meanwhile is
// no error here: Recv has the reason.
func sendAll(cur rpcnet.ClientStream, head []byte, rest [][]byte, ended bool) (err error) {
	if head != nil {
		err = cur.Send(head)
	}
	for i := 0; err == nil && i < len(rest); i++ {
		err = cur.Send(rest[i])
	}
	if err == nil && ended {
		err = cur.CloseSend()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// A replaying stream is sent what was kept by a goroutine. What its user sends
// comes after that.
type replaying struct {
	rpcnet.ClientStream
	sent chan struct{} // closed when all that was kept is sent
}

func (r *replaying) Send(msg any) error { <-r.sent; return r.ClientStream.Send(msg) }
func (r *replaying) CloseSend() error   { <-r.sent; return r.ClientStream.CloseSend() }

// messagesOf returns a stream of an attempt as one that makes messages and uses their
// memory again, nil if it is none. That of a connection is one. A replaying stream differs
// from it only in how it sends.
func messagesOf(s rpcnet.ClientStream) hook.MessageReceiver {
	if r, ok := s.(*replaying); ok {
		s = r.ClientStream
	}
	m, _ := s.(hook.MessageReceiver)
	return m
}

// encoded returns the description of the same procedure for requests that are
// encoded already.
func encoded(spec *rpcnet.Spec) *rpcnet.Spec {
	if spec.Request.Append == nil {
		return spec // raw
	}
	raw := *spec
	raw.Request.Append = func(dst []byte, msg any) ([]byte, error) { return append(dst, msg.([]byte)...), nil }
	return &raw
}

// Encode returns the encoding of a request.
func Encode(spec *rpcnet.Spec, msg any) ([]byte, error) {
	if spec.Request.Append != nil {
		b, err := spec.Request.Append(nil, msg)
		if err != nil {
			return nil, rpcnet.Errorf(rpcnet.CodeInvalidArgument, "request: %s", Reason(err)).WithCause(err)
		}
		return b, nil
	}
	switch b := msg.(type) {
	case []byte:
		return slices.Clone(b), nil
	case *[]byte:
		return slices.Clone(*b), nil
	}
	return nil, rpcnet.Errorf(rpcnet.CodeInternal, "%s takes bytes, got %T", spec.Procedure, msg)
}

// copyOf returns the request msg, whose encoding is b, in a form that its sender
// cannot change.
func copyOf(spec *rpcnet.Spec, msg any, b []byte) any {
	if spec.Request.Decode == nil {
		return b
	}
	if t := reflect.TypeOf(msg); t.Kind() == reflect.Pointer {
		c := reflect.New(t.Elem()).Interface()
		var d cbor.Decoder
		d.Reset(b, cbor.Limits{Depth: -1, Budget: -1}) // it was encoded here
		spec.Request.Decode(&d, c)
		if d.Finish() == nil {
			return c
		}
	}
	return spec.Resume.From(msg, 1) // which makes a new request, by its contract
}
