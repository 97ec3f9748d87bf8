package rpcnet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// ErrDraining is the cause, as [context.Cause] tells it, of a handler's context
// that was cancelled because a [Endpoint.Shutdown] ran out of time.
var ErrDraining = errors.New("rpcnet: draining")

// An Error is the outcome of a failed call: a code, a message and details that
// cross the wire, and a cause that does not. It is immutable; the With methods
// return copies.
type Error struct {
	code        Code
	message     string
	details     []error
	cause       error
	remote      bool
	unprocessed bool
}

// NewError returns an error whose code and message are sent to the peer. The
// message is cut at 4 KiB on the wire. The code's own name in front of the
// message, as the text of another [Error] has it, is dropped: the result names
// its code once.
func NewError(code Code, message string) *Error {
	name := code.String()
	if rest, ok := strings.CutPrefix(message, name); ok {
		if rest == "" {
			message = ""
		} else if rest, ok = strings.CutPrefix(rest, ": "); ok {
			message = rest
		}
	}
	return &Error{code: code, message: message}
}

// Errorf is [NewError] with a format. It wraps nothing, so that nothing is sent
// by accident: see [Error.WithCause]. An error among the arguments that has the
// same code is written without its code.
func Errorf(code Code, format string, args ...any) *Error {
	for i, a := range args {
		if err, ok := a.(error); ok && sameCode(err, code) {
			args = slices.Clone(args)
			args[i] = textFor(code, err)
		}
	}
	return NewError(code, fmt.Sprintf(format, args...))
}

// sameCode reports whether there is an [Error] with code in err's tree.
func sameCode(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e != nil && e.code == code
}

// textFor returns the text of err for an error with code, which it does not
// name again.
func textFor(code Code, err error) string {
	var e *Error
	if !errors.As(err, &e) || e == nil || e.code != code || e.message == "" {
		return err.Error()
	}
	return strings.Replace(err.Error(), e.Error(), e.message, 1)
}

// Code returns the status code.
func (e *Error) Code() Code { return e.code }

// Message returns the text without the code.
func (e *Error) Message() string { return e.message }

// Error returns "Code: message".
func (e *Error) Error() string {
	if e.message == "" {
		return e.code.String()
	}
	return e.code.String() + ": " + e.message
}

// Unwrap returns the details and the cause, for [errors.As] and [errors.Is].
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return e.details
	}
	return append(slices.Clip(e.details), e.cause)
}

// Is makes [errors.Is] find [context.Canceled] and [context.DeadlineExceeded] in
// errors with those codes, of this process and of the peer.
func (e *Error) Is(target error) bool {
	return target == context.Canceled && e.code == CodeCanceled ||
		target == context.DeadlineExceeded && e.code == CodeDeadlineExceeded
}

// WithCause returns a copy of e with a cause that stays in this process: it is
// for logs and for [errors.Is], and is never sent.
func (e *Error) WithCause(err error) *Error {
	c := *e
	c.cause = err
	return &c
}

// WithDetail returns a copy of e that carries d to the caller, where
// [errors.As] finds it. d is a variant of the error union the contract declares
// (rpcnet:errors), or a *codegen.Detail; anything else stays in this process. A detail
// is at most 64 KiB.
func (e *Error) WithDetail(d error) *Error {
	c := *e
	c.details = append(slices.Clip(e.details), d)
	return &c
}

// Remote reports whether the peer made the error. A handler that returns a
// remote error does not pass it on: its own caller sees CodeUnknown. Declared
// error variants do pass.
func (e *Error) Remote() bool { return e.remote }

// Unprocessed reports whether it is certain that no handler saw the call, so
// that another attempt is safe anywhere, also of a call with side effects. False says
// nothing: a server that refuses what the call itself is, because it knows
// neither the procedure nor the encoding (CodeUnimplemented), the metadata is
// malformed (CodeInvalidArgument) or the request is over the limit
// (CodeResourceExhausted), does not claim that another would take it.
func (e *Error) Unprocessed() bool { return e.unprocessed }

// WithUnprocessed returns a copy of e that says no handler saw the call. For
// interceptors that refuse before they call the next one, and for transports.
func (e *Error) WithUnprocessed() *Error {
	c := *e
	c.unprocessed = true
	return &c
}

// RetryAfter returns the time after which the side that refused the call expects to have
// room for it, 0 if it does not say. A worker that is full says how long its queue takes.
// It is an estimate: another server may do better at once. It is a minute at most,
// also if the peer says more.
func (e *Error) RetryAfter() time.Duration {
	for _, d := range e.details {
		if d, ok := d.(*codegen.Detail); ok && d.Name == retryDetail {
			ms, n := binary.Uvarint(d.Data)
			if n > 0 {
				return time.Duration(min(ms, uint64(maxRetryAfter/time.Millisecond))) * time.Millisecond
			}
		}
	}
	return 0
}

// WithRetryAfter returns a copy of e that says when to try again: in d, which is sent in
// milliseconds, rounded up, a minute at most. It is for what refuses calls under load,
// with [Error.WithUnprocessed] if no handler has seen them. A d that is not positive
// changes nothing.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	if d <= 0 {
		return e
	}
	ms := (min(d, maxRetryAfter) + time.Millisecond - 1) / time.Millisecond
	return e.WithDetail(&codegen.Detail{Name: retryDetail, Data: binary.AppendUvarint(nil, uint64(ms))})
}

// retryDetail is the name of the detail that says when to try again: milliseconds as a
// varint.
const retryDetail = "rpcnet.v1.RetryAfter"

// maxRetryAfter is the longest time that counts.
const maxRetryAfter = time.Minute

// CodeOf returns the code of the first [*Error] in err's tree; for an error
// with a method Code() Code that one's; [CodeCanceled] and
// [CodeDeadlineExceeded] for the context's errors; [CodeUnknown] for anything
// else. It returns 0 for nil.
func CodeOf(err error) Code {
	var e *Error
	var c interface {
		error
		Code() Code
	}
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &c):
		return c.Code()
	case errors.Is(err, context.Canceled):
		return CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadlineExceeded
	}
	return CodeUnknown
}

// A Code is the outcome of a call. Numbers and names are gRPC's canonical
// status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
type Code uint8

// The status codes. There is no code for success: a call that succeeds has no
// error.
const (
	// CodeCanceled: the caller gave the call up.
	CodeCanceled Code = wire.CodeCanceled
	// CodeUnknown: the handler failed with an error that says nothing else.
	CodeUnknown Code = wire.CodeUnknown
	// CodeInvalidArgument: the request is wrong in any state of the server.
	CodeInvalidArgument Code = wire.CodeInvalidArgument
	// CodeDeadlineExceeded: the deadline passed before the call ended.
	CodeDeadlineExceeded Code = wire.CodeDeadlineExceeded
	// CodeNotFound: something the request names does not exist.
	CodeNotFound Code = wire.CodeNotFound
	// CodeAlreadyExists: something the request wants to make exists already.
	CodeAlreadyExists Code = wire.CodeAlreadyExists
	// CodePermissionDenied: this caller may not do this.
	CodePermissionDenied Code = wire.CodePermissionDenied
	// CodeResourceExhausted: a limit, a quota or memory is used up.
	CodeResourceExhausted Code = wire.CodeResourceExhausted
	// CodeFailedPrecondition: the server is not in the state the call needs.
	CodeFailedPrecondition Code = wire.CodeFailedPrecondition
	// CodeAborted: a conflict with another call; try again from the start.
	CodeAborted Code = wire.CodeAborted
	// CodeOutOfRange: the request reaches past the valid range.
	CodeOutOfRange Code = wire.CodeOutOfRange
	// CodeUnimplemented: the server does not know the procedure or the encoding.
	// It is no reason to try elsewhere: see [Error.Unprocessed].
	CodeUnimplemented Code = wire.CodeUnimplemented
	// CodeInternal: something that must hold does not; a handler panicked.
	CodeInternal Code = wire.CodeInternal
	// CodeUnavailable: the server cannot be reached now; try again or elsewhere.
	CodeUnavailable Code = wire.CodeUnavailable
	// CodeDataLoss: data is lost for good.
	CodeDataLoss Code = wire.CodeDataLoss
	// CodeUnauthenticated: the caller has not proved who it is.
	CodeUnauthenticated Code = wire.CodeUnauthenticated
)

// codeNames are the names of the codes by their numbers.
var codeNames = [...]string{
	"OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
	"PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
	"Internal", "Unavailable", "DataLoss", "Unauthenticated",
}

// String returns the canonical name, such as "Unavailable", or "Code(99)".
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "Code(" + strconv.Itoa(int(c)) + ")"
}

// decodeVariant returns the variant of an error union, nil if data is none.
func decodeVariant(u *codegen.ErrorUnion, data []byte) error {
	var d cbor.Decoder
	d.Reset(data, cbor.Limits{})
	if v := u.Decode(&d); v != nil && d.Finish() == nil {
		return v
	}
	return nil
}

// errorOf turns a status that came from the peer into an error; nil for
// success.
func errorOf(st *wire.Status, spec *Spec) error {
	if st.Code == 0 {
		return nil
	}
	e := &Error{code: Code(st.Code), message: st.Message, remote: true, unprocessed: st.Unprocessed}
	switch e.code {
	case CodeCanceled:
		e.cause = context.Canceled
	case CodeDeadlineExceeded:
		e.cause = context.DeadlineExceeded
	}
	// A detail that the contract declares becomes its Go type again, any other one a
	// codegen.Detail.
	for _, d := range st.Details {
		if spec.Errors != nil && spec.Errors.Name == d.Name {
			if v := decodeVariant(spec.Errors, d.Data); v != nil {
				e.details = append(e.details, v)
				continue
			}
		}
		e.details = append(e.details, &codegen.Detail{Name: d.Name, Data: d.Data})
	}
	return e
}

// localError turns a failure of the session into an error of a call with
// context ctx.
func localError(ctx context.Context, err error) error {
	// The context counts first: when it has ended, the session's error is what that has
	// led to, and not the reason.
	if ctx.Err() != nil {
		e := contextError(ctx)
		if session.WasQueued(err) {
			e.message += " while waiting to begin: as many calls run as the peer allows on one connection, see its rpcnet.EndpointConfig.MaxConcurrentStreams"
		}
		return e
	}
	var f *session.Error
	if errors.As(err, &f) {
		e := &Error{code: Code(f.Code), message: f.Message, unprocessed: f.Unprocessed, cause: f.Cause}
		if f.Cause != nil {
			e.message += ": " + textFor(e.code, f.Cause)
		}
		return e
	}
	if session.IsInterrupted(err) { // the context has ended, whatever Err says now
		return NewError(CodeCanceled, "canceled").WithCause(context.Canceled)
	}
	return NewError(CodeInternal, err.Error()).WithCause(err)
}

// contextError is the error of a call whose context has ended.
func contextError(ctx context.Context) *Error {
	err, cause := ctx.Err(), context.Cause(ctx)
	code, text := CodeCanceled, "canceled by the caller"
	if errors.Is(err, context.DeadlineExceeded) {
		code, text = CodeDeadlineExceeded, "deadline exceeded"
	}
	// The cause says why the program has ended the context; the code stays that of the
	// context's error.
	if cause != nil && cause != err {
		text += ": " + textFor(code, cause)
		err = errors.Join(err, cause)
	}
	return &Error{code: code, message: text, cause: err}
}
