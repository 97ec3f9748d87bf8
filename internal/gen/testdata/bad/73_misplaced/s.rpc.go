package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:service
	M(ctx context.Context, req *Req) (*Resp, error)
}

//rpcnet:route A
type Req struct{ A string }

//rpcnet:idempotent
type Resp struct{ B string }
