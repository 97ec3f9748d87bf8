package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:idempotent timeout=2
	M(ctx context.Context, req *Req) (*Resp, error)
	//rpcnet:limits timout=2s
	N(ctx context.Context, req *Req) (*Resp, error)
	//rpcnet:limits
	O(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
