package bad

import (
	"context"
	"iter"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, in iter.Seq2[Req, error]) iter.Seq2[Resp, error]
}

type Req struct{ A string }
type Resp struct{ B string }
