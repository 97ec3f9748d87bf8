package rpcnet

import (
	"context"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A ServerCall is a handler's view of its call: who calls, with what metadata,
// and what goes back beside the messages. Its methods are safe for concurrent
// use; after the handler has returned they answer, and change nothing.
//
// It is also the handler's context (callContext) and its stream (callStream), each
// the same memory under another name, so that a call is one allocation at most.
type ServerCall struct {
	// These do not change, and need no lock.
	host     *host
	entry    *entry
	deadline time.Time // zero: none
	attempt  uint8     // 0 for the first
	priority int8

	stream serverStream

	mu         sync.Mutex // guards what follows, and parts of stream
	header     Header     // of the request; nil: none, or ticket
	ticket     []byte     // the request's metadata, if that is a ticket and nothing else
	out        Header     // of the response
	outSent    bool       // out has gone, or the handler has returned: SetHeader fails
	trailer    Header
	trailerErr error // what is wrong with trailer
	cause      error // why the context has ended
	// inner is the context with a channel, once it was asked for (callContext.real). It
	// is set under mu and read without.
	inner atomic.Pointer[innerContext]
}

// A host is what the calls of one session have in common. Handlers keep calls
// after their session has ended, so it does not lead to it.
type host struct {
	peer     Peer
	draining <-chan struct{} // closed when the session drains
}

// serverCallKey is the key of a ServerCall in its context.
type serverCallKey struct{}

// ServerCallFrom returns the call that a handler's context belongs to, or nil
// outside a handler.
func ServerCallFrom(ctx context.Context) *ServerCall {
	c, _ := ctx.Value(serverCallKey{}).(*ServerCall)
	return c
}

// Spec returns the procedure's description. The caller must not change it.
func (c *ServerCall) Spec() *Spec { return c.entry.spec }

// Peer returns the caller with its verified identity.
func (c *ServerCall) Peer() Peer { return c.host.peer }

// Attempt returns the number the caller gave to this try of the call: 0 for
// the first, at most 255.
func (c *ServerCall) Attempt() int { return int(c.attempt) }

// Priority returns what the caller chose with [CallOptions].Priority, for interceptors
// that refuse calls under load.
func (c *ServerCall) Priority() int { return int(c.priority) }

// Draining returns a channel that is closed when the server begins to shut
// down: a long stream should come to an end.
func (c *ServerCall) Draining() <-chan struct{} { return c.host.draining }

// Header returns the metadata the caller sent; never nil. It must not be
// changed.
func (c *ServerCall) Header() Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.header == nil {
		c.header = Header{}
		if c.ticket != nil {
			c.header[ticketKey] = []string{string(c.ticket)}
		}
	}
	return c.header
}

// SetHeader sets metadata that goes ahead of the first response. After the
// first Send it fails.
func (c *ServerCall) SetHeader(key string, values ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outSent {
		return NewError(CodeFailedPrecondition, "SetHeader after the first response: use SetTrailer")
	}
	// The header that is set already stays as it is if the new key breaks a rule.
	h := maps.Clone(c.out)
	if h == nil {
		h = Header{}
	}
	h.Set(key, values...)
	if err := h.Validate(); err != nil {
		return err
	}
	c.out = h
	return nil
}

// SetTrailer sets metadata that goes with the end of the call. Metadata that
// [Header.Validate] refuses makes the call fail.
func (c *ServerCall) SetTrailer(key string, values ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trailer == nil {
		c.trailer = Header{}
	}
	c.trailer.Set(key, values...)
	// The trailer has no error to return to: finish makes it the outcome of the call.
	c.trailerErr = c.trailer.Validate()
}

// A serverStream is the stream of one call. Handlers see it as a ServerStream.
//
// A call whose requests have all come (whole) borrows a stream of the session, which
// another call gets afterwards: mu guards st then, and returned takes it away. Other
// calls own their stream, and a late Recv finds it ended.
type serverStream struct {
	st       *session.Stream
	encoding codegen.Encoding
	whole    bool    // all requests have come; st is used again after the call
	response *buffer // the single response of a unary or client stream call
	load     *buffer // a worker's report, for the trailer; nil: none
	sent     bool
}

// A callStream is the ServerStream of a ServerCall, under another name.
type callStream ServerCall

var errReturned = NewError(CodeFailedPrecondition, "Recv after the handler has returned")

// Recv decodes the next request.
func (c *callStream) Recv(msg any) error {
	_, err := c.recv(msg, into)
	return err
}

// RecvOver implements [hook.MessageReceiver] as that of a clientStream does.
func (c *callStream) RecvOver(msg any) error {
	_, err := c.recv(msg, over)
	return err
}

// RecvNew implements [hook.MessageReceiver].
func (c *callStream) RecvNew() (msg any, err error) {
	if c.entry.spec.Request.DecodeNew == nil {
		return nil, nil
	}
	// This is recv, without its frame: generated code waits here.
	if c.stream.whole {
		return c.recvWhole(nil, fresh)
	}
	p, err := c.stream.st.Recv(nil)
	return c.received(p, err, nil, fresh)
}

// recv decodes the next request into msg, or for fresh into a new message. It returns the
// message. The bytes of the request are free again afterwards.
func (c *callStream) recv(msg any, to destination) (any, error) {
	if c.stream.whole {
		return c.recvWhole(msg, to)
	}
	// Recv of a stream waits, so no lock is held.
	p, err := c.stream.st.Recv(nil)
	return c.received(p, err, msg, to)
}

// received is the part of recv after the wait: p and err are what Recv has returned.
func (c *callStream) received(p []byte, err error, msg any, to destination) (any, error) {
	if err != nil {
		return nil, c.recvError(err)
	}
	msg, err = c.decode(p, msg, to)
	if !c.entry.spec.Shape.ClientStreams() { // no other Recv follows that would do it
		c.stream.st.EndReceive()
	}
	return msg, err
}

// recvWhole is recv of a call whose requests are all there: it does not wait.
// The stream behind it is used again after the call, so it is out of reach of
// a handler that calls Recv when it must not.
func (c *callStream) recvWhole(msg any, to destination) (any, error) {
	// A handler that has left a goroutine behind may call Recv late.
	c.mu.Lock()
	if c.stream.st == nil {
		c.mu.Unlock()
		return nil, errReturned
	}
	p, err := c.stream.st.Recv(nil)
	if err != nil {
		c.mu.Unlock()
		return nil, c.recvError(err)
	}
	defer c.mu.Unlock()
	return c.decode(p, msg, to)
}

// returned ends the handler's use of the call. It returns the stream and what
// is to be sent with the end: header if it was not sent, trailer, and what is
// wrong with it.
func (c *ServerCall) returned() (st *session.Stream, header, trailer Header, trailerErr error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st = c.stream.st
	if c.stream.whole {
		c.stream.st = nil
	}
	if !c.outSent {
		c.outSent = true
		header = c.out
	}
	trailer, trailerErr = c.trailer, c.trailerErr
	c.out, c.trailer, c.trailerErr = nil, nil, nil // others may keep the call
	if c.inner.Load() == nil && c.cause == nil {   // if there is one, it ends last
		c.cause = context.Canceled
	}
	return st, header, trailer, trailerErr
}

// recvError turns an error of the session into the handler's.
func (c *callStream) recvError(err error) error {
	if err == io.EOF {
		return err
	}
	return c.streamError(err)
}

// streamError turns an error of the session other than io.EOF into the handler's. It is
// not inlined: its locals would be on the stack of each handler that waits.
//
//go:noinline
func (c *callStream) streamError(err error) error { return localError((*callContext)(c), err) }

// decode is [decodeMessage] for a request.
func (c *callStream) decode(p []byte, msg any, to destination) (any, error) {
	m := &c.entry.spec.Request
	msg, err := decodeMessage(m, c.stream.encoding, p, msg, to, c.entry.limits.Limits)
	if err == nil || isRaw(m) {
		return msg, err
	}
	return nil, badRequest(c.entry.limits.named(err, len(p)))
}

// badRequest returns the error of a request that cannot be decoded: the caller's fault.
func badRequest(err error) error {
	return Errorf(CodeInvalidArgument, "request: %v", err).WithCause(err)
}

// recvBytes returns the single request of bytes as it came, without a copy. It is valid
// until the handler returns.
func (c *callStream) recvBytes() (p []byte, err error) {
	if !c.stream.whole {
		p, err = c.stream.st.Recv(nil)
	} else {
		c.mu.Lock()
		if c.stream.st == nil {
			c.mu.Unlock()
			return nil, errReturned
		}
		p, err = c.stream.st.Recv(nil)
		c.mu.Unlock() // before recvError, which asks the context, and so takes it
	}
	if err != nil {
		err = c.recvError(err)
	}
	return p, err
}

// Send encodes a response and sends it, or keeps it for the end of the call.
func (c *callStream) Send(msg any) error {
	b, err := c.encode(msg)
	if err != nil {
		return err
	}
	return c.respond(b)
}

// encode encodes a response into a buffer, which the caller owns. It is not part of Send:
// the encryption runs on top of the frame of that.
//
//go:noinline
func (c *callStream) encode(msg any) (*buffer, error) {
	spec := c.entry.spec
	b := getBuffer()
	var err error
	if b.b, err = appendMessage(b.b, spec, &spec.Response, c.stream.encoding, msg, &c.entry.limits); err != nil {
		b.put()
		return nil, Errorf(CodeInternal, "response: %v", err).WithCause(&unsendable{err})
	}
	return b, nil
}

// serveBytes serves a unary call of bytes.
func (c *callStream) serveBytes(ctx context.Context, h rawHandler) error {
	in, err := c.recvBytes()
	if err != nil {
		return noRequest(err)
	}
	out, err := h(ctx, in)
	if err == nil {
		err = c.sendBytes(out) // which copies out: it may be in
	}
	if !c.stream.whole {
		c.stream.st.EndReceive()
	}
	return err
}

// sendBytes sends a response of bytes.
func (c *callStream) sendBytes(p []byte) error {
	b := getBuffer()
	b.b = append(b.b, p...)
	return c.respond(b)
}

// respond sends an encoded response, or keeps it for the end of the call. It owns b.
//
// The encryption of the response runs on top of its frame, which is kept small.
// So what is rare is in functions that are not inlined.
func (c *callStream) respond(b *buffer) error {
	// The single response is kept, so that it goes out with STATUS in one write.
	single := !c.entry.spec.Shape.ServerStreams()
	if len(b.b) > c.entry.maxSize || single && c.stream.response != nil {
		return c.refuse(b)
	}
	if single {
		c.stream.response = b
		return nil
	}
	// The header goes ahead of the first response.
	if !c.stream.sent {
		(*ServerCall)(c).sendHeader(c.stream.st)
	}
	err := c.stream.st.Send(b.b, false, nil)
	b.put()
	if err != nil {
		return c.streamError(err)
	}
	return nil
}

// refuse returns the error of a response that is too large, or one too many. It owns b.
//
//go:noinline
func (c *callStream) refuse(b *buffer) error {
	n := len(b.b)
	b.put()
	if n > c.entry.maxSize {
		return localError(context.Background(), session.TooLarge(n, c.entry.maxSize, c.entry.sizeSetBy()))
	}
	return NewError(CodeInternal, "more than one response to a "+c.entry.spec.Shape.String()+" call")
}

// An unsendable says that a response cannot be encoded, which is a mistake in
// the handler.
type unsendable struct{ err error }

// Error and Unwrap return what is wrong with the response.
func (u *unsendable) Error() string { return u.err.Error() }
func (u *unsendable) Unwrap() error { return u.err }

// sendHeader sends the response metadata ahead of the first response. It is called once,
// and not inlined, for the sake of the frame of respond.
//
//go:noinline
func (c *ServerCall) sendHeader(st *session.Stream) {
	c.stream.sent = true
	c.mu.Lock()
	c.outSent = true
	h := c.out
	c.mu.Unlock()
	if h != nil {
		st.SendHeader(wire.AppendMetadata(nil, h))
	}
}
