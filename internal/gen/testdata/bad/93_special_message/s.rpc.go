package bad

import (
	"context"
	"time"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *time.Time) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
