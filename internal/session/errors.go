package session

import (
	"errors"
	"fmt"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// An Error is a failure that this side found, in the terms of a status.
type Error struct {
	Code        byte
	Message     string
	Unprocessed bool  // no handler has seen the call
	Cause       error // local
}

// Error returns the message and the cause.
func (f *Error) Error() string {
	if f.Cause != nil {
		return f.Message + ": " + f.Cause.Error()
	}
	return f.Message
}

// Unwrap returns the cause.
func (f *Error) Unwrap() error { return f.Cause }

// lost is the error of everything under way when the session ends.
func (s *Session) lost() error {
	return &Error{Code: wire.CodeUnavailable, Message: "connection lost", Cause: s.Err()}
}

// unprocessed says of an error that no handler has seen the call.
func unprocessed(err error) error {
	var f *Error
	if errors.As(err, &f) {
		c := *f
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

var errDraining = &Error{Code: wire.CodeUnavailable, Message: "the session is draining", Unprocessed: true}

// noMemory is the error of what an account does not have, for err's reason.
func noMemory(err error) *Error {
	return &Error{Code: wire.CodeResourceExhausted, Message: err.Error()}
}

var errParting = &Error{Code: wire.CodeResourceExhausted,
	Message: "the session's unfinished messages are more than one session may hold: see rpcnet.EndpointConfig.MemoryBudget"}

func goAwayError(p []byte) error {
	if len(p) == 0 {
		return errors.New("GOAWAY without a reason")
	}
	return fmt.Errorf("the peer said go away: %s", p[1:])
}

// statusOf encodes an error as STATUS.
func statusOf(f *Error) []byte {
	st := wire.Status{Code: f.Code, Message: f.Message, Unprocessed: f.Unprocessed}
	return st.Append(nil)
}
