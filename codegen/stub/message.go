package stub

import (
	"context"
	"fmt"
	"io"
	"iter"
	"reflect"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// StructMessage returns the [codegen.Message] of a struct T with its codec.
//
// A message that is not a non-nil *T is an error of the program: of encoding if
// it is sent, Internal if it is received into.
func StructMessage[T any](enc func(cbor.Buffer, *T) (cbor.Buffer, error), dec func(*cbor.Decoder, *T), json codegen.Transcoder) codegen.Message {
	// What a type may cost is computed once, when its first message is
	// sent.
	footprint := cbor.FootprintOf[T]()
	return codegen.Message{
		Fits:       footprint.Check,
		DecodeNew:  decodeNew(footprint, dec),
		DecodeOver: decodeOver(footprint, dec),
		Append: func(dst []byte, msg any) ([]byte, error) {
			v, ok := msg.(*T)
			if !ok || v == nil {
				return dst, fmt.Errorf("message is %T, want a non-nil %T", msg, v)
			}
			return enc(dst, v)
		},
		Decode: func(d *cbor.Decoder, msg any) {
			v, ok := msg.(*T)
			if !ok || v == nil {
				failInto(d, msg, v)
				return
			}
			// A decoder fills in what comes: what is left of a
			// message before must not show through.
			var zero T
			*v = zero
			dec(d, v)
		},
		JSON: json,
	}
}

// UnionMessage returns the [codegen.Message] of a union U, an interface, with its
// codec.
//
// A message is sent as a variant, and received into a *U. Its variants, but for
// unknown ones, were registered with cbor.RegisterVariants.
func UnionMessage[U any](enc func(cbor.Buffer, U) (cbor.Buffer, error), dec func(*cbor.Decoder, *U), json codegen.Transcoder) codegen.Message {
	footprint := cbor.FootprintOf[U]()
	return codegen.Message{
		Fits: footprint.Check,
		Append: func(dst []byte, msg any) ([]byte, error) {
			u, ok := msg.(U)
			if !ok {
				return dst, fmt.Errorf("message is %T, want a non-nil variant of %v", msg, reflect.TypeFor[U]())
			}
			return enc(dst, u)
		},
		Decode: func(d *cbor.Decoder, msg any) {
			u, ok := msg.(*U)
			if !ok || u == nil {
				failInto(d, msg, u)
				return
			}
			var zero U
			*u = zero
			dec(d, u)
		},
		JSON: json,
	}
}

// failInto records that a message, which goes into a want, was to go into msg.
func failInto(d *cbor.Decoder, msg, want any) {
	d.Fail(rpcnet.Errorf(rpcnet.CodeInternal, "message goes into %T, want a non-nil %T", msg, want))
}

// HandleUnary returns the handler of a method with one request and one
// response.
//
// next receives the request. The handler has the call's context.
func HandleUnary[Q, R any](f func(context.Context, Q) (R, error), next newMessage[Q]) rpcnet.ServerFunc {
	return func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		req, err := recvRequest(s, next)
		if err != nil {
			return err
		}
		res, err := f(ctx, req)
		if err != nil {
			return err
		}
		return sendResponse(s, res)
	}
}

// HandleServerStream returns the handler of a method with one request and many
// responses.
func HandleServerStream[Q, R any](f func(context.Context, Q) iter.Seq2[R, error], next newMessage[Q]) rpcnet.ServerFunc {
	return func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		req, err := recvRequest(s, next)
		if err != nil {
			return err
		}
		return sendAll(f(ctx, req), s)
	}
}

// HandleClientStream returns the handler of a method with many requests and one
// response.
func HandleClientStream[Q, R any](f func(context.Context, iter.Seq2[Q, error]) (R, error), next newMessage[Q]) rpcnet.ServerFunc {
	return func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		res, err := f(ctx, receiveAll(receiverOf(s), next))
		if err != nil {
			return err
		}
		return sendResponse(s, res)
	}
}

// HandleBidi returns the handler of a method that streams both ways.
func HandleBidi[Q, R any](f func(context.Context, iter.Seq2[Q, error]) iter.Seq2[R, error], next newMessage[Q]) rpcnet.ServerFunc {
	return func(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		return sendAll(f(ctx, receiveAll(receiverOf(s), next)), s)
	}
}

// sendResponse sends the single response of a call.
//
// A handler that returns neither a response nor an error is a mistake of the
// program, which the error says.
func sendResponse(s rpcnet.ServerStream, res any) error {
	err := s.Send(res)
	if v := reflect.ValueOf(res); err != nil && (!v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()) {
		return rpcnet.NewError(rpcnet.CodeInternal, "the handler returned nil and no error: want a response or an error").WithCause(err)
	}
	return err
}

// recvRequest reads the single request of a call.
//
// The end without a request is an error here, while it is a clean one for a
// sequence.
func recvRequest[Q any](s rpcnet.ServerStream, next newMessage[Q]) (Q, error) {
	req, err := next(receiverOf(s))
	if err == io.EOF {
		err = rpcnet.NewError(rpcnet.CodeInvalidArgument, "the call came without a request")
	}
	return req, err
}
