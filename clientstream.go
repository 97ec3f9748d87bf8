package rpcnet

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/session"
)

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

// newStream opens a stream once. Nothing is sent before the first Send, CloseSend or
// Recv.
func (c *Conn) newStream(ctx context.Context, spec *Spec, rec *record, opts *CallOptions) (*clientStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, contextError(ctx)
	}
	s, err := c.ready(ctx, c.waits(opts))
	if err != nil {
		return nil, err
	}
	// The procedure's own deadline counts from here, and covers the whole stream.
	ctx, cancel := withTimeout(ctx, spec)
	cs := &clientStream{ctx: ctx, spec: spec, opts: opts, rec: rec, cancel: cancel}
	var r session.Request
	// What is wrong with the call itself is found before the session has a stream for it.
	if _, err = request(ctx, &r, spec, opts); err == nil {
		cs.encoding, cs.maxSize = codegen.Encoding(r.Encoding), r.MaxReceive
		err = checkEncoding(spec, cs.encoding)
	}
	if err == nil {
		if cs.st, err = s.NewStream(&r, ctx.Done()); err != nil {
			err = localError(ctx, err)
		}
	}
	// Without a stream there is no finish that would cancel the context.
	if err != nil {
		if cancel != nil {
			cancel()
		}
		return nil, err
	}
	if rec != nil {
		cs.begun = rec.begin(s.peer)
	}
	// The end of the context ends the stream, also while no method runs.
	if ctx.Done() != nil {
		cs.unwatch = context.AfterFunc(ctx, func() { cs.st.Abandon(giveUpCode(ctx), session.Interrupted()) })
	}
	return cs, nil
}

// A clientStream is the ClientStream of a Conn.
//
// Send and Recv run on goroutines of the caller and share only what is set before the
// stream is handed out. Recv decides how the call has ended, and final keeps it:
// the first outcome stays. Close, and the end of the context,
// abandon the session's stream, which wakes both; finish lets go of the rest, once.
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

	received bool          // Recv has had its first message; Recv's own
	final    error         // of Recv; Recv's own
	trailer  Header        // as it came, not validated; Recv's own
	decoder  *cbor.Decoder // see decode; nil before the first message; Recv's own
	// endOnce runs finish, for Recv or for Close, which can be on another goroutine.
	endOnce sync.Once
}

// Send implements [ClientStream].
func (c *clientStream) Send(msg any) error {
	b := getBuffer()
	defer b.put()
	var err error
	limits := callLimits(c.spec, c.opts)
	if b.b, err = appendMessage(b.b, c.spec, &c.spec.Request, c.encoding, msg, &limits); err != nil {
		return Errorf(CodeInvalidArgument, "request: %v", err).WithCause(err)
	}
	// The stream goes on after a message that is too large: nothing of it was sent.
	if n := len(b.b); n > c.maxSize {
		return localError(c.ctx, session.TooLarge(n, c.maxSize, sizeSetBy(c.spec, c.opts)))
	}
	return c.sendError(c.st.Send(b.b, !c.spec.Shape.ClientStreams(), nil))
}

// sendError turns an error of sending into the caller's. io.EOF passes: the call has
// ended, and Recv has the reason.
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
	_, err := c.recv(msg, into)
	return err
}

// RecvOver implements [hook.MessageReceiver] for generated code, to which the concrete type
// says that there is no interceptor.
func (c *clientStream) RecvOver(msg any) error {
	_, err := c.recv(msg, over)
	return err
}

// RecvNew implements [hook.MessageReceiver].
func (c *clientStream) RecvNew() (msg any, err error) {
	if c.spec.Response.DecodeNew == nil {
		return nil, nil
	}
	return c.recv(nil, fresh)
}

// recv receives the next response into msg, or for fresh into a new message, which it
// returns.
func (c *clientStream) recv(msg any, to destination) (any, error) {
	if c.final != nil {
		return nil, c.final
	}
	err := c.st.Open()
	var p []byte
	if err == nil {
		p, err = c.st.Recv(nil)
	}
	// The header is there with the first response, or with the end.
	var bad error
	if !c.received && c.rec != nil {
		c.received = true
		if err == nil {
			c.rec.responded(c.begun)
		}
		bad = c.rec.setHeader(c.st.Header())
	}
	switch {
	// Metadata that breaks the rules is the server's fault, and ends the call.
	case bad != nil:
		c.giveUp(bad)
	case err == nil:
		if msg, err = c.decode(p, msg, to); err != nil {
			c.giveUp(badResponse(err, c.spec, len(p), c.opts))
		}
	// The responses have ended, and STATUS says whether that is a success.
	case err == io.EOF:
		c.end(c.outcome())
	// The session is gone, or the context has ended: the error says which.
	default:
		c.st.Abandon(giveUpCode(c.ctx), err)
		c.end(localError(c.ctx, err))
	}
	return msg, c.final
}

// decode is [decodeMessage] for a response, with a decoder of the stream: it keeps what
// RecvOver needs from one message to the next, and costs less than one of the pool for
// each. A stream of bytes has none.
func (c *clientStream) decode(p []byte, msg any, to destination) (any, error) {
	m := &c.spec.Response
	if isRaw(m) {
		return msg, decodeRaw(p, msg)
	}
	if c.decoder == nil {
		c.decoder = new(cbor.Decoder)
	}
	return decodeWith(c.decoder, m, c.encoding, p, msg, to, mergedLimits(c.spec.Limits, c.opts.DecodeLimits))
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

// finish lets go of what the call holds. It runs once.
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

// giveUpCode is the code that a server gets, in RESET, when a call with context ctx is
// given up.
func giveUpCode(ctx context.Context) byte {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return byte(CodeDeadlineExceeded)
	}
	return byte(CodeCanceled)
}

// errClosed is the error of a stream that the caller has closed. A Send or Recv that
// waits on another goroutine returns it.
var errClosed = &session.Error{Code: byte(CodeCanceled), Message: "the stream was closed"}
