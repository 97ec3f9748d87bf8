package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:route A
	M(ctx context.Context, req U) (*Resp, error)
}

//rpcnet:union
type U interface{ isU() }
type Req struct{ A string }

func (Req) isU() {}

type Resp struct{ B string }
