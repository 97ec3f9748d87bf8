package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req U) (*Resp, error)
}

//rpcnet:union U
type U interface{ isU() }
type Req struct{ A string }

func (Req) isU() {}

type Resp struct{ B string }
