package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type User interface {
	AdminGet(ctx context.Context, req *Req) (*Resp, error)
}

//rpcnet:service
type UserAdmin interface {
	Get(ctx context.Context, req *Req) (*Resp, error)
}

//rpcnet:service
type NewUser interface {
	Get(ctx context.Context, req *Req) (*Resp, error)
}

//rpcnet:union
type UserClient interface{ isUserClient() }
type V struct{}

func (V) isUserClient() {}

type Req struct{ A string }
type Resp struct{ B string }
