// Package rpcnet has names that generated code would like to use itself.
package rpcnet

import (
	"context"
	b "time"

	v "github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/names/d"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/names/x"
)

// Errors is a service whose name is a word.
//
//rpcnet:service
type Errors interface {
	Iter(ctx context.Context, in *Cbor) (*v.T, error)
}

// Cbor is a message.
type Cbor struct {
	T v.T
	N []v.N
	M map[string]*v.T
	D b.Duration
	W cbor
	S []schema
	C *context_
	X x.T
}

type (
	cbor     struct{ A int }
	schema   int
	context_ struct{ iter, B int }
)

func errors()                 {}
func appendWireCBOR()         {}
func strconv(c *context_) int { return c.iter }

var _, _, _ = errors, appendWireCBOR, strconv
