package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:limits maxsize=4MB
	M(ctx context.Context, req *Req) (*Resp, error)
	//rpcnet:limits maxsize=2GiB
	N(ctx context.Context, req *Req) (*Resp, error)
	//rpcnet:limits maxsize=1 maxsize=2
	O(ctx context.Context, req *Req) (*Resp, error)
	//rpcnet:limits depth=0 budget=lots
	P(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
