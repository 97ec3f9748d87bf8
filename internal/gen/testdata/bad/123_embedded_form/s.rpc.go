package bad

import (
	"context"
	"time"
)

//rpcnet:service
type S interface {
	M(ctx context.Context, req *Req) (*Resp, error)
}

type Req struct {
	time.Time
	Name string
}

type Resp struct {
	At []Stamp
	Ok Plain
}

type Stamp struct {
	*time.Time
	By string
}

// Plain is nothing but the time.
type Plain struct{ time.Time }
