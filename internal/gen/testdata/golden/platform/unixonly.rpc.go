//go:build linux || darwin

package platform

import "context"

// Unix exists on some platforms.
//
//rpcnet:service
type Unix interface {
	Get(ctx context.Context, req *Both) (*Both, error)
}
