// Package echo is the contract of the comparison: the service of
// internal/echopb, as a Go interface.
package echo

import (
	"context"
	"iter"
	"time"
)

//go:generate go tool rpcnet-gen

// Echo sends back what it gets.
//
//rpcnet:service bench.Echo
type Echo interface {
	// Unary returns its request.
	Unary(ctx context.Context, req *Payload) (*Payload, error)
	// Feed sends messages of one size for some time.
	Feed(ctx context.Context, req *FeedRequest) iter.Seq2[*Payload, error]
	// Talk returns each message.
	Talk(ctx context.Context, in iter.Seq2[*Payload, error]) iter.Seq2[*Payload, error]
}

// Payload is a message.
type Payload struct{ Data []byte }

// FeedRequest says what Feed sends.
type FeedRequest struct {
	// Size of each message in bytes, at least 8.
	Size int64
	// Duration of the stream.
	Duration time.Duration
	// Interval between messages; 0: as fast as they go. A paced message begins
	// with the time it was sent.
	Interval time.Duration
}
