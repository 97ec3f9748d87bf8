// Package platform has a contract that exists on some platforms only.
package platform

import "context"

// All exists everywhere, and sends a message that Unix sends as well.
//
//rpcnet:service
type All interface {
	Get(ctx context.Context, req *Both) (*Both, error)
}

// Both is in two contracts.
type Both struct{ b, X int }
