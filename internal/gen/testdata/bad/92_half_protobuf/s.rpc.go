package bad

import (
	"context"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *wrapperspb.StringValue) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
