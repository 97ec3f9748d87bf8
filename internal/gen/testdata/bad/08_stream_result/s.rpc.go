package bad

import (
	"context"
	"iter"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (iter.Seq2[*Resp, error], error)
}

type Req struct{ A string }
type Resp struct{ B string }
