package rpcnet

import (
	"context"
	"errors"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/session"
	"github.com/rpcnet-go/rpcnet/internal/wire"
)

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
	if cause != nil && cause != err {
		text += ": " + textFor(code, cause)
		err = errors.Join(err, cause)
	}
	return &Error{code: code, message: text, cause: err}
}
