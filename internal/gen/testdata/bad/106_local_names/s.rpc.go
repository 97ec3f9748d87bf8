package bad

import "context"

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct {
	D d
	X []x1
}
type Resp struct{}

type d int
type x1 struct{ A int }
