package kinds

import "context"

// Second shares messages with Kinds, and Third a file with Second.
//
//rpcnet:service
type Second interface {
	Count(ctx context.Context, req *Count) (*Tick, error)
}

// Third has a name of its own.
//
//rpcnet:service kinds.v1.Third
//rpcnet:errors Failure
type Third interface {
	Count(ctx context.Context, req *Nothing) (*Count, error)
}
