package rpcnet

import (
	"errors"
	"fmt"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// This file says what sets a limit of a call, in the words of its errors.

const (
	setByMaxSize      = "maxsize= of the method (//rpcnet:limits)"
	setByMaxSizeHere  = "rpcnet.CallOptions.MaxMessageSize of the client or the call"
	setByMaxSizeThere = "rpcnet.WithMaxMessageSize of the server"
	setByNobody       = "rpcnet.DefaultMaxMessageSize, for a procedure that the server does not have"
	setByBudget       = "budget= of the method (//rpcnet:limits)"
	setByDepth        = "depth= of the method (//rpcnet:limits)"
	setByDecodeLimits = "rpcnet.WithDecodeLimits of a server, a client or a call"
)

// decodeLimits returns the limits of a procedure: its own where it has some,
// else those chosen, which may be nil.
func decodeLimits(spec *Spec, chosen *cbor.Limits) cbor.Limits {
	l := spec.Limits
	if chosen != nil && l.Depth == 0 {
		l.Depth = chosen.Depth
	}
	if chosen != nil && l.Budget == 0 {
		l.Budget = chosen.Budget
	}
	return l
}

// sendLimits returns what a message of n bytes is held to when it is sent: the
// limits of its procedure; else the peer's, which are not known, and so the
// wider of this side's, own, and the defaults.
func sendLimits(spec *Spec, own cbor.Limits, n int) cbor.Limits {
	var defaults cbor.Limits
	if spec.Limits.Depth == 0 && own.DepthLimit() < defaults.DepthLimit() {
		own.Depth = 0
	}
	if spec.Limits.Budget == 0 && own.BudgetFor(n) < defaults.BudgetFor(n) {
		own.Budget = 0
	}
	return own
}

// namedLimit says of an error of a message of n bytes what sets the limit that
// the message is over, if it is over one.
func namedLimit(err error, spec *Spec, l cbor.Limits, n int) error {
	setBy := setByDecodeLimits
	switch {
	case errors.Is(err, cbor.ErrBudget):
		if spec.Limits.Budget != 0 {
			setBy = setByBudget
		}
		return fmt.Errorf("%w; the limit is %d bytes, which is set by %s", err, l.BudgetFor(n), setBy)
	case errors.Is(err, cbor.ErrDepth):
		if spec.Limits.Depth != 0 {
			setBy = setByDepth
		}
		return fmt.Errorf("%w; the limit is %d levels, which is set by %s", err, l.DepthLimit(), setBy)
	}
	return err
}

// sizeSetBy says what sets the size of the messages of a call, as its caller
// sees it.
func sizeSetBy(spec *Spec, opts *CallOptions) string {
	if opts.MaxMessageSize == 0 && spec.MaxMessageSize != 0 {
		return setByMaxSize
	}
	return setByMaxSizeHere
}

// sizeSetBy says what sets the size of the messages of e.
func (e *entry) sizeSetBy() string {
	if e.spec.MaxMessageSize != 0 {
		return setByMaxSize
	}
	return setByMaxSizeThere
}
