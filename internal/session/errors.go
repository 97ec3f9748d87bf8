package session

import (
	"errors"
	"fmt"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// An Error is a failure that this side found, in the terms of a status.
type Error struct {
	// Code is one of package wire's.
	Code byte
	// Message travels if the error becomes a STATUS.
	Message string
	// Unprocessed says that no handler has seen the call: it can be made again
	// anywhere.
	Unprocessed bool
	// Cause stays in this process.
	Cause error
}

// Error returns the message and the cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// ErrClosed is the reason of a session that this side closed.
var ErrClosed = errors.New("session closed")

// The causes a [Canceler] hears when the caller gave up: ErrExpired if it did so
// at the call's deadline, and when the deadline has passed here.
var (
	ErrCanceled error = errReset
	ErrExpired  error = errExpired
)

var (
	errReset    = &Error{Code: wire.CodeCanceled, Message: "the caller has gone"}
	errExpired  = &Error{Code: wire.CodeDeadlineExceeded, Message: "deadline exceeded"}
	errFinished = errors.New("the handler has returned")

	errDraining = &Error{Code: wire.CodeUnavailable, Message: "the session is draining", Unprocessed: true}
	errParting  = &Error{Code: wire.CodeResourceExhausted,
		Message: "the session's unfinished messages are more than one session may hold: see rpcnet.EndpointConfig.MemoryBudget"}
)

var (
	resetStatus = statusOf(&Error{Code: wire.CodeCanceled, Message: "canceled by the caller"})
	// brokenStatus stands for success after a part of a message.
	brokenStatus = statusOf(&Error{Code: wire.CodeInternal, Message: "the last response ends in its midst"})
	// lateStatus is the end of a call whose time is over, also of one whose
	// response found no room in time.
	lateStatus  = statusOf(errExpired)
	drainStatus = statusOf(&Error{Code: wire.CodeUnavailable, Message: "the server is draining", Unprocessed: true})
	exitStatus  = statusOf(&Error{Code: wire.CodeInternal, Message: "the handler ended its goroutine"})
)

// lost is the error of everything under way when a session ends because of cause.
func lost(cause error) error {
	return &Error{Code: wire.CodeUnavailable, Message: "connection lost", Cause: cause}
}

// unprocessed says of an error that no handler has seen the call. It changes a copy:
// most of them are shared.
func unprocessed(err error) error {
	var e *Error
	if errors.As(err, &e) {
		c := *e
		c.Unprocessed = true
		return &c
	}
	return err
}

// TooLarge returns the error of a message of n bytes over a limit; setBy says
// what sets the limit.
func TooLarge(n, limit int, setBy string) error {
	return &Error{Code: wire.CodeResourceExhausted, Message: fmt.Sprintf(
		"message of %d bytes is over the limit of %d bytes, which is set by %s", n, limit, setBy)}
}

// tooLarge is TooLarge for a message that is being received: n is what is known
// of it.
func tooLarge(n, limit int, setBy string) *Error {
	return &Error{Code: wire.CodeResourceExhausted, Message: fmt.Sprintf(
		"message of at least %d bytes is over the limit of %d bytes, which is set by %s", n, limit, setBy)}
}

// noMemory is the error of what an account does not have, for err's reason.
func noMemory(err error) *Error {
	return &Error{Code: wire.CodeResourceExhausted, Message: err.Error()}
}

// goAwayError is what the payload of a GOAWAY frame says. A frame has at most 1 KiB.
func goAwayError(p []byte) error {
	if len(p) == 0 {
		return errors.New("GOAWAY without a reason")
	}
	return fmt.Errorf("the peer said go away: %s", p[1:])
}

// statusOf encodes an error as STATUS.
func statusOf(e *Error) []byte {
	st := wire.Status{Code: e.Code, Message: e.Message, Unprocessed: e.Unprocessed}
	return st.Append(nil)
}
