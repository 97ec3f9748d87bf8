package rpcnet

import (
	"context"

	"github.com/rpcnet-go/rpcnet/codegen"
)

// A Transport carries calls to a server: a [*Conn], a whole cluster, the same
// process. It is safe for concurrent use.
//
// A transport that makes several attempts of a call, or chooses among servers, reads
// what the caller wants from [CallFrom], passes the context on, so that the record of
// the call stays the caller's, and numbers the attempts ([CallOptions].Attempt).
type Transport interface {
	// NewStream starts a call. The context is the call's: when it ends, so
	// does the call. Nothing is sent before the first Send, CloseSend
	// or Recv.
	NewStream(ctx context.Context, spec *Spec) (ClientStream, error)
}

// A ClientStream is the caller's side of one call. Send and CloseSend may run
// at the same time as Recv; neither with itself. Close is safe at any
// time from any goroutine. Every method returns when the call's context ends.
// The stream keeps no message after Send returns.
type ClientStream interface {
	// Send sends a request. It waits while the peer's window is full. io.EOF
	// says that the call has ended and Recv has the reason.
	Send(msg any) error
	// CloseSend says that no more requests follow. After it Send fails.
	CloseSend() error
	// Recv decodes the next response into msg, a pointer. io.EOF is the clean
	// end, an [*Error] any other; both are final.
	Recv(msg any) error
	// Close gives the call up if it has not ended; its handler's context is
	// cancelled. It is idempotent and never fails.
	Close() error
}

// A ServerStream is the handler's side of one call. Send may run at the same
// time as Recv; neither with itself. Both return when the call's context ends
// and must not be called after the handler returned. The stream keeps no
// message after Send returns.
type ServerStream interface {
	// Recv decodes the next request into msg, a pointer. io.EOF says that the
	// caller sends no more.
	Recv(msg any) error
	// Send sends a response. It waits while the caller's window is full.
	Send(msg any) error
}

type (
	// A ClientFunc starts a call. An interceptor of a [Client] is a function from
	// the next ClientFunc to another one, which is around every call, of any shape.
	ClientFunc func(ctx context.Context, spec *Spec) (ClientStream, error)
	// A ServerFunc serves a call. Its error is the call's outcome: an [*Error]
	// crosses with code, message and details, a declared error variant as
	// itself, any other error as CodeUnknown without its text.
	//
	// An interceptor of a [Server] is a function from the next ServerFunc to another
	// one, which is around every call, of any shape, before anything is decoded.
	ServerFunc func(ctx context.Context, spec *Spec, s ServerStream) error
)

// A Spec describes one procedure. Generated code makes one for each method; an
// interceptor reads it. It is immutable once used, and shared by all calls.
// Without a contract, a Procedure name and a Shape are enough: the messages are
// then bytes.
type Spec = codegen.Spec
