package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
)

func TestComputeHashesAsOftenAsItIsTold(t *testing.T) {
	t.Parallel()
	for rounds, hashes := range map[byte]int{0: 1, 1: 1, 2: 2, 5: 5} {
		in := []byte{0, 0, 0, rounds, 'x'}
		want := sha256.Sum256(in)
		for range hashes - 1 {
			want = sha256.Sum256(want[:])
		}
		if got, err := compute(t.Context(), in); err != nil || !bytes.Equal(got, want[:]) {
			t.Errorf("%d rounds: %x, %v, want %x", rounds, got, err, want)
		}
	}
}

func TestComputeRefusesTooLittleInputAndTooMuchWork(t *testing.T) {
	t.Parallel()
	for _, in := range [][]byte{nil, {0, 0, 1}, {0, 0x0f, 0x42, 0x41}} {
		if _, err := compute(t.Context(), in); rpcnet.CodeOf(err) != rpcnet.CodeInvalidArgument {
			t.Errorf("%x: error %v", in, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := compute(ctx, []byte{0, 0x0f, 0x42, 0x40}); !errors.Is(err, context.Canceled) {
		t.Errorf("a million rounds that nobody waits for: error %v", err)
	}
}

func prompts(reqs ...*contract.InferenceRequest) iter.Seq2[*contract.InferenceRequest, error] {
	return func(yield func(*contract.InferenceRequest, error) bool) {
		for _, r := range reqs {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func newInference() *inference {
	return &inference{&worker{label: "w", log: slog.New(slog.DiscardHandler), state: newState()}}
}

// tokens are n tokens of a prompt whose first has a sequence.
func tokens(first uint64, n int) (all []contract.InferenceResponse) {
	for i := range n {
		all = append(all, contract.Token{Text: fmt.Sprintf("token-%d", i+1), Sequence: first + uint64(i)})
	}
	return all
}

func TestGenerateAnswersEachPromptInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var got []contract.InferenceResponse
		in := prompts(
			&contract.InferenceRequest{ConnectionID: "1", MaxTokens: 3, TokenInterval: time.Second},
			&contract.InferenceRequest{ConnectionID: "2", MaxTokens: 1, ResumeFrom: 9}, // which counts in the first request alone
			&contract.InferenceRequest{ConnectionID: "3", MaxTokens: 2},
		)
		for res, err := range newInference().Generate(t.Context(), in) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, res)
		}
		want := slices.Concat(
			[]contract.InferenceResponse{contract.Connected{Worker: "w", ConnectionID: "1"}}, tokens(1, 3),
			[]contract.InferenceResponse{contract.Done{Sequence: 4}, contract.Connected{Worker: "w", ConnectionID: "2"}}, tokens(5, 1),
			[]contract.InferenceResponse{contract.Done{Sequence: 6}, contract.Connected{Worker: "w", ConnectionID: "3"}}, tokens(7, 2),
			[]contract.InferenceResponse{contract.Done{Sequence: 9}},
		)
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v, want 2s for two intervals", took)
		}
	})
}

func TestGenerateEndsWithWorkerFailedWhenTheWorkerFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newInference()
		go func() {
			time.Sleep(2500 * time.Millisecond)
			i.state.fail()
		}()
		tokens := 0
		for res, err := range i.Generate(t.Context(), prompts(&contract.InferenceRequest{TokenInterval: time.Second})) {
			if err != nil {
				var failed *contract.WorkerFailed
				if !errors.As(err, &failed) || failed.Worker != "w" {
					t.Errorf("error %v", err)
				}
			} else if _, ok := res.(contract.Token); ok {
				tokens++
			}
		}
		if tokens != 3 {
			t.Errorf("%d tokens before the failure, want 3", tokens)
		}
		select {
		case <-i.state.failure():
		default:
			t.Error("the worker has not failed")
		}
		i.state.recover()
		select {
		case <-i.state.failure():
			t.Error("the worker has not recovered")
		default:
		}
	})
}

func TestGenerateRefusesANegativeInterval(t *testing.T) {
	t.Parallel()
	for _, err := range newInference().Generate(t.Context(), prompts(&contract.InferenceRequest{TokenInterval: -1})) {
		var invalid *contract.InvalidRequest
		if !errors.As(err, &invalid) || invalid.Field != "TokenInterval" {
			t.Errorf("error %v", err)
		}
	}
}
