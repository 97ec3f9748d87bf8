package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/model"
)

// inference implements contract.Inference.
type inference struct{ *worker }

// Generate answers each prompt with Connected, its tokens and Done, one prompt
// after the other. When the worker fails, the stream ends with WorkerFailed.
func (i *inference) Generate(ctx context.Context, in iter.Seq2[*contract.InferenceRequest, error]) iter.Seq2[contract.InferenceResponse, error] {
	return func(yield func(contract.InferenceResponse, error) bool) {
		i.log.Info(fmt.Sprintf("🎬 [%s] Streaming handler invoked", i.label))
		for req, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			i.log.Info("✅ received inference request from client (direct connection)", "connection", req.ConnectionID, "from", max(req.ResumeFrom, 1))
			if !i.answer(ctx, req, yield) {
				return
			}
		}
	}
}

// answer reports whether the stream goes on with the next prompt.
func (i *inference) answer(ctx context.Context, req *contract.InferenceRequest, yield func(contract.InferenceResponse, error) bool) bool {
	if req.TokenInterval < 0 {
		yield(nil, &contract.InvalidRequest{Field: "TokenInterval", Reason: fmt.Sprintf("%v, want 0 or more", req.TokenInterval)})
		return false
	}
	if !yield(contract.Connected{Worker: i.label, ConnectionID: req.ConnectionID}, nil) {
		return false
	}
	failed := i.state.failure()
	pace := time.NewTimer(0)
	defer pace.Stop()
	for n := max(req.ResumeFrom, 1); req.MaxTokens == 0 || n <= req.MaxTokens; n++ {
		select {
		case <-pace.C:
			pace.Reset(req.TokenInterval)
		case <-failed:
			yield(nil, i.failure())
			return false
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return false
		}
		if !yield(contract.Token{Text: model.Token(req.Seed, n), Sequence: n}, nil) {
			return false
		}
	}
	return yield(contract.Done{}, nil)
}

// maxRounds bounds the work of one call of compute.
const maxRounds = 1_000_000

// compute returns the SHA-256 of in, hashed again and again, as often in all as
// the first 4 bytes of in say, big-endian; at least once.
func compute(ctx context.Context, in []byte) ([]byte, error) {
	if len(in) < 4 {
		return nil, rpcnet.Errorf(rpcnet.CodeInvalidArgument, "compute: %d bytes, want at least 4: how often to hash, big-endian", len(in))
	}
	rounds := binary.BigEndian.Uint32(in)
	if rounds > maxRounds {
		return nil, rpcnet.Errorf(rpcnet.CodeInvalidArgument, "compute: %d rounds, want at most %d", rounds, maxRounds)
	}
	sum := sha256.Sum256(in)
	for n := uint32(1); n < rounds; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		sum = sha256.Sum256(sum[:])
	}
	return sum[:], nil
}
