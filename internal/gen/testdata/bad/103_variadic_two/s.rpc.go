package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context) error
	N(req *Req) (*Resp, error)
	O(ctx context.Context, req *Req) (*Resp, *Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
