package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req U) (*Resp, error)
}

//rpcnet:union
type U interface {
	isU()
	Size() int
}
type Req struct{ A string }

func (Req) isU()      {}
func (Req) Size() int { return 0 }

type Resp struct{ B string }
