// Command client is the user of the cluster example: it asks the director for a
// worker, streams tokens directly from it, and goes on with the next token on
// another worker when that one fails. See "client -h".
//
//	DIRECTOR_ADDR=127.0.0.1:61000 go run ./examples/cluster/client
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/program"
	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/transcript"
	"github.com/rpcnet-go/rpcnet/workers"
)

func main() {
	p := program.New("client", "asks the director for a worker and streams tokens from it.", "the director to ask", "client")
	tokens := p.Vars.Uint("TOKENS", 100, 0, math.MaxInt64, "how many tokens to generate; 0 is without end")
	interval := p.Vars.Duration("TOKEN_INTERVAL", 200*time.Millisecond, 0, time.Minute, "the time between two of them")
	seed := p.Vars.Uint("SEED", 0, 0, math.MaxUint64, "what the text is drawn from; 0 numbers the tokens")
	selector := ""
	p.Vars.Func("SELECTOR", "", "which workers will do, by their tags, such as gpu=h100,zone in (a,b)", func(s string) error {
		selector = s
		_, err := cluster.ParseSelector(s)
		return err
	})
	p.Main(func(ctx context.Context, log *slog.Logger) error {
		log.Info(fmt.Sprintf("📡 Starting Client - connecting to director at %s", *p.DirectorAddr))
		creds, err := p.Credentials(log)
		if err != nil {
			return err
		}
		client, err := director.Dial(ctx, &director.ClientConfig{
			Credentials: creds,
			Logger:      log,
			ClientConfig: workers.ClientConfig{
				Selector:      selector,
				ResumeTimeout: math.MaxInt64, // a worker will come
				OnEvent:       (&narrator{log: log}).tell,
			},
		}, *p.DirectorAddr)
		if err != nil {
			return program.ConfigError{Err: err}
		}
		defer client.Close()
		return generate(ctx, contract.NewInferenceClient(client), &contract.InferenceRequest{
			ConnectionID: rand.Text()[:8], Prompt: "Tell me a story.",
			Seed: *seed, MaxTokens: *tokens, TokenInterval: *interval,
		}, log)
	})
}

// generate receives a text, token by token, until it is complete or ctx ends.
func generate(ctx context.Context, workers contract.Inference, req *contract.InferenceRequest, log *slog.Logger) error {
	total := uint64(0)
	for res, err := range workers.Generate(ctx, one(req)) {
		if err != nil && ctx.Err() != nil {
			log.Info("👋 client stopped", "tokens", total)
			return nil
		}
		if err != nil {
			return err
		}
		switch res := res.(type) {
		case contract.Connected:
			log.Info("🔄 worker confirmed connection", "worker", res.Worker, "connection", res.ConnectionID)
		case contract.Token:
			total++
			log.Info(transcript.Received(res.Sequence, res.Text, total))
		case contract.Error:
			return errors.New(res.Message)
		case contract.Done:
			log.Info("✅ stream completed", "tokens", total)
			return nil
		}
	}
	return errors.New("the stream ended before the text")
}

// one is the sequence of a single prompt.
func one(req *contract.InferenceRequest) iter.Seq2[*contract.InferenceRequest, error] {
	return func(yield func(*contract.InferenceRequest, error) bool) { yield(req, nil) }
}
