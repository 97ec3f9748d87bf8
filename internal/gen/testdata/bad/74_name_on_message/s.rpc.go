package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

//rpcnet:name request
type Req struct{ A string }
type Resp struct{ B string }
