package bad

import (
	"context"

	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/bad/120_internal_foreign/a"
)

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct{ A a.A }
type Resp struct{ B string }
