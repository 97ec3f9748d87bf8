// Package common is what both versions of the example do in the same way: read
// the environment, find the certificates, generate tokens, print them.
package common

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/examples/connectionswap/contract"
)

// Env returns an environment variable, or def if it is not set.
func Env(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

// Director is the director's address.
func Director() string { return Env("DIRECTOR_ADDR", "127.0.0.1:61000") }

// Credentials are the development certificate of that name in CERT_DIR: "test"
// is a node's, "client" a client's.
func Credentials(name string) rpcnet.Credentials {
	dir := Env("CERT_DIR", "certs")
	return rpcnet.CertFiles(filepath.Join(dir, name+"_cert.pem"), filepath.Join(dir, name+"_key.pem"), filepath.Join(dir, "ca.pem"))
}

// Main runs the role named by the first argument until it ends or a signal
// comes.
func Main(roles map[string]func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	role := func(context.Context) error { return fmt.Errorf("usage: %s director|worker|client", os.Args[0]) }
	if len(os.Args) == 2 && roles[os.Args[1]] != nil {
		role = roles[os.Args[1]]
	}
	if err := role(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Model generates the tokens.
type Model struct{ Label string }

// Generate implements contract.Inference.
func (m Model) Generate(ctx context.Context, req *contract.GenerateRequest) iter.Seq2[*contract.Token, error] {
	return func(yield func(*contract.Token, error) bool) {
		tick := time.NewTicker(time.Duration(max(req.IntervalMillis, 1)) * time.Millisecond)
		defer tick.Stop()
		for n := max(req.ResumeFrom, 1); n <= req.Last; n++ {
			if !yield(&contract.Token{Sequence: n, Text: fmt.Sprint("token-", n), Worker: m.Label}, nil) {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// Request is what the client asks for.
func Request() *contract.GenerateRequest {
	tokens, _ := strconv.ParseUint(Env("TOKENS", "100"), 10, 64)
	interval, err := time.ParseDuration(Env("TOKEN_INTERVAL", "200ms"))
	if err != nil {
		interval = 200 * time.Millisecond
	}
	return &contract.GenerateRequest{ResumeFrom: 1, Last: tokens, IntervalMillis: uint64(interval / time.Millisecond)}
}

// Print prints a token, for people and for the comparison.
func Print(t *contract.Token) { fmt.Printf("token %d %s from %s\n", t.Sequence, t.Text, t.Worker) }
