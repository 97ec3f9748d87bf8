package rpcnet

import (
	"context"
	"errors"

	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
	cbor "github.com/rpcnet-go/rpcnet/wire"
)

// statusOf turns a handler's error into what travels. hidden is the error whose
// text stays behind, if any, for the log.
func statusOf(err error, spec *Spec, showText bool) (st wire.Status, hidden error) {
	var details []wire.Detail
	if spec != nil && spec.Errors != nil {
		if data, ok := spec.Errors.Append(nil, err); ok {
			details = append(details, wire.Detail{Name: spec.Errors.Name, Data: data})
		}
	}
	var e *Error
	switch own := errors.As(err, &e) && !e.remote; {
	case own:
		for _, d := range e.details {
			var raw *Detail
			if errors.As(d, &raw) {
				details = append(details, wire.Detail{Name: raw.Name, Data: raw.Data})
			}
		}
		return wire.Status{Code: byte(e.code), Message: e.message, Details: details, Unprocessed: e.unprocessed}, nil
	case details != nil: // a declared variant: its text is meant for the caller
		code := codeOfVariant(err)
		return wire.Status{Code: byte(code), Message: err.Error(), Details: details}, nil
	case e == nil && errors.Is(err, context.Canceled):
		return wire.Status{Code: byte(CodeCanceled), Message: "canceled"}, nil
	case e == nil && errors.Is(err, context.DeadlineExceeded):
		return wire.Status{Code: byte(CodeDeadlineExceeded), Message: "deadline exceeded"}, nil
	case showText:
		return wire.Status{Code: byte(CodeUnknown), Message: err.Error()}, nil
	}
	return wire.Status{Code: byte(CodeUnknown), Message: "the handler failed"}, err
}

// codeOfVariant returns the code of a declared error variant: what its method
// Code() Code says, else CodeUnknown.
func codeOfVariant(err error) Code {
	var c interface {
		error
		Code() Code
	}
	for err != nil {
		if _, remote := err.(*Error); !remote && errors.As(err, &c) {
			if _, remote := c.(*Error); !remote {
				return c.Code()
			}
		}
		break
	}
	return CodeUnknown
}

// errorOf turns a status that came from the peer into an error; nil for
// success.
func errorOf(st *wire.Status, spec *Spec) error {
	if st.Code == 0 {
		return nil
	}
	e := &Error{code: Code(st.Code), message: st.Message, remote: true, unprocessed: st.Unprocessed}
	for _, d := range st.Details {
		if spec != nil && spec.Errors != nil && spec.Errors.Name == d.Name {
			var dec cbor.Decoder
			dec.Reset(d.Data, cbor.Limits{})
			if v := spec.Errors.Decode(&dec); v != nil && dec.Finish() == nil {
				e.details = append(e.details, v)
				continue
			}
		}
		e.details = append(e.details, &Detail{d.Name, d.Data})
	}
	return e
}

// localError turns a failure of the session into an error of a call with
// context ctx.
func localError(ctx context.Context, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return contextError(ctx)
	}
	var f *session.Fault
	if errors.As(err, &f) {
		e := &Error{code: Code(f.Code), message: f.Message, unprocessed: f.Unprocessed, cause: f.Cause}
		if f.Cause != nil {
			e.message += ": " + f.Cause.Error()
		}
		return e
	}
	if session.IsInterrupted(err) { // the context has ended, whatever Err says now
		return NewError(CodeCanceled, "canceled").WithCause(context.Canceled)
	}
	return NewError(CodeInternal, err.Error()).WithCause(err)
}

// contextError is the error of a call whose context has ended.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	code, text := CodeCanceled, "canceled by the caller"
	if errors.Is(err, context.DeadlineExceeded) {
		code, text = CodeDeadlineExceeded, "deadline exceeded"
	}
	if cause != nil && cause != err {
		text += ": " + cause.Error()
		err = errors.Join(err, cause)
	}
	return &Error{code: code, message: text, cause: err}
}
