package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
//rpcnet:errors SErorr
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }

//rpcnet:errors
type SError interface {
	error
	isS()
}
type Bad struct{}

func (Bad) Error() string { return "" }
func (Bad) isS()          {}
