package main

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/rpctest"
	"github.com/rpcnet-go/rpcnet/workers"
)

// sequence returns the place of an event in its stream, 0 if it has none.
func sequence(res contract.InferenceResponse) uint64 {
	switch res := res.(type) {
	case contract.Token:
		return res.Sequence
	case contract.Done:
		return res.Sequence
	}
	return 0
}

// threePrompts are prompts of 3, 40 and 2 tokens, and their answers but for
// Connected.
func threePrompts() (reqs []*contract.InferenceRequest, answers []contract.InferenceResponse) {
	return []*contract.InferenceRequest{
			{ConnectionID: "1", MaxTokens: 3},
			{ConnectionID: "2", MaxTokens: 40, TokenInterval: 2 * time.Millisecond},
			{ConnectionID: "3", MaxTokens: 2},
		}, slices.Concat(
			tokens(1, 3), []contract.InferenceResponse{contract.Done{Sequence: 4}},
			tokens(5, 40), []contract.InferenceResponse{contract.Done{Sequence: 45}},
			tokens(46, 2), []contract.InferenceResponse{contract.Done{Sequence: 48}},
		)
}

// A stream that goes on from any place has what is missing, and nothing of what
// was there before: no second Done of a prompt that was answered.
func TestAStreamOfPromptsGoesOnFromEveryPlace(t *testing.T) {
	t.Parallel()
	reqs, all := threePrompts()
	for from := range uint64(len(all) + 2) {
		first := *reqs[0]
		first.ResumeFrom = from
		in := prompts(&first, reqs[1], reqs[2])
		var got []contract.InferenceResponse
		for res, err := range newInference().Generate(t.Context(), in) {
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := res.(contract.Connected); !ok {
				got = append(got, res)
			}
		}
		if want := all[max(from, 1)-1:]; !slices.Equal(got, want) {
			t.Errorf("from %d: got %v, want %v", from, got, want)
		}
	}
}

// startWorker starts a worker of the cluster of seed, and returns what kills it.
func startWorker(t *testing.T, label string, seed *cluster.Node) (kill func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	srv := rpcnet.NewServer(nil)
	contract.RegisterInference(srv, &inference{&worker{label: label, log: log, state: newState()}})
	ep := rpctest.Serve(t, srv, nil)
	node, err := cluster.Join(t.Context(), ep, &cluster.Config{
		Name: label, Seeds: []string{seed.Self().Addr}, Tags: cluster.Tags{"role": "worker"}, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	if _, err := workers.NewWorker(node, &workers.WorkerConfig{Logger: log}); err != nil {
		t.Fatal(err)
	}
	return func() {
		ep.Close()
		node.Close()
	}
}

// Tokens of a later prompt come once each, whether the stream stays on one
// worker or its worker dies within any of the prompts.
func TestTokensOfLaterPromptsComeOnceEach(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	ep := rpctest.Listen(t, nil)
	node, err := cluster.Join(t.Context(), ep, &cluster.Config{Name: "balancer", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	registry, err := workers.NewRegistry(node, &workers.RegistryConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	client, err := workers.NewClient(registry, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	kill := map[string]func(){}
	for _, label := range []string{"worker-a", "worker-b", "worker-c", "worker-d"} {
		kill[label] = startWorker(t, label, node)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := registry.WaitReady(ctx, len(kill)); err != nil {
		t.Fatal(err)
	}
	for _, deadly := range []uint64{0, 2, 4, 20} { // the sequence with which the worker dies
		reqs, want := threePrompts()
		var got []contract.InferenceResponse
		serving := ""
		for res, err := range contract.NewInferenceClient(client).Generate(ctx, prompts(reqs...)) {
			if err != nil {
				t.Fatalf("the worker dies at %d: %v, after %v", deadly, err, got)
			}
			if c, ok := res.(contract.Connected); ok {
				serving = c.Worker
				continue
			}
			got = append(got, res)
			if deadly > 0 && sequence(res) == deadly {
				kill[serving]()
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the worker dies at %d: got %v, want %v", deadly, got, want)
		}
	}
}
