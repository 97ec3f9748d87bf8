package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

//rpcnet:union
type U interface{ isU() }
type Req struct{ U *U }
type V struct{}

func (V) isU() {}

type Resp struct{ B string }
