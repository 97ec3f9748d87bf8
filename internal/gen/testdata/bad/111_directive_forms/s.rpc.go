package bad

import (
	"context"
)

var _ context.Context

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

// rpcnet:servce
//
// rpcnet: a plain comment may begin like this,
// rpcnet: service and name may come up, and so may
// rpcnet:latest, the name of an image
type (
	// rpcnet: union
	U interface{ isU() }
	//Rpcnet:errors
	E interface{ isE() }
)

//rpcnet:
//rpcnet: name
//rpcnet:nonsense
var _ = 0 //rpcnet:inline

type Req struct{ A string }
type Resp struct{ B string }
