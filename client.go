package rpcnet

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A Client makes calls over a [Transport]. Generated clients hold one. It comes
// from [NewClient]: the zero value has no transport, and its calls fail with
// CodeFailedPrecondition. It is safe for concurrent use.
type Client struct {
	open  ClientFunc
	unary unaryCaller // nil when interceptors or the transport need the long way
}

// A unaryCaller is a transport with a short cut for unary calls: it encodes into a
// pooled buffer and sends OPEN, request and end in one frame, without a ClientStream
// between. Interceptors need the stream, so a client that has some goes the long way.
type unaryCaller interface {
	callUnary(ctx context.Context, spec *Spec, req, res any) error
}

// NewClient returns a client that makes its calls over t. A nil cfg means no
// interceptors and no defaults; then a t that is a Client itself is returned as
// it is. The config is copied.
func NewClient(t Transport, cfg *ClientConfig) *Client {
	if cfg == nil {
		if c, ok := t.(*Client); ok {
			return c
		}
		cfg = &ClientConfig{}
	}
	c := &Client{open: t.NewStream}
	// Defaults travel in the context, below the options of the caller, and so need
	// NewStream. Only a client without defaults and interceptors has the short cut.
	if !cfg.Call.zero() {
		var call CallOptions
		call.override(&cfg.Call)
		c.open = func(ctx context.Context, spec *Spec) (ClientStream, error) {
			return t.NewStream(withDefaults(ctx, &call), spec)
		}
	} else if len(cfg.Interceptors) == 0 {
		c.unary = shortcut(t)
	}
	for _, i := range slices.Backward(cfg.Interceptors) {
		c.open = i(c.open)
	}
	return c
}

// NewStream starts a call. It makes a Client a [Transport] itself, so that clients
// with other interceptors or defaults can be put around it.
func (c *Client) NewStream(ctx context.Context, spec *Spec) (ClientStream, error) {
	if c.open == nil {
		return nil, NewError(CodeFailedPrecondition, "a Client without a transport: use rpcnet.NewClient").WithUnprocessed()
	}
	return c.open(ctx, spec)
}

// Unary makes a call with one request and one response, which is decoded into
// res, a pointer. It returns when the call has ended. Errors that the server sends are
// [*Error]s. req is not kept.
func (c *Client) Unary(ctx context.Context, spec *Spec, req, res any) error {
	if c.unary != nil {
		return c.unary.callUnary(ctx, spec, req, res)
	}
	s, err := c.NewStream(ctx, spec)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := codegen.SendOne(s, req); err != nil {
		return err
	}
	return recvOne(s, res)
}

// recvOne receives the single response of a call into res, a pointer, and the end
// after it.
func recvOne(s hook.Receiver, res any) error {
	// The end of a call that needs a response is no clean end.
	if err := s.Recv(res); err != nil {
		if err == io.EOF {
			return NewError(CodeInternal, "the call ended without a response")
		}
		return err
	}
	// A second response is an error, of any type: it would be lost otherwise.
	var extra []byte
	if err := s.Recv(&extra); err != io.EOF {
		if err == nil || CodeOf(err) == CodeInvalidArgument {
			return NewError(CodeInternal, "more than one response to a unary call")
		}
		return err
	}
	return nil
}

// Package stub receives single responses as this package does.
func init() { hook.RecvOne = recvOne }

// CallRaw makes a unary call without a contract: bytes in, bytes out. The
// result belongs to the caller; in is not kept.
func CallRaw(ctx context.Context, t Transport, procedure string, in []byte) ([]byte, error) {
	if r, ok := t.(rawCaller); ok {
		return r.callRaw(ctx, procedure, in)
	}
	var out []byte
	c := Client{open: t.NewStream, unary: shortcut(t)}
	err := c.Unary(ctx, &Spec{Procedure: procedure}, in, &out)
	return out, err
}

// A rawCaller is a transport with a short cut for [CallRaw], without a ClientStream
// between.
type rawCaller interface {
	callRaw(ctx context.Context, procedure string, in []byte) ([]byte, error)
}

// promptWithin is how near a deadline must be for a call to hear of it at
// once. Others may learn of the end of their context a tick of 10 ms late, and
// are faster.
const promptWithin = 100 * time.Millisecond

// request fills in what the OPEN frame says of a call with context ctx.
func request(ctx context.Context, r *session.Request, spec *Spec, opts *CallOptions) (prompt bool, err error) {
	if n := len(spec.Procedure); n == 0 || n > wire.MaxProcedure {
		return false, Errorf(CodeInvalidArgument, "procedure name %.40q of %d bytes: want 1 to 255", spec.Procedure, n)
	}
	r.Procedure = spec.Procedure
	r.Encoding = byte(spec.Request.Encoding)
	size := opts.MaxMessageSize
	if size == 0 {
		size = spec.MaxMessageSize
	}
	r.MaxReceive, r.LimitSetBy = sizeLimit(size), sizeSetBy(spec, opts)
	if opts != &noCallOptions {
		r.Attempt, r.Priority = uint8(min(max(opts.Attempt, 0), 255)), opts.Priority
		enc, err := encodingOf(spec, opts)
		if err != nil {
			return false, err
		}
		r.Encoding = byte(enc)
		if h := opts.metadata(); len(h) > 0 {
			if err := h.Validate(); err != nil {
				return false, err
			}
			r.Metadata = wire.AppendMetadata(nil, h)
		}
	}
	if d, ok := ctx.Deadline(); ok {
		left := time.Until(d)
		if left <= 0 {
			return false, &Error{code: CodeDeadlineExceeded, message: "deadline exceeded before the call", cause: context.DeadlineExceeded, unprocessed: true}
		}
		// The time left travels, not the deadline: clocks differ.
		r.Timeout, r.Deadline = uint64(max(left/time.Microsecond, 1)), d
		prompt = left < promptWithin
	}
	return prompt, nil
}

// withTimeout applies the procedure's default deadline. Most procedures have none, so
// the common case makes no context.
func withTimeout(ctx context.Context, spec *Spec) (context.Context, context.CancelFunc) {
	if spec.Timeout > 0 {
		if _, has := ctx.Deadline(); !has {
			return context.WithTimeout(ctx, spec.Timeout)
		}
	}
	return ctx, nil
}

// call makes a unary call of encoded messages. The stream it returns has all
// that came and must be released.
func (c *Conn) call(ctx context.Context, spec *Spec, rec *record, opts *CallOptions, in []byte) (*session.Stream, error) {
	// A server that drains has refused the call before a handler saw it, so it is sent
	// again, to the same address, as soon as there is a connection.
	st, err := c.try(ctx, spec, rec, opts, in)
	for pause := firstRetry; c.waits(opts) && refused(err) && c.pause(ctx, &pause); {
		st, err = c.try(ctx, spec, rec, opts, in)
	}
	return st, err
}

// waits reports whether a call waits for the server.
func (c *Conn) waits(opts *CallOptions) bool { return opts.WaitForReady && !c.cfg.FailFast }

// firstRetry is how long a call that waits for a server lets one be that has
// refused it; the pauses double, up to lastBackoff.
const firstRetry = 5 * time.Millisecond

// refused reports whether a call has met a server that was about to go, or not
// yet there, and no handler.
func refused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.code == CodeUnavailable && e.unprocessed
}

// pause waits for d and doubles it. It reports false if the Conn is closed; the
// end of ctx is for the next try to tell.
func (c *Conn) pause(ctx context.Context, d *time.Duration) bool {
	t := time.NewTimer(*d)
	defer t.Stop()
	*d = min(2**d, lastBackoff)
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
	return c.ctx.Err() == nil
}

// try is call, once: it waits for a session if the call waits for the server, fills
// in OPEN, sends it with the request, and waits for STATUS. The request is encoded
// before, once for all attempts. What the record notes is of the last attempt.
func (c *Conn) try(ctx context.Context, spec *Spec, rec *record, opts *CallOptions, in []byte) (*session.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, contextError(ctx)
	}
	// The context is asked first: a call whose time is over must not wait for a server.
	s, err := c.ready(ctx, c.waits(opts))
	if err != nil {
		return nil, err
	}
	var r session.Request
	prompt, err := request(ctx, &r, spec, opts)
	if err != nil {
		return nil, err
	}
	return s.exchange(ctx, ctx.Done(), &r, prompt, spec, rec, in)
}

// exchange makes a unary call of encoded messages on a session. done interrupts, and
// ctx says why. The stream that it returns has all that came and must be released.
func (s *connected) exchange(ctx context.Context, done <-chan struct{}, r *session.Request, prompt bool, spec *Spec, rec *record, in []byte) (*session.Stream, error) {
	// What the server would refuse for its size is refused here when the limit is the
	// same on both sides, before anything is sent.
	if len(in) > r.MaxReceive {
		return nil, localError(ctx, session.TooLarge(len(in), r.MaxReceive, r.LimitSetBy))
	}
	var begun time.Time
	if rec != nil {
		begun = rec.begin(s.peer)
	}
	// Call waits for the end of the whole call, so the response and STATUS are there.
	st, err := s.Call(r, in, done, prompt)
	// Without a stream nothing came from a server: the record has an end and no
	// header.
	if err != nil {
		if rec != nil {
			rec.end(begun)
		}
		return nil, localError(ctx, err)
	}
	if rec == nil && st.Succeeded() { // whose trailer is read where it is looked for
		return st, nil
	}
	status, err := st.Status()
	if err != nil {
		err = Errorf(CodeInternal, "the server's %v", err)
	} else {
		err = errorOf(&status, spec)
	}
	// The record is complete before the error is returned: a caller reads trailers of
	// failed calls too.
	if rec != nil {
		if err == nil {
			rec.responded(begun)
		}
		bad := rec.setHeader(st.Header())
		if bad == nil {
			bad = rec.setTrailer(status.Trailer)
		}
		if bad != nil {
			err = bad
		}
		rec.end(begun)
	}
	if err != nil {
		st.Release()
		return nil, err
	}
	return st, nil
}

// callRaw is the short cut of [CallRaw].
func (c *Conn) callRaw(ctx context.Context, procedure string, in []byte) ([]byte, error) {
	rec, opts := callOptions(ctx)
	spec := Spec{Procedure: procedure}
	st, err := c.call(ctx, &spec, rec, opts, in)
	if err != nil {
		return nil, err
	}
	out, err := st.RecvOwned()
	st.Release()
	if err != nil {
		return nil, noResponse(err)
	}
	return out, nil
}

// callUnary is the short cut of [Client.Unary].
func (c *Conn) callUnary(ctx context.Context, spec *Spec, req, res any) error {
	rec, opts := callOptions(ctx)
	enc, err := encodingOf(spec, opts)
	if err == nil {
		err = checkEncoding(spec, enc)
	}
	if err != nil {
		return err
	}
	ctx, cancel := withTimeout(ctx, spec)
	if cancel != nil {
		defer cancel()
	}
	// The buffer is free again when the call returns: the session has sent what is in it
	// by then, or has given it up.
	b := getBuffer()
	limits := callLimits(spec, opts)
	if b.b, err = appendMessage(b.b, spec, &spec.Request, enc, req, &limits); err != nil {
		b.put()
		return Errorf(CodeInvalidArgument, "request: %v", err).WithCause(err)
	}
	st, err := c.call(ctx, spec, rec, opts, b.b)
	b.put()
	if err != nil {
		return err
	}
	defer st.Release()
	p, err := st.Recv(nil)
	if err != nil {
		return noResponse(err)
	}
	return decodeResponse(spec, enc, p, res, opts)
}

// decodeResponse decodes the response p into res.
func decodeResponse(spec *Spec, enc codegen.Encoding, p []byte, res any, opts *CallOptions) error {
	_, err := decodeMessage(&spec.Response, enc, p, res, into, mergedLimits(spec.Limits, opts.DecodeLimits))
	if err != nil {
		err = badResponse(err, spec, len(p), opts)
	}
	return err
}

// badResponse returns the error of a response of n bytes that cannot be decoded: the
// server's fault.
func badResponse(err error, spec *Spec, n int, opts *CallOptions) error {
	err = callLimits(spec, opts).named(err, n)
	return Errorf(CodeInternal, "response: %v", err).WithCause(err)
}

// noResponse returns the error of a call that ended, without an error, before its
// response.
func noResponse(err error) error {
	if err == io.EOF {
		return NewError(CodeInternal, "the call ended without a response")
	}
	return localError(context.Background(), err)
}
