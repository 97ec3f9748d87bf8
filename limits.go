package rpcnet

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// This file says what sets a limit of a call, in the words of its errors.

// What may set a limit.
const (
	setByMaxSize      = "maxsize= of the method (//rpcnet:limits)"
	setByMaxSizeHere  = "rpcnet.CallOptions.MaxMessageSize of the client or the call"
	setByMaxSizeThere = "rpcnet.ServerConfig.MaxMessageSize of the server"
	setByNothing      = "the default for a procedure that the server does not have"
	setByBudget       = "budget= of the method (//rpcnet:limits)"
	setByDepth        = "depth= of the method (//rpcnet:limits)"
	setByCaller       = "rpcnet.CallOptions.DecodeLimits of the client or the call"
	setByServer       = "rpcnet.ServerConfig.DecodeLimits of the server"
)

// messageLimits are what decoding one message of a procedure may cost.
type messageLimits struct {
	cbor.Limits              // the procedure's own where it has some, else what setBy says
	own         *cbor.Limits // of the procedure
	setBy       string       // what sets those that the procedure leaves open
}

// callLimits returns the limits of a procedure for its caller.
func callLimits(spec *Spec, opts *CallOptions) messageLimits {
	return messageLimits{mergedLimits(spec.Limits, opts.DecodeLimits), &spec.Limits, setByCaller}
}

// serverLimits returns the limits of a procedure for its server.
func serverLimits(spec *Spec, cfg *ServerConfig) messageLimits {
	return messageLimits{mergedLimits(spec.Limits, cfg.DecodeLimits), &spec.Limits, setByServer}
}

// mergedLimits returns own where it is not zero, and chosen elsewhere.
func mergedLimits(own, chosen cbor.Limits) cbor.Limits {
	return cbor.Limits{Depth: cmp.Or(own.Depth, chosen.Depth), Budget: cmp.Or(own.Budget, chosen.Budget)}
}

// forSending returns what a message of n bytes is held to when it is sent: the
// limits of its procedure. Where it has none the peer's count, which are not
// known: then it is the wider of this side's and the defaults.
func (l messageLimits) forSending(n int) messageLimits {
	var defaults cbor.Limits
	if l.own.Depth == 0 && l.DepthLimit() < defaults.DepthLimit() {
		l.Depth = 0
	}
	if l.own.Budget == 0 && l.BudgetFor(n) < defaults.BudgetFor(n) {
		l.Budget = 0
	}
	return l
}

// named returns err, an error of a message of n bytes, with what sets the limit
// that the message is over, if it is over one.
func (l messageLimits) named(err error, n int) error {
	setBy := l.setBy
	switch {
	case errors.Is(err, cbor.ErrBudget):
		if l.own.Budget != 0 {
			setBy = setByBudget
		}
		return fmt.Errorf("%w; the limit is %d bytes, which is set by %s", err, l.BudgetFor(n), setBy)
	case errors.Is(err, cbor.ErrDepth):
		if l.own.Depth != 0 {
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
