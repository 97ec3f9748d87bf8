package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type d string

type Req struct{ A map[d]int }
type Resp struct{ B string }
