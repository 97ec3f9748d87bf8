package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ G *G[int] }
type G[T any] struct{ Next *G[[]T] }
type Resp struct{ B string }
