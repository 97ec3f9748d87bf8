package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
//rpcnet:errors err
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

//rpcnet:errors
type err interface {
	error
	isErr()
}

type V struct{}

func (V) Error() string { return "" }
func (V) isErr()        {}

type Req struct{ A string }
type Resp struct{ B string }
