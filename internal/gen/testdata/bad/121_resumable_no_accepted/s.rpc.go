package bad

import (
	"context"
	"iter"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:resumable Seq accepted=Sofar
	M(ctx context.Context, req *Req) iter.Seq2[*Resp, error]
}

type Req struct {
	ResumeFrom uint64
	SoFar      []*Resp
}
type Resp struct{ Seq uint64 }
