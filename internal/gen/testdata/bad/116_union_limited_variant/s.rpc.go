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
type U interface{ isU() }

type Req struct{ A string }
