package stub

import (
	"context"
	"io"
	"iter"
	"reflect"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/hook"
)

// A receiver is the receiving side of either stream, as [receiverOf] returns it.
type receiver = hook.MessageReceiver

// receiverOf returns the receiving side of a stream. It does not allocate for a stream of
// this module.
func receiverOf(s hook.Receiver) receiver {
	if r, ok := s.(receiver); ok {
		return r
	}
	return intercepted{s}
}

// An intercepted is a receiver with an interceptor before it, or of a transport of the
// program: it sees into what it receives, so that all messages are made here.
type intercepted struct{ hook.Receiver }

// RecvNew leaves it to the caller.
func (intercepted) RecvNew() (any, error) { return nil, nil }

// RecvOver uses no memory again.
func (r intercepted) RecvOver(msg any) error { return r.Recv(msg) }

// A newMessage receives one message of type E: [NewPointer] and [NewUnion] are
// the two there are.
//
// It is the one place in which *M and U differ: a struct is allocated and
// received into, an interface is a variable that the decoder sets. A stream of this
// module allocates the struct itself, with its strings.
type newMessage[E any] func(r receiver) (E, error)

// NewPointer receives a struct M as *M.
func NewPointer[M any](r receiver) (*M, error) {
	made, err := r.RecvNew()
	if err != nil {
		return nil, err
	}
	if made != nil {
		m, ok := made.(*M)
		if !ok {
			return nil, wrongMessage(made, m)
		}
		return m, nil
	}
	m := new(M)
	if err := r.Recv(m); err != nil {
		return nil, err
	}
	return m, nil
}

// wrongMessage returns the error of a codec that makes another type of message than want.
// It is not inlined: the room for its arguments would be on the stack of all who wait.
//
//go:noinline
func wrongMessage(made, want any) error {
	return rpcnet.Errorf(rpcnet.CodeInternal, "the codec of the procedure makes %T, want %T", made, want)
}

// NewUnion receives a union U.
func NewUnion[U any](r receiver) (U, error) {
	var u U
	err := r.Recv(&u)
	return u, err
}

// receiveInto receives a message into m, which is a pointer to a struct.
func receiveInto[E any](r receiver, m E) error {
	if any(*new(E)) == nil { // an interface
		return rpcnet.Errorf(rpcnet.CodeFailedPrecondition, "RecvInto of the union %v: a union has no memory to receive into, use Recv", reflect.TypeFor[E]())
	}
	return r.RecvOver(m)
}

// errUsed is what ranging over a sequence a second time yields.
var errUsed = rpcnet.NewError(rpcnet.CodeFailedPrecondition, "the sequence has been ranged over before: a stream is single-use")

// receiveAll yields the messages of a stream until its clean end. An error is
// yielded once, last, with a zero message. The sequence is single-use.
func receiveAll[E any](r receiver, next newMessage[E]) iter.Seq2[E, error] {
	// Two goroutines that range over it at the same time are kept apart as
	// well.
	var used atomic.Bool
	return func(yield func(E, error) bool) {
		var zero E
		if used.Swap(true) {
			yield(zero, errUsed)
			return
		}
		for {
			m, err := next(r)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(zero, err)
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// sendAll sends the messages of seq until its end or its error, which it
// returns.
func sendAll[E any](seq iter.Seq2[E, error], s rpcnet.ServerStream) error {
	for m, err := range seq {
		if err != nil {
			return err
		}
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// Fail returns a sequence that yields only err.
func Fail[E any](err error) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		var zero E
		yield(zero, err)
	}
}

// CallServerStream makes a call with one request and many responses. The call starts
// when the sequence is ranged over, and leaving the loop cancels it. The
// sequence is single-use.
func CallServerStream[E any](ctx context.Context, c *rpcnet.Client, spec *rpcnet.Spec, req any, next newMessage[E]) iter.Seq2[E, error] {
	return streamed(ctx, c, spec, next, func(s rpcnet.ClientStream) (func() error, error) {
		return nil, codegen.SendOne(s, req)
	})
}

// CallBidi makes a call that streams both ways. in is ranged over in a
// goroutine that the call owns, as the body of an http.Request is: it ends when
// the call does, at the next message at the latest. An error of in, or a
// request that cannot be sent, ends the call and is what the loop sees.
func CallBidi[Q, E any](ctx context.Context, c *rpcnet.Client, spec *rpcnet.Spec, in iter.Seq2[Q, error], next newMessage[E]) iter.Seq2[E, error] {
	return streamed(ctx, c, spec, next, func(s rpcnet.ClientStream) (func() error, error) {
		return pump(s, in), nil
	})
}

// streamed yields the responses of a call that start sends the requests of.
// The function start returns, if any, reports why the requests failed.
//
// The stream is closed when the loop is left, for any reason: that cancels a
// call that has not ended.
func streamed[E any](ctx context.Context, c *rpcnet.Client, spec *rpcnet.Spec, next newMessage[E],
	start func(rpcnet.ClientStream) (func() error, error)) iter.Seq2[E, error] {
	var used atomic.Bool
	return func(yield func(E, error) bool) {
		var zero E
		if used.Swap(true) {
			yield(zero, errUsed)
			return
		}
		s, err := c.NewStream(ctx, spec)
		if err != nil {
			yield(zero, err)
			return
		}
		defer s.Close()
		failed, err := start(s)
		if err != nil {
			yield(zero, err)
			return
		}
		r := receiverOf(s)
		for {
			m, err := next(r)
			// The requests may have failed: then the call was ended
			// for that, and its own error says only so.
			if err != nil && failed != nil {
				if own := failed(); own != nil {
					err = own
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(zero, err)
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// CallClientStream makes a call with many requests and one response, which is
// decoded into res. It returns when the server answers, even if in has more to
// give; see [CallBidi] for who ranges over in.
//
// An error of the requests counts only if there is no response: a server may
// answer before it has read them all.
func CallClientStream[Q any](ctx context.Context, c *rpcnet.Client, spec *rpcnet.Spec, in iter.Seq2[Q, error], res any) error {
	s, err := c.NewStream(ctx, spec)
	if err != nil {
		return err
	}
	defer s.Close()
	failed := pump(s, in)
	err = hook.RecvOne(s, res)
	if own := failed(); own != nil && err != nil {
		return own
	}
	return err
}

// pump sends in over s from a goroutine that ends with the call. The function
// it returns reports why the requests came to an end too soon, if they did: the
// error of in itself, or of a request that cannot be sent.
//
// The goroutine is the only writer of own, and its end is not waited for: what
// in does may take as long as it likes.
func pump[Q any](s rpcnet.ClientStream, in iter.Seq2[Q, error]) (failed func() error) {
	var mu sync.Mutex
	var own error
	fail := func(err error) {
		mu.Lock()
		own = err
		mu.Unlock()
		s.Close()
	}
	go func() {
		defer func() {
			if r := recover(); r != nil {
				fail(rpcnet.Errorf(rpcnet.CodeInternal, "the request sequence panicked: %v\n%s", r, debug.Stack()))
			}
		}()
		for m, err := range in {
			if err != nil {
				fail(err)
				return
			}
			if err := s.Send(m); err != nil {
				// An error of Send that is one of the call
				// itself comes from Recv as well.
				if err = unsent(err); err != nil {
					fail(err) // nobody else ends the call
				}
				return
			}
		}
		s.CloseSend()
	}()
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		return own
	}
}

// unsent returns what err, an error of Send, says of the request: it cannot be
// encoded, or is too large. It is nil if err says that the call has ended: Recv
// has the reason, and perhaps responses that came before.
func unsent(err error) error {
	e, ok := err.(*rpcnet.Error)
	switch {
	case err == io.EOF:
		return nil
	// An error that is not one of a call is one of encoding.
	case !ok:
		return rpcnet.Errorf(rpcnet.CodeInvalidArgument, "request: %v", err).WithCause(err)
	}
	switch e.Code() {
	// The connection, the caller or the time has ended the call.
	case rpcnet.CodeUnavailable, rpcnet.CodeCanceled, rpcnet.CodeDeadlineExceeded:
		return nil
	}
	return err
}

// A ServerStreamCall is an explicit handle on a call with many responses.
type ServerStreamCall[E any] struct {
	s    rpcnet.ClientStream
	r    receiver // of s
	next newMessage[E]
}

// OpenServerStream starts a call with one request and many responses. Close it when
// done.
func OpenServerStream[E any](ctx context.Context, c *rpcnet.Client, spec *rpcnet.Spec, req any, next newMessage[E]) (*ServerStreamCall[E], error) {
	s, err := c.NewStream(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := codegen.SendOne(s, req); err != nil {
		s.Close()
		return nil, err
	}
	return &ServerStreamCall[E]{s, receiverOf(s), next}, nil
}

// Recv returns the next response, or io.EOF at the clean end. Not safe for
// concurrent use with itself.
func (f *ServerStreamCall[E]) Recv() (E, error) { return f.next(f.r) }

// RecvInto receives the next response into m, which the caller owns, or returns io.EOF at
// the clean end. The response takes the place of all that is in m, and uses its memory
// again: that of byte slices, slices and maps which are fields of the struct or of
// structs in it. What the caller has kept of these changes. Two of them must not share
// memory. Strings, and what is behind pointers, stay as they are for who has kept them.
// After an error the content of m is undefined. A response without such fields, or
// with ones that are no larger than before and with the same strings, costs no
// allocation. m holds memory for the largest response that it had. A union cannot be
// received into: the error has CodeFailedPrecondition. Not safe for concurrent use with
// itself or Recv.
func (f *ServerStreamCall[E]) RecvInto(m E) error { return receiveInto(f.r, m) }

// All yields the responses left. Leaving the loop does not end the call.
func (f *ServerStreamCall[E]) All() iter.Seq2[E, error] { return receiveAll(f.r, f.next) }

// Close gives the call up if it has not ended. Safe from any goroutine.
func (f *ServerStreamCall[E]) Close() error { return f.s.Close() }

// A ClientStreamCall is an explicit handle on a call with many requests and one
// response.
type ClientStreamCall[Q, E any] struct {
	s    rpcnet.ClientStream
	next newMessage[E]
}

// OpenClientStream starts a call with many requests. Close it when done.
func OpenClientStream[Q, E any](ctx context.Context, c *rpcnet.Client, spec *rpcnet.Spec, next newMessage[E]) (*ClientStreamCall[Q, E], error) {
	s, err := c.NewStream(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &ClientStreamCall[Q, E]{s, next}, nil
}

// Send sends a request. io.EOF says that the call has ended: CloseAndRecv has
// the reason. Not safe for concurrent use with itself.
func (u *ClientStreamCall[Q, E]) Send(m Q) error { return u.s.Send(m) }

// CloseAndRecv ends the requests and returns the response.
func (u *ClientStreamCall[Q, E]) CloseAndRecv() (E, error) {
	var zero E
	if err := u.s.CloseSend(); err != nil && err != io.EOF {
		return zero, err
	}
	return u.next(intercepted{one{u.s}})
}

// one receives the single response of a call.
type one struct{ s rpcnet.ClientStream }

func (o one) Recv(msg any) error { return hook.RecvOne(o.s, msg) }

// Close gives the call up if it has not ended. Safe from any goroutine.
func (u *ClientStreamCall[Q, E]) Close() error { return u.s.Close() }

// A BidiCall is an explicit handle on a call that streams both ways, for
// talk that does not fit two loops.
type BidiCall[Q, E any] struct {
	s    rpcnet.ClientStream
	r    receiver // of s
	next newMessage[E]
}

// OpenBidi starts a call that streams both ways. Close it when done.
func OpenBidi[Q, E any](ctx context.Context, c *rpcnet.Client, spec *rpcnet.Spec, next newMessage[E]) (*BidiCall[Q, E], error) {
	s, err := c.NewStream(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &BidiCall[Q, E]{s, receiverOf(s), next}, nil
}

// Send sends a request. io.EOF says that the call has ended: Recv has the
// reason. It may run at the same time as Recv, not with itself.
func (b *BidiCall[Q, E]) Send(m Q) error { return b.s.Send(m) }

// CloseSend says that no more requests follow.
func (b *BidiCall[Q, E]) CloseSend() error { return b.s.CloseSend() }

// Recv returns the next response, or io.EOF at the clean end. It may run at
// the same time as Send, not with itself.
func (b *BidiCall[Q, E]) Recv() (E, error) { return b.next(b.r) }

// RecvInto is Recv into m, which the caller owns: see [ServerStreamCall.RecvInto].
func (b *BidiCall[Q, E]) RecvInto(m E) error { return receiveInto(b.r, m) }

// All yields the responses left. Leaving the loop does not end the call.
func (b *BidiCall[Q, E]) All() iter.Seq2[E, error] { return receiveAll(b.r, b.next) }

// Close gives the call up if it has not ended. Safe from any goroutine.
func (b *BidiCall[Q, E]) Close() error { return b.s.Close() }
