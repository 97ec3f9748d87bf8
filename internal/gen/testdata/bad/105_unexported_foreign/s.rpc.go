package bad

import (
	"context"

	"github.com/rpcnet-go/rpcnet/internal/gen/testdata/bad/105_unexported_foreign/other"
)

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct {
	Text other.Text
	Key  other.Key
	Elem other.Elem
	Ptr  other.Ptr
}

type Resp struct{ B string }
