package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:name a-b
	M(ctx context.Context, req *Req) (*Resp, error)
	//rpcnet:name
	N(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
