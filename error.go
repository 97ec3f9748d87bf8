package rpcnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
// errors with those codes, whoever made them.
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
// that it may be made again anywhere, whatever its side effects. False says
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
