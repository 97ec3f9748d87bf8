package contract

import (
	"context"
	"iter"
	"time"

	"github.com/rpcnet-go/rpcnet"
)

// Inference runs prompts on a worker.
//
//rpcnet:service inference.v1.Inference
//rpcnet:errors InferenceError
type Inference interface {
	// Generate answers prompts, one after the other: each with Connected, its
	// tokens and Done. Tokens and Done carry a sequence that runs on through all
	// prompts of the stream. A stream that broke continues at another worker, from
	// the sequence that the first request names. The worker skips prompts that were
	// answered before it.
	//
	//rpcnet:nosideeffects
	//rpcnet:resumable Sequence
	Generate(ctx context.Context, in iter.Seq2[*InferenceRequest, error]) iter.Seq2[InferenceResponse, error]
}

// InferenceRequest is one prompt.
type InferenceRequest struct {
	ConnectionID string
	Prompt       string
	// Seed chooses the words; 0: token n is "token-n".
	Seed uint64
	// MaxTokens ends the generation; 0: it is endless.
	MaxTokens uint64
	// TokenInterval is the pace.
	TokenInterval time.Duration
	// ResumeFrom is the first sequence of the stream to send; 0 and 1: all. It
	// counts in the first request alone. A client that resumes sets it by itself.
	ResumeFrom uint64
}

// InferenceResponse is one event of a generation.
//
//sumtype:decl
//rpcnet:union
type InferenceResponse interface{ isInferenceResponse() }

// Connected is the first event of each prompt, and comes again when another
// worker goes on with it.
type Connected struct {
	Worker       string
	ConnectionID string
}

// Token is a piece of text. The first of a stream has sequence 1.
type Token struct {
	Text     string
	Sequence uint64
}

// Error says, in place of Done, that a prompt cannot be answered; the stream
// lives.
type Error struct {
	Message  string
	Sequence uint64
}

// Done says that a prompt has been answered. Its sequence follows that of the
// prompt's last token.
type Done struct{ Sequence uint64 }

func (Connected) isInferenceResponse() {}
func (Token) isInferenceResponse()     {}
func (Error) isInferenceResponse()     {}
func (Done) isInferenceResponse()      {}

// InferenceError is what Generate fails with.
//
//rpcnet:errors
type InferenceError interface {
	error
	isInferenceError()
}

// WorkerFailed says that the worker cannot go on: try another one.
type WorkerFailed struct {
	Worker string
	Reason string
}

// InvalidRequest says that no worker would take the request.
type InvalidRequest struct {
	Field  string
	Reason string
}

func (e *WorkerFailed) Error() string   { return "worker " + e.Worker + " failed: " + e.Reason }
func (e *InvalidRequest) Error() string { return "invalid " + e.Field + ": " + e.Reason }

// Code says that another worker may do better: a resumable stream goes on there.
func (*WorkerFailed) Code() rpcnet.Code { return rpcnet.CodeUnavailable }

// Code says that no other worker would do better.
func (*InvalidRequest) Code() rpcnet.Code { return rpcnet.CodeInvalidArgument }

func (*WorkerFailed) isInferenceError()   {}
func (*InvalidRequest) isInferenceError() {}
