// Package contract holds what the two versions of this example have in common:
// the work. Registry is the plumbing that only the version by hand needs.
package contract

import (
	"context"
	"iter"
)

//go:generate go tool rpcnet-gen

// Inference is the work of a worker.
//
//rpcnet:service swap.v1.Inference
type Inference interface {
	// Generate streams tokens.
	//
	//rpcnet:resumable Sequence
	Generate(ctx context.Context, req *GenerateRequest) iter.Seq2[*Token, error]
}

// GenerateRequest asks for tokens ResumeFrom to Last.
type GenerateRequest struct {
	ResumeFrom, Last uint64
	// IntervalMillis is the pace.
	IntervalMillis uint64
}

// Token is one token. The first has sequence 1.
type Token struct {
	Sequence uint64
	Text     string
	Worker   string
}
