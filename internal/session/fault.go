package session

import (
	"errors"
	"fmt"

	"github.com/rpcnet-go/rpcnet/internal/wire"
)

// gRPC's numbers of the codes that a session uses itself.
const (
	codeCanceled          = 1
	codeUnknown           = 2
	codeInvalidArgument   = 3
	codeDeadlineExceeded  = 4
	codeResourceExhausted = 8
	codeInternal          = 13
	codeUnavailable       = 14
)

// A Fault is a failure that this side found, in the terms of a status.
type Fault struct {
	Code        byte
	Message     string
	Unprocessed bool  // no handler has seen the call
	Cause       error // local
}

// Error returns the message and the cause.
func (f *Fault) Error() string {
	if f.Cause != nil {
		return f.Message + ": " + f.Cause.Error()
	}
	return f.Message
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// lost is the fault of everything under way when the session ends.
func (s *Session) lost() error {
	return &Fault{Code: codeUnavailable, Message: "connection lost", Cause: s.Err()}
}

// unprocessed says of a fault that no handler has seen the call.
func unprocessed(err error) error {
	var f *Fault
	if errors.As(err, &f) {
		c := *f
		c.Unprocessed = true
		return &c
	}
	return err
}

// TooLarge returns the fault of a message of n bytes over a limit; setBy says
// what sets the limit.
func TooLarge(n, limit int, setBy string) error {
	return &Fault{Code: codeResourceExhausted, Message: fmt.Sprintf(
		"message of %d bytes is over the limit of %d bytes, which is set by %s", n, limit, setBy)}
}

// tooLarge is TooLarge for a message that is being received: n is what is known
// of it.
func tooLarge(n, limit int, setBy string) *Fault {
	return &Fault{Code: codeResourceExhausted, Message: fmt.Sprintf(
		"message of at least %d bytes is over the limit of %d bytes, which is set by %s", n, limit, setBy)}
}

var errDraining = &Fault{Code: codeUnavailable, Message: "the session is draining", Unprocessed: true}

// noMemory is the fault of what an account does not have, for err's reason.
func noMemory(err error) *Fault { return &Fault{Code: codeResourceExhausted, Message: err.Error()} }

var errParting = &Fault{Code: codeResourceExhausted,
	Message: "the session's unfinished messages are more than one session may hold: see rpcnet.WithMemoryBudget"}

func goAwayError(p []byte) error {
	if len(p) == 0 {
		return errors.New("GOAWAY without a reason")
	}
	return fmt.Errorf("the peer said go away: %s", p[1:])
}

// statusOf encodes a fault as STATUS.
func statusOf(f *Fault) []byte {
	st := wire.Status{Code: f.Code, Message: f.Message, Unprocessed: f.Unprocessed}
	return st.Append(nil)
}
