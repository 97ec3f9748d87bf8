package main

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/examples/cluster/contract"
	"github.com/rpcnet-go/rpcnet/examples/greeting"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/workers"
)

// The scripts in testdata run the command as a process of its own, against nodes
// within the test. Beside testscript's own commands they have:
//
//	node NAME [worker|director]   starts a node, at $NAME; the first one is the seed of the others
//	issue NAME HOST AGE           makes a certificate for a day, made so long ago
//	impostor NAME [CERTIFICATE]   starts what is no node: TLS with that certificate, or plain TCP
//	await DIRECTOR [NUMBER]       waits until a director can choose a worker, or so many
//	scrubbed FILE WANT            compares a file, without what differs from run to run, with another one
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rpcnet": mainWithClock, "rpcnet-test-node": runNode})
}

// mainWithClock is main with a clock that is off by $CLOCK, for the command alone.
func mainWithClock() {
	env := processEnvironment()
	if off, err := time.ParseDuration(os.Getenv("CLOCK")); err == nil {
		env.now = func() time.Time { return time.Now().Add(off) }
	}
	os.Exit(run(context.Background(), env, os.Args[1:]))
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: false,
		Setup: func(e *testscript.Env) error {
			dir := filepath.Join(e.WorkDir, "certs")
			if _, err := certs.Make(dir, nil); err != nil {
				return err
			}
			e.Values[poolKey{}] = &pool{dir: dir, registries: map[string]*workers.Registry{}}
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("HOME", e.WorkDir)
			path, err := filepath.Abs("../../examples/greeting/greeting_rpcnet.gen.go")
			e.Setenv("CONTRACT", path)
			if err != nil {
				return err
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node":     startScriptNode,
			"scrubbed": compareScrubbed,
			"await":    awaitWorker,
			"issue":    issueCertificate,
			"impostor": startImpostor,
		},
	})
}

// poolKey is the key of a script's pool.
type poolKey struct{}

// A pool is the nodes of a script.
type pool struct {
	dir        string
	seeds      []string
	registries map[string]*workers.Registry
}

// startScriptNode starts a node that serves the contract of the greeting.
func startScriptNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: node NAME [worker|director]")
	}
	name, role := args[0], strings.Join(args[1:], "")
	p := ts.Value(poolKey{}).(*pool)
	quiet := slog.New(slog.DiscardHandler)
	creds := rpcnet.CertFiles(filepath.Join(p.dir, certs.Cert), filepath.Join(p.dir, certs.Key), filepath.Join(p.dir, certs.CA))
	ep, err := rpcnet.Listen("127.0.0.1:0", creds, &rpcnet.EndpointConfig{Logger: quiet})
	ts.Check(err)
	ts.Defer(func() { ep.Close() })
	cfg := &cluster.Config{Name: name, Seeds: p.seeds, Logger: quiet}
	if role != "" {
		cfg.Tags = cluster.Tags{"role": role}
	}
	n, err := cluster.Join(context.Background(), ep, cfg)
	ts.Check(err)
	ts.Defer(func() { n.Close() })
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: quiet})
	greeting.RegisterGreeting(srv, greeter{})
	contract.RegisterInference(srv, model{name})
	switch role {
	case "worker":
		_, err = workers.NewWorker(n, &workers.WorkerConfig{Logger: quiet, Capacity: 8})
	case "director":
		var r *workers.Registry
		if r, err = workers.NewRegistry(n, &workers.RegistryConfig{Logger: quiet}); err == nil {
			ts.Defer(func() { r.Close() })
			p.registries[name] = r
			director.New(r, &director.Config{Logger: quiet}).Register(srv)
		}
	}
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		ep.Serve(ctx, srv)
		close(served)
	}()
	ts.Defer(func() {
		cancel()
		<-served
	})
	ts.Setenv(name, ep.Addr().String())
	if len(p.seeds) > 0 {
		select {
		case <-n.Joined():
		case <-time.After(20 * time.Second):
			ts.Fatalf("%s has not joined %v", name, p.seeds)
		}
	}
	p.seeds = append(p.seeds, ep.Addr().String())
}

// awaitWorker waits until a director can choose a worker, or so many.
func awaitWorker(ts *testscript.TestScript, neg bool, args []string) {
	n := 1
	if len(args) == 2 {
		var err error
		n, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await DIRECTOR [NUMBER]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ts.Check(ts.Value(poolKey{}).(*pool).registries[args[0]].WaitReady(ctx, n))
}

// A greeter is the service that scripts call.
type greeter struct{}

func (greeter) Hello(ctx context.Context, req *greeting.HelloRequest) (*greeting.HelloResponse, error) {
	call := rpcnet.ServerCallFrom(ctx)
	if call.Header().Get("tenant") != "" {
		if err := call.SetHeader("colour", "\x1b[31mred"); err != nil {
			return nil, err
		}
		call.SetTrailer("cost", "7")
	}
	switch req.Name {
	case "":
		return nil, &greeting.NoName{Hint: "say name=Ada"}
	case "Bob":
		return nil, rpcnet.NewError(rpcnet.CodeResourceExhausted, "the queue is full").WithRetryAfter(1500 * time.Millisecond)
	case "Mallory":
		return nil, rpcnet.NewError(rpcnet.CodePermissionDenied, "not you\x1b[2J\nrpcnet call: forged")
	}
	return &greeting.HelloResponse{Text: "Hello, " + req.Name + "!"}, nil
}

func (greeter) Count(_ context.Context, req *greeting.CountRequest) iter.Seq2[*greeting.HelloResponse, error] {
	return func(yield func(*greeting.HelloResponse, error) bool) {
		for i := range req.Times {
			if !yield(&greeting.HelloResponse{Text: fmt.Sprintf("%d: hello, %s", i+1, req.Name)}, nil) {
				return
			}
		}
	}
}

// A model is a resumable service with streams both ways. On the node w1 it fails after
// two tokens.
type model struct{ node string }

func (m model) Generate(_ context.Context, in iter.Seq2[*contract.InferenceRequest, error]) iter.Seq2[contract.InferenceResponse, error] {
	return func(yield func(contract.InferenceResponse, error) bool) {
		sequence, from := uint64(0), uint64(0)
		for req, err := range in {
			if err != nil {
				yield(nil, err)
				return
			}
			from = max(from, req.ResumeFrom)
			for i := range req.MaxTokens {
				sequence++
				if sequence < from {
					continue
				}
				if m.node == "w1" && i == 2 {
					yield(nil, &contract.WorkerFailed{Worker: m.node, Reason: "out of paper"})
					return
				}
				if !yield(contract.Token{Text: fmt.Sprint(req.Prompt, " ", i+1), Sequence: sequence}, nil) {
					return
				}
			}
		}
	}
}

// scrubs are what differs from run to run, and what stands for it.
var scrubs = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9a-z]{16}\b`), "BOOT"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d{3}\b`), "TIME"},
	{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?(s|ms|µs)\b|\bnow\b`), "AGE"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`), "STAMP"},
	{regexp.MustCompile(`TLS_[A-Z0-9_]+`), "CIPHER"},
	{regexp.MustCompile(`as 127\.0\.0\.1:\d+`), "as HERE"},
	{regexp.MustCompile(`may have \d+ open`), "may have N open"},
	{regexp.MustCompile(`\d+\.\d/s`), "RATE"},
	{regexp.MustCompile(`(?m)^(calls|messages) +\d+`), "$1  N"},
	{regexp.MustCompile(`; \d+ were due and found no place.*`), ""}, // on a busy machine
	{regexp.MustCompile(`TIME +\d+ `), "TIME SEQ "},
	{regexp.MustCompile(`  +`), "  "},
	{regexp.MustCompile(` +\n`), "\n"},
}

// compareScrubbed compares two files, the first without what differs from run to run.
func compareScrubbed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: scrubbed FILE WANT")
	}
	got := ts.ReadFile(args[0])
	for i, addr := range ts.Value(poolKey{}).(*pool).seeds {
		got = strings.ReplaceAll(got, addr, fmt.Sprintf("ADDR%d", i+1))
	}
	got = strings.ReplaceAll(got, ts.Getenv("WORK"), "WORK")
	got = strings.ReplaceAll(got, ts.Getenv("CONTRACT"), "CONTRACT")
	for _, s := range scrubs {
		got = s.pattern.ReplaceAllString(got, s.with)
	}
	if want := ts.ReadFile(args[1]); got != want {
		ts.Fatalf("%s is\n%s\nand not\n%s", args[0], got, want)
	}
}

// The scripts use every command.
func TestThereIsAScriptForEveryCommand(t *testing.T) {
	t.Parallel()
	for _, c := range newRoot(testEnvironment(t, os.Stdout, os.Stderr)).Commands() {
		if _, err := os.Stat(filepath.Join("testdata", c.Name()+".txtar")); err != nil {
			t.Error(err)
		}
	}
}
