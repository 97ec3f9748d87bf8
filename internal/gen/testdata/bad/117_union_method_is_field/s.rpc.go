package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (U, error)
}

//rpcnet:union
type U interface {
	isU()
	Name()
}

type V struct{}

func (V) isU()  {}
func (V) Name() {}

type Req struct{ A string }
