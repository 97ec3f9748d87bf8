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
	A int    `rpc:",max=5"`
	B string `rpc:",max=x"`
	C []byte `rpc:",key=0"`
	D string `rpc:",omitmpty"`
}
type Resp struct{ B string }
