package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req, c2 context.Context) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
