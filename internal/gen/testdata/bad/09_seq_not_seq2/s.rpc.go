package bad

import (
	"context"
	"iter"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) iter.Seq[*Resp]
	N(ctx context.Context, in iter.Seq2[*Req, string]) (*Resp, error)
}

type Req struct{ A string }
type Resp struct{ B string }
