package bad

import (
	"context"
	"iter"
)

var _ context.Context

//rpcnet:service
type S interface {
	//rpcnet:resumable Seq accepted=SoFar
	M(ctx context.Context, req *Req) iter.Seq2[*Resp, error]
	//rpcnet:resumable Seq accepted=SoFar
	N(ctx context.Context, req *Other) iter.Seq2[U, error]
}

type Req struct {
	ResumeFrom uint64
	SoFar      []string
}
type Resp struct{ Seq uint64 }

type Other struct {
	ResumeFrom uint64
	SoFar      []B
}

//rpcnet:union
type U interface{ isU() }
type A struct{ Seq uint64 }
type B struct{ Text string }

func (A) isU() {}
func (B) isU() {}
