package bad

import (
	"context"
	"iter"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:resumable Seq
	M(ctx context.Context, req *Req) iter.Seq2[U, error]
}

type Req struct{ ResumeFrom uint64 }

//rpcnet:union
type U interface{ isU() }
type A struct{ Sec uint64 }

func (A) isU() {}
