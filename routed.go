package rpcnet

import (
	"context"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/hook"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A routed is the short cut for unary calls of a transport of another package of this
// module, as a [unaryCaller].
type routed struct{ hook.UnaryTransport }

func (r routed) callUnary(ctx context.Context, spec *Spec, req, res any) error {
	return r.CallUnary(ctx, spec, req, res)
}

// shortcut returns the short cut for unary calls of a transport, nil if it has none.
func shortcut(t Transport) unaryCaller {
	if u, ok := t.(unaryCaller); ok {
		return u
	}
	if u := hook.UnaryShortcut(t); u != nil {
		return routed{u}
	}
	return nil
}

// A routedCall is a [hook.RoutedUnary].
type routedCall struct {
	spec    *Spec
	rec     *record
	opts    *CallOptions
	enc     codegen.Encoding
	request *buffer
	// metadata is the memory of that of each attempt.
	metadata []byte

	// Of the present attempt.
	ctx      context.Context
	cancel   context.CancelFunc // nil: ctx is the caller's
	on       *connected
	req      session.Request
	prompt   bool
	response *session.Stream // of an Exchange that has succeeded
}

// RoutedUnary returns a call of a transport that chooses a connection for each attempt.
func (bridge) RoutedUnary() hook.RoutedUnary[*Conn] { return new(routedCall) }

// Connected reports whether there is a connection.
func (bridge) Connected(c *Conn) bool { return c.current.Load() != nil }

// Begin encodes the request.
func (r *routedCall) Begin(ctx context.Context, spec *Spec, req any) error {
	r.spec = spec
	r.rec, r.opts = callOptions(ctx)
	enc, err := encodingOf(spec, r.opts)
	if err == nil {
		err = checkEncoding(spec, enc)
	}
	if err != nil {
		return err
	}
	r.enc, r.request = enc, getBuffer()
	limits := callLimits(spec, r.opts)
	r.request.b, err = appendMessage(r.request.b, spec, &spec.Request, enc, req, &limits)
	if err != nil {
		return Errorf(CodeInvalidArgument, "request: %v", err).WithCause(err)
	}
	return nil
}

// Open prepares an attempt on conn.
func (r *routedCall) Open(ctx context.Context, conn *Conn, ticket []byte, number int) error {
	r.over()
	if err := ctx.Err(); err != nil {
		return contextError(ctx)
	}
	var err error
	if r.on, err = conn.ready(ctx, conn.waits(r.opts)); err != nil {
		return err
	}
	r.ctx, r.cancel = withTimeout(ctx, r.spec)
	r.req = session.Request{}
	if r.prompt, err = request(r.ctx, &r.req, r.spec, r.opts); err != nil {
		return err
	}
	if r.opts.Attempt == 0 {
		r.req.Attempt = uint8(min(max(number, 0), 255))
	}
	if len(ticket) > 0 && len(r.opts.Ticket) == 0 {
		return r.addTicket(ticket)
	}
	return nil
}

// addTicket puts a ticket into the metadata of the attempt.
func (r *routedCall) addTicket(ticket []byte) error {
	if len(r.opts.Header) > 0 { // which can have the key of the ticket too
		opts := CallOptions{Header: r.opts.Header, Ticket: ticket}
		h := opts.metadata()
		if err := h.Validate(); err != nil {
			return err
		}
		r.req.Metadata = wire.AppendMetadata(nil, h)
		return nil
	}
	r.metadata = wire.AppendMetadataEntry(r.metadata[:0], ticketKey, ticket)
	r.req.Metadata = r.metadata
	return nil
}

// Exchange sends the request and decodes the response.
func (r *routedCall) Exchange(res any, giveUp *hook.Interrupt) error {
	st, err := r.send(giveUp)
	if err != nil {
		return err
	}
	r.response = st
	p, err := st.Recv(nil)
	if err != nil {
		return noResponse(err)
	}
	return decodeResponse(r.spec, r.enc, p, res, r.opts)
}

// send makes the attempt.
func (r *routedCall) send(giveUp *hook.Interrupt) (*session.Stream, error) {
	done := r.ctx.Done()
	if giveUp != nil {
		defer giveUp.Unfollow(giveUp.Follow(r.ctx))
		done = giveUp.Done()
	}
	return r.on.exchange(r.ctx, done, &r.req, r.prompt, r.spec, r.rec, r.request.b)
}

// Trailer returns a value that came with the end of the call.
func (r *routedCall) Trailer(key string) []byte {
	if r.response == nil {
		return nil
	}
	return r.response.Trailer(key)
}

// over ends an attempt.
func (r *routedCall) over() {
	if r.cancel != nil {
		r.cancel()
	}
	if r.response != nil {
		r.response.Release()
	}
	r.ctx, r.cancel, r.on, r.response = nil, nil, nil, nil
}

// End lets go of everything.
func (r *routedCall) End() {
	r.over()
	if r.request != nil {
		r.request.put()
	}
	*r = routedCall{metadata: r.metadata}
}
