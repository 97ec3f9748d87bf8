package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct {
	a int `rpc:"a"`
	B int
}
type Resp struct{ B string }
