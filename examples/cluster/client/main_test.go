package main

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/logging"
	"github.com/rpcnet-go/rpcnet/workers"
)

// worker answers the one prompt of a client with the events, then with err.
func worker(t *testing.T, err error, events ...contract.InferenceResponse) contract.Inference {
	return &contract.InferenceFuncs{GenerateFunc: func(_ context.Context, in iter.Seq2[*contract.InferenceRequest, error]) iter.Seq2[contract.InferenceResponse, error] {
		return func(yield func(contract.InferenceResponse, error) bool) {
			for req := range in {
				if req.Prompt != "hello" {
					t.Errorf("prompt %q", req.Prompt)
				}
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
			}
		}
	}}
}

func TestGenerateEndsAsTheStreamDoes(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	token := contract.Token{Text: "token-1", Sequence: 1}
	for _, c := range []struct {
		name   string
		worker contract.Inference
		want   string // of the error, "" for none
		says   string
	}{
		{"done", worker(t, nil, contract.Connected{Worker: "w"}, token, contract.Done{}), "", "✅ stream completed tokens=1"},
		{"error", worker(t, broken, token), "broken", "token-1"},
		{"refused prompt", worker(t, nil, contract.Error{Message: "too long"}), "too long", ""},
		{"cut short", worker(t, nil, token), "before the text", "token-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := generate(t.Context(), c.worker, &contract.InferenceRequest{Prompt: "hello"}, logger(&out))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("said %q, want %q", out.String(), c.says)
			}
		})
	}
}

func TestGenerateStopsWithoutAnErrorWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := generate(ctx, worker(t, context.Canceled), &contract.InferenceRequest{Prompt: "hello"}, logger(&out))
	if err != nil || !strings.Contains(out.String(), "👋 client stopped") {
		t.Errorf("error %v, said %q", err, out.String())
	}
}

func TestTheDirectorIsReachedOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	n := &narrator{log: logger(&out)}
	for range 2 {
		n.tell(t.Context(), workers.Event{Kind: workers.EventAssigned, Worker: "w"})
	}
	if got := strings.Count(out.String(), "✅ connected to director"); got != 1 {
		t.Errorf("said %d times: %q", got, out.String())
	}
	if got := strings.Count(out.String(), "🔀 director assigned worker"); got != 2 {
		t.Errorf("%d assignments: %q", got, out.String())
	}
}

func logger(out *bytes.Buffer) *slog.Logger {
	return logging.New(out, slog.LevelInfo)
}
