//go:build linux || darwin

package platform

import "context"

// Unix exists on some platforms.
//
//rpcnet:service
//rpcnet:errors Failure
type Unix interface {
	Get(ctx context.Context, req *Both) (*Both, error)
	Turn(ctx context.Context, req Tree) (Tree, error)
	Send(ctx context.Context, req *Branch) (*Package, error)
}

// Package has unions of both files.
type Package struct {
	Tree   Tree
	Hidden hidden
	Signal Signal
}

// Signal is a union of this file.
//
//rpcnet:union
type Signal interface{ isSignal() }

// Hangup is a variant.
type Hangup struct{ Tree Tree }

func (Hangup) isSignal() {}

// Failure is the errors of this file.
//
//rpcnet:errors
type Failure interface {
	error
	isFailure()
}

// Killed is a variant.
type Killed struct{ Signal Signal }

func (Killed) Error() string { return "killed" }
func (Killed) isFailure()    {}
