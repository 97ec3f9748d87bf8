package bad

import (
	"context"
	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/golden/shared"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ U shared.Event2 }
type Resp struct{ B string }
