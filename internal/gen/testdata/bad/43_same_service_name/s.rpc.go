package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }

//rpcnet:service bad.S
type T interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}
