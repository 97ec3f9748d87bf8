package rpcnet

import "strconv"

// A Code is the outcome of a call. Numbers and names are gRPC's canonical
// status codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
type Code uint8

// The status codes. There is no code for success: a call that succeeds has no
// error.
const (
	// CodeCanceled: the caller gave the call up.
	CodeCanceled Code = 1
	// CodeUnknown: the handler failed with an error that says nothing else.
	CodeUnknown Code = 2
	// CodeInvalidArgument: the request is wrong whatever the state of the server.
	CodeInvalidArgument Code = 3
	// CodeDeadlineExceeded: the deadline passed before the call ended.
	CodeDeadlineExceeded Code = 4
	// CodeNotFound: something the request names does not exist.
	CodeNotFound Code = 5
	// CodeAlreadyExists: something the request wants to make exists already.
	CodeAlreadyExists Code = 6
	// CodePermissionDenied: this caller may not do this.
	CodePermissionDenied Code = 7
	// CodeResourceExhausted: a limit, a quota or memory is used up.
	CodeResourceExhausted Code = 8
	// CodeFailedPrecondition: the server is not in the state the call needs.
	CodeFailedPrecondition Code = 9
	// CodeAborted: a conflict with another call; try again from the start.
	CodeAborted Code = 10
	// CodeOutOfRange: the request reaches past the valid range.
	CodeOutOfRange Code = 11
	// CodeUnimplemented: the server does not know the procedure or the encoding.
	// It is no reason to try elsewhere: see [Error.Unprocessed].
	CodeUnimplemented Code = 12
	// CodeInternal: something that must hold does not; a handler panicked.
	CodeInternal Code = 13
	// CodeUnavailable: the server cannot be reached now; try again or elsewhere.
	CodeUnavailable Code = 14
	// CodeDataLoss: data is lost for good.
	CodeDataLoss Code = 15
	// CodeUnauthenticated: the caller has not proved who it is.
	CodeUnauthenticated Code = 16
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
