package bad

import (
	"context"
	"iter"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:resumable Seq from=Since
	M(ctx context.Context, req *Req) iter.Seq2[*Resp, error]
}

type Req struct{ Since int }
type Resp struct{ Seq uint64 }
