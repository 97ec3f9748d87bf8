package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req)
}

type Req struct{ A string }
type Resp struct{ B string }
