package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req U) (*Resp, error)
}

//rpcnet:union
type U interface{ isU() }
type Req[T any] struct{ A T }
type Num int

func (Req[T]) isU() {}
func (Num) isU()    {}

type Resp struct{ B string }
