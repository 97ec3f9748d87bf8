package bad

import (
	"context"
	"iter"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:resumable Seq
	M(ctx context.Context, req *Req) iter.Seq2[*Resp, error]
}

type Req struct{ ResumeFrom uint64 }
type Resp struct{ Seq int64 }
