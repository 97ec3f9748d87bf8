package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
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
		var from, next uint64 // the first sequence to send, that of the prompt's first token
		for req, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			if next == 0 {
				from, next = max(req.ResumeFrom, 1), 1
			}
			done := next + req.MaxTokens // the sequence of Done
			if req.MaxTokens == 0 || done < next {
				done = math.MaxUint64 // it is endless
			}
			if from <= done && !i.answer(ctx, req, next, max(from, next), done, yield) {
				return
			}
			next = done + 1
		}
	}
}

// answer sends what a prompt is answered with from a sequence on: its tokens
// have those from first on, and Done that of done. It reports whether the stream
// goes on with the next prompt.
func (i *inference) answer(ctx context.Context, req *contract.InferenceRequest, first, from, done uint64, yield func(contract.InferenceResponse, error) bool) bool {
	i.log.Info("✅ received inference request from client (direct connection)", "connection", req.ConnectionID, "from", from)
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
	for seq := from; seq < done; seq++ {
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
		if !yield(contract.Token{Text: model.Token(req.Seed, seq-first+1), Sequence: seq}, nil) {
			return false
		}
	}
	return yield(contract.Done{Sequence: done}, nil)
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
