package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:idempotent
	//rpcnet:nosideeffects
	M(ctx context.Context, req *Req) (*Resp, error)
	//rpcnet:inline
	//rpcnet:inline
	N(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
