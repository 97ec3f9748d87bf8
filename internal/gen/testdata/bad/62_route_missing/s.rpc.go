package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:route Bb
	M(ctx context.Context, req *Req) (*Resp, error)
	//rpcnet:route
	N(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
