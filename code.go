package rpcnet

import (
	"strconv"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

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
	// CodeInvalidArgument: the request is wrong whatever the state of the server.
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
