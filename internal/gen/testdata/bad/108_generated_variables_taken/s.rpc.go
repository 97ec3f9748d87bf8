package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
//rpcnet:errors Failure
type Inference interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

//rpcnet:errors
type Failure interface {
	error
	isFailure()
}

type V struct{}

func (V) Error() string { return "" }
func (V) isFailure()    {}

var inferenceErrors, inferenceSchema, inferenceMSpec int

func AppendFailureCBOR() {}
func DecodeFailureCBOR() {}

type Req struct{ A string }
type Resp struct{ B string }
