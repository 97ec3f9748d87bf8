package rpcnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/loglimit"
	"github.com/rpcnet-go/rpcnet/internal/role"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// A dispatcher serves the streams of one session. A call passes through it so:
//
//	Procedure   the session asks what serves the call, and its limits
//	Serve       on a goroutine of the pool, or where frames are read if Inline:
//	              waits for a server, the caller's role, a ServerCall, the metadata
//	outer       interceptors of extensions, then those of the Server
//	handler     decodes with Recv and answers with Send, or takes and gives bytes
//	finish      the response, the trailer and the error become STATUS
//
// A panic on the way is an error of the call. A dispatcher is immutable, so it needs
// no lock.
type dispatcher struct {
	host  *host
	find  func(procedure string) *entry
	outer func(*entry) ServerFunc  // what it returns, if not nil, wraps the entry's function
	allow func(Peer, *entry) error // whether the peer has the entry's role; nil in process
	lines *loglimit.Limiter        // for servers without a logger of their own
	await func(deadline time.Time) // waits for a server that does not serve yet; nil in process
}

// Procedure implements [session.Handler].
func (d *dispatcher) Procedure(procedure string) session.ProcedureInfo {
	e := d.find(procedure)
	// The request of an unknown procedure is read as well, up to the default limit:
	// the session goes on after it.
	if e == nil {
		return session.ProcedureInfo{MaxReceive: codegen.DefaultMaxMessageSize, LimitSetBy: setByNothing}
	}
	return session.ProcedureInfo{Entry: e, MaxReceive: e.maxSize, LimitSetBy: e.sizeSetBy(), Inline: e.spec.Inline, Private: !e.spec.Shape.ServerStreams(), Pace: &e.pace}
}

// Serve implements [session.Handler]. The frames between here and a handler
// that waits stay on its stack for as long: they are kept small, and what they
// need at the end of the call is in functions of its own.
func (d *dispatcher) Serve(st *session.Stream) {
	e, _ := st.Entry.(*entry)
	if e == notServing {
		d.await(st.Deadline)
		e = d.find(st.Procedure)
	}
	if e == nil {
		refuseUnknown(st)
		return
	}
	if e.role != role.Client && d.allow != nil && !d.allowed(st, e) {
		return
	}
	// The role comes before the metadata is read, so that a refused caller costs no
	// more than its OPEN frame.
	outer := d.outer(e)
	c := d.begin(st, e)
	if len(st.Metadata) > 0 && !d.takeMetadata(c, st.Metadata) {
		return
	}
	// Without an interceptor of any kind, bytes need no stream around them.
	if e.raw != nil && outer == nil {
		d.serveRaw(c)
		return
	}
	if outer == nil {
		outer = e.handler
	}
	d.finish(c, nil, false, d.call(c, outer))
}

// refuseUnknown ends a call of a procedure that is not there. It is not marked as
// unprocessed: another server would not have it either.
func refuseUnknown(st *session.Stream) {
	s := wire.Status{Code: byte(CodeUnimplemented), Message: fmt.Sprintf("unknown procedure %q", st.Procedure)}
	st.Finish(nil, false, s.Append(nil))
}

// allowed reports whether the caller has the role that e wants. If not, it ends the call.
// It is not part of Serve: the copy of the peer would be on the handler's stack.
//
//go:noinline
func (d *dispatcher) allowed(st *session.Stream, e *entry) bool {
	err := d.allow(d.host.peer, e)
	if err != nil {
		s := wire.Status{Code: byte(CodePermissionDenied), Message: err.Error()}
		st.Finish(nil, false, s.Append(nil))
	}
	return err == nil
}

// smallMetadata is the size of metadata that counts as next to nothing: that of a ticket.
const smallMetadata = 80

// begin makes the ServerCall of a stream.
func (d *dispatcher) begin(st *session.Stream, e *entry) *ServerCall {
	var c *ServerCall
	if st.Pooled() && len(st.Metadata) <= smallMetadata {
		c = newServerCall()
	} else { // what it holds must not outlive it for the sake of another call
		c = new(ServerCall)
	}
	c.host, c.entry = d.host, e
	c.deadline, c.attempt, c.priority = st.Deadline, st.Attempt, st.Priority
	c.stream.st, c.stream.encoding, c.stream.whole = st, codegen.Encoding(st.Encoding), st.Pooled()
	// The session cancels the call from here on; it may have ended already.
	if cause := st.OnCancel((*callContext)(c)); cause != nil {
		c.cancel(cause)
	}
	// A call whose requests are all there ends by its handler; others wait in Recv,
	// and the session must wake them.
	if !c.deadline.IsZero() && !c.stream.whole {
		st.ExpireAt(c.deadline)
	}
	return c
}

// takeMetadata notes the metadata of the request. If it breaks the rules of a
// [Header] it ends the call and reports false.
func (d *dispatcher) takeMetadata(c *ServerCall, encoded []byte) bool {
	// Most often it is the ticket of a routed call alone, which breaks no rule: then it is
	// parsed if the handler asks for its header.
	if key, value, ok := wire.SingleMetadata(encoded); ok && len(encoded) <= smallMetadata && string(key) == ticketKey {
		c.ticket = value
		return true
	}
	h, err := parseHeader(encoded)
	if err != nil {
		d.finish(c, nil, false, Errorf(CodeInvalidArgument, "the request's %s", err.Message()))
		return false
	}
	c.header = h
	return true
}

// serveRaw runs the call of a raw handler that nothing is around.
func (d *dispatcher) serveRaw(c *ServerCall) {
	st, own := c.stream.st, !c.stream.whole
	out, err := d.callRaw(c, c.entry.raw)
	d.finish(c, out, err == nil, err)
	if own { // the response may be the request, so not before
		st.EndReceive()
	}
}

// callRaw runs a raw handler without a stream around it.
func (d *dispatcher) callRaw(c *ServerCall, h rawHandler) (out []byte, err error) {
	defer d.recovered(c, &err)
	if err := checkEncoding(c.entry.spec, c.stream.encoding); err != nil {
		return nil, err
	}
	in, err := c.stream.st.Recv(nil)
	if err != nil {
		return nil, noRequest(localError((*callContext)(c), err))
	}
	out, err = h((*callContext)(c), in)
	if n := len(out); err == nil && n > c.entry.maxSize {
		err = localError(context.Background(), session.TooLarge(n, c.entry.maxSize, c.entry.sizeSetBy()))
	}
	return out, err
}

// call runs a handler, with the interceptors around it. It checks the encoding first,
// so that neither of them sees a call that the procedure cannot decode.
func (d *dispatcher) call(c *ServerCall, h ServerFunc) (err error) {
	defer d.recovered(c, &err)
	if err = checkEncoding(c.entry.spec, c.stream.encoding); err != nil {
		return err
	}
	return h((*callContext)(c), c.entry.spec, (*callStream)(c))
}

// recovered turns a panic of a handler into an error, with one log line.
func (d *dispatcher) recovered(c *ServerCall, err *error) {
	if r := recover(); r != nil {
		d.logPanic(c, "handler panicked", r)
		*err = NewError(CodeInternal, "the handler panicked")
	}
}

// A stack is the text of a goroutine's stack. It is a type of its own so that the
// limiter of log lines does not cut it, as it cuts texts of a peer.
type stack string

// logPanic logs a panic in what the program has given, with its stack.
func (d *dispatcher) logPanic(c *ServerCall, what string, r any) {
	procedure := c.entry.spec.Procedure
	c.entry.server.limiter(d.lines).Log(slog.LevelError, "panic "+procedure, what, "procedure", procedure,
		"peer", c.host.peer.ID, "panic", fmt.Sprint(r), "stack", stack(debug.Stack()))
}

// statusOf turns a handler's error into what travels. The methods of the error
// are the handler's code as well: one that panics, as those of a nil pointer
// do, costs its call and no more.
func (d *dispatcher) statusOf(c *ServerCall, err error) (s wire.Status) {
	defer func() {
		if r := recover(); r != nil {
			d.logPanic(c, fmt.Sprintf("handler returned a %T that panics", err), r)
			s = wire.Status{Code: byte(CodeInternal), Message: "the handler returned an error that panics"}
		}
	}()
	server := c.entry.server
	s, hidden := statusOf(err, c.entry.spec, server.cfg.ErrorText)
	// A response that cannot be encoded is a mistake in the handler: say so here as
	// well, since its caller can do nothing about it.
	var bad *unsendable
	if errors.As(err, &bad) {
		procedure := c.entry.spec.Procedure
		server.limiter(d.lines).Log(slog.LevelError, "unsendable "+procedure, "handler gave a response that cannot be sent",
			"procedure", procedure, "peer", c.host.peer.ID, "err", err)
	}
	if hidden != nil {
		procedure := c.entry.spec.Procedure
		server.limiter(d.lines).Log(slog.LevelWarn, "failed "+procedure, "handler failed; its caller sees no text",
			"procedure", procedure, "peer", c.host.peer.ID, "err", hidden)
	}
	return s
}

// statusOf turns a handler's error into what travels. hidden is the error whose
// text stays behind, if any, for the log.
func statusOf(err error, spec *Spec, showText bool) (st wire.Status, hidden error) {
	var variant *wire.Detail
	if spec.Errors != nil {
		if data, ok := spec.Errors.Append(nil, err); ok {
			variant = &wire.Detail{Name: spec.Errors.Name, Data: data}
			st.Details = append(st.Details, *variant)
		}
	}
	// An error that came from another server does not pass as this one's: its code says
	// what went wrong there, and its text is not meant for this caller.
	var e *Error
	switch isError := errors.As(err, &e); {
	case isError && !e.remote:
		st.Code, st.Message, st.Unprocessed = byte(e.code), e.message, e.unprocessed
		for _, d := range e.details {
			var raw *codegen.Detail
			if errors.As(d, &raw) {
				st.Details = append(st.Details, wire.Detail{Name: raw.Name, Data: raw.Data})
			}
		}
	case variant != nil: // the text of the variant, not of what is wrapped around it
		st.Code = byte(CodeOf(err))
		if v := decodeVariant(spec.Errors, variant.Data); v != nil {
			st.Message = v.Error()
		}
	case !isError && errors.Is(err, context.Canceled):
		st.Code, st.Message = byte(CodeCanceled), "canceled"
	case !isError && errors.Is(err, context.DeadlineExceeded):
		st.Code, st.Message = byte(CodeDeadlineExceeded), "deadline exceeded"
	case showText:
		st.Code, st.Message = byte(CodeUnknown), err.Error()
	default:
		st.Code, st.Message = byte(CodeUnknown), "the handler failed"
		hidden = err
	}
	if st.Code == 0 { // no code is not success
		st.Code = byte(CodeUnknown)
	}
	return st, hidden
}

// finish ends a call with its outcome. Each call comes here once, on the goroutine that
// has run the handler. out counts only if has is true; an error takes its place.
func (d *dispatcher) finish(c *ServerCall, out []byte, has bool, err error) {
	// From here on the handler cannot reach the stream, which is used again.
	st, header, trailer, trailerErr := c.returned()
	if b := c.stream.response; b != nil {
		defer b.put()
		c.stream.response = nil
		out, has = b.b, err == nil
	} else if err == nil && !has && !c.entry.spec.Shape.ServerStreams() {
		err = NewError(CodeInternal, "the handler returned without a response")
	}
	if err == nil && trailerErr != nil {
		err = Errorf(CodeInternal, "trailer: %v", trailerErr)
		has = false
	}
	// A success without a trailer has no STATUS of its own: the end says it.
	var status []byte
	if err != nil || trailer != nil {
		var s wire.Status
		if err != nil {
			s = d.statusOf(c, err)
		}
		if trailerErr == nil {
			s.Trailer = trailer
		}
		status = s.Append(nil)
	}
	if b := c.stream.load; b != nil {
		defer b.put()
		c.stream.load = nil
		if err == nil && status == nil {
			n := len(b.b)
			b.b = wire.AppendSuccess(b.b, loadKey, b.b[:n])
			status = b.b[n:]
		}
	}
	if header != nil {
		st.SendHeader(wire.AppendMetadata(nil, header))
	}
	// The response and STATUS go out in one write.
	st.Finish(out, has, status)
	if inner := c.inner.Load(); inner != nil {
		inner.end(context.Canceled)
	}
}

// Unary calls without metadata are made a few at a time: handlers may keep
// their context, so that calls cannot be used again, but one allocation can
// serve many. Such a call holds next to nothing once it has ended, which counts
// because it stays as long as the longest of its neighbours.
type callSlab struct {
	calls [16]ServerCall
	used  int
}

// callSlabs has the slabs that have calls left.
var callSlabs = sync.Pool{New: func() any { return new(callSlab) }}

// newServerCall takes a call from a slab. The slab goes back to the pool while it
// has more, so one goroutine at a time takes from it.
func newServerCall() *ServerCall {
	s := callSlabs.Get().(*callSlab)
	c := &s.calls[s.used]
	if s.used++; s.used < len(s.calls) {
		callSlabs.Put(s)
	}
	return c
}
