package rpcnet

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// This file is how calls run on a Conn: the short cuts for unary calls, and
// streams.

// promptWithin is how near a deadline must be for a call to be told of it at
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
		if opts.Encoding != codegen.EncodingCBOR {
			r.Encoding = byte(opts.Encoding)
		}
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
		r.Timeout, r.Deadline = uint64(max(left/time.Microsecond, 1)), d
		prompt = left < promptWithin
	}
	return prompt, nil
}

// withTimeout applies the procedure's default deadline.
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

// try is call, once.
func (c *Conn) try(ctx context.Context, spec *Spec, rec *record, opts *CallOptions, in []byte) (*session.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, contextError(ctx)
	}
	s, err := c.ready(ctx, c.waits(opts))
	if err != nil {
		return nil, err
	}
	var r session.Request
	prompt, err := request(ctx, &r, spec, opts)
	if err != nil {
		return nil, err
	}
	if len(in) > r.MaxReceive {
		return nil, localError(ctx, session.TooLarge(len(in), r.MaxReceive, r.LimitSetBy))
	}
	var begun time.Time
	if rec != nil {
		begun = rec.begin(s.peer)
	}
	st, err := s.Call(&r, in, ctx.Done(), prompt)
	if err != nil {
		if rec != nil {
			rec.end(begun)
		}
		return nil, localError(ctx, err)
	}
	status, err := st.Status()
	if err != nil {
		err = Errorf(CodeInternal, "the server's %v", err)
	} else {
		err = errorOf(&status, spec)
	}
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
	enc := spec.Request.Encoding
	if opts.Encoding != codegen.EncodingCBOR {
		enc = opts.Encoding
	}
	if err := checkEncoding(spec, enc); err != nil {
		return err
	}
	ctx, cancel := withTimeout(ctx, spec)
	if cancel != nil {
		defer cancel()
	}
	b := getBuffer()
	var err error
	if b.b, err = appendMessage(b.b, spec, &spec.Request, enc, req, callLimits(spec, opts)); err != nil {
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

func decodeResponse(spec *Spec, enc codegen.Encoding, p []byte, res any, opts *CallOptions) error {
	if err := decodeMessage(spec, &spec.Response, enc, p, res, callLimits(spec, opts)); err != nil {
		return Errorf(CodeInternal, "response: %v", err).WithCause(err)
	}
	return nil
}

func noResponse(err error) error {
	if err == io.EOF {
		return NewError(CodeInternal, "the call ended without a response")
	}
	return localError(context.Background(), err)
}

// NewStream implements [Transport].
func (c *Conn) NewStream(ctx context.Context, spec *Spec) (ClientStream, error) {
	rec, opts := callOptions(ctx)
	cs, err := c.newStream(ctx, spec, rec, opts)
	for pause := firstRetry; c.waits(opts) && refused(err) && c.pause(ctx, &pause); {
		cs, err = c.newStream(ctx, spec, rec, opts)
	}
	if err != nil {
		return nil, err // cs would be a nil in a ClientStream
	}
	return cs, nil
}

func (c *Conn) newStream(ctx context.Context, spec *Spec, rec *record, opts *CallOptions) (*clientStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, contextError(ctx)
	}
	s, err := c.ready(ctx, c.waits(opts))
	if err != nil {
		return nil, err
	}
	ctx, cancel := withTimeout(ctx, spec)
	cs := &clientStream{ctx: ctx, spec: spec, opts: opts, rec: rec, cancel: cancel}
	var r session.Request
	if _, err = request(ctx, &r, spec, opts); err == nil {
		cs.encoding, cs.maxSize = codegen.Encoding(r.Encoding), r.MaxReceive
		err = checkEncoding(spec, cs.encoding)
	}
	if err == nil {
		if cs.st, err = s.NewStream(&r, ctx.Done()); err != nil {
			err = localError(ctx, err)
		}
	}
	if err != nil {
		if cancel != nil {
			cancel()
		}
		return nil, err
	}
	if rec != nil {
		cs.begun = rec.begin(s.peer)
	}
	if ctx.Done() != nil {
		cs.unwatch = context.AfterFunc(ctx, func() { cs.st.Abandon(giveUpCode(ctx), session.Interrupted()) })
	}
	return cs, nil
}

// A clientStream is the ClientStream of a Conn.
type clientStream struct {
	st       *session.Stream
	ctx      context.Context
	spec     *Spec
	opts     *CallOptions
	rec      *record
	encoding codegen.Encoding
	maxSize  int
	begun    time.Time
	cancel   context.CancelFunc // nil: ctx is the caller's
	unwatch  func() bool        // nil: ctx never ends

	received bool   // Recv has had its first message; Recv's own
	final    error  // of Recv; Recv's own
	trailer  Header // as it came, not validated; Recv's own
	endOnce  sync.Once
}

// Send implements [ClientStream].
func (c *clientStream) Send(msg any) error {
	b := getBuffer()
	defer b.put()
	var err error
	if b.b, err = appendMessage(b.b, c.spec, &c.spec.Request, c.encoding, msg, callLimits(c.spec, c.opts)); err != nil {
		return Errorf(CodeInvalidArgument, "request: %v", err).WithCause(err)
	}
	if n := len(b.b); n > c.maxSize {
		return localError(c.ctx, session.TooLarge(n, c.maxSize, sizeSetBy(c.spec, c.opts)))
	}
	return c.sendError(c.st.Send(b.b, !c.spec.Shape.ClientStreams(), nil))
}

// sendError turns an error of sending into the caller's.
func (c *clientStream) sendError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return localError(c.ctx, err)
}

// CloseSend implements [ClientStream].
func (c *clientStream) CloseSend() error { return c.sendError(c.st.CloseSend()) }

// Recv implements [ClientStream].
func (c *clientStream) Recv(msg any) error {
	if c.final != nil {
		return c.final
	}
	err := c.st.Open()
	var p []byte
	if err == nil {
		p, err = c.st.Recv(nil)
	}
	var bad error
	if !c.received && c.rec != nil {
		c.received = true
		if err == nil {
			c.rec.responded(c.begun)
		}
		bad = c.rec.setHeader(c.st.Header())
	}
	switch {
	case bad != nil:
		c.giveUp(bad)
	case err == nil:
		if err := decodeResponse(c.spec, c.encoding, p, msg, c.opts); err != nil {
			c.giveUp(err)
		}
	case err == io.EOF:
		c.end(c.outcome())
	default:
		c.st.Abandon(giveUpCode(c.ctx), err)
		c.end(localError(c.ctx, err))
	}
	return c.final
}

// outcome returns how the server ended the call: io.EOF is success.
func (c *clientStream) outcome() error {
	status, err := c.st.Status()
	if err != nil {
		return Errorf(CodeInternal, "the server's %v", err)
	}
	c.trailer = status.Trailer
	if c.rec != nil {
		if err := c.rec.setTrailer(status.Trailer); err != nil {
			return err
		}
	}
	if err := errorOf(&status, c.spec); err != nil {
		return err
	}
	return io.EOF
}

// Trailer returns the metadata that came with the end of the call, once Recv has
// returned it. Transports read it where the caller may keep no record. It is not
// validated. It must not run at the same time as Recv.
func (c *clientStream) Trailer() Header { return c.trailer }

// giveUp ends a call whose server does not keep to the rules.
func (c *clientStream) giveUp(err error) {
	c.st.Abandon(giveUpCode(c.ctx), session.Interrupted())
	c.end(err)
}

// end notes the outcome.
func (c *clientStream) end(err error) {
	c.final = err
	c.endOnce.Do(c.finish)
}

func (c *clientStream) finish() {
	if c.unwatch != nil {
		c.unwatch()
	}
	if c.cancel != nil {
		c.cancel()
	}
	if c.rec != nil {
		c.rec.end(c.begun)
	}
}

// Close implements [ClientStream].
func (c *clientStream) Close() error {
	c.st.Abandon(giveUpCode(c.ctx), errClosed)
	c.endOnce.Do(c.finish)
	return nil
}

// giveUpCode is what a server is told when a call with context ctx is given up.
func giveUpCode(ctx context.Context) byte {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return byte(CodeDeadlineExceeded)
	}
	return byte(CodeCanceled)
}

var errClosed = &session.Error{Code: byte(CodeCanceled), Message: "the stream was closed"}
