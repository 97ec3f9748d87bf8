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

// Tree is a union that both contracts need, and contains itself. Unix sends it
// first, but it belongs to this file.
//
//rpcnet:union
type Tree interface{ isTree() }

// Leaf is a variant.
type Leaf struct{ Both Both }

// Branch is a variant.
type Branch struct{ Left, Right Tree }

func (Leaf) isTree()   {}
func (Branch) isTree() {}

//rpcnet:union
type hidden interface{ isHidden() }

// Something is a variant.
type Something struct{}

func (Something) isHidden() {}
