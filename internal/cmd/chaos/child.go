//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/workers"
)

// pace is the time between two tokens of a stream.
const pace = 20 * time.Millisecond

// generateSpec is a resumable stream of bytes. The request has three numbers: the
// seed of the text, the first token that is wanted and the last. A response has
// the number of the token and the token.
var generateSpec = &rpcnet.Spec{
	Procedure: "generate", Shape: codegen.ShapeServerStream,
	Resume: &codegen.Resume{
		Sequence: func(res any) uint64 {
			b, ok := res.([]byte)
			if !ok {
				b = *res.(*[]byte)
			}
			return binary.BigEndian.Uint64(b)
		},
		From: func(req any, next uint64) any {
			b := req.([]byte)
			return numbers(binary.BigEndian.Uint64(b), next, binary.BigEndian.Uint64(b[16:]))
		},
	},
}

// numbers encodes numbers, 8 bytes each, big-endian.
func numbers(ns ...uint64) []byte {
	b, err := binary.Append(nil, binary.BigEndian, ns)
	if err != nil {
		panic(err) // numbers always have a size
	}
	return b
}

// token returns token n of the text with that seed. It is a hash, so a token out of
// order or of another text differs.
func token(seed, n uint64) uint64 {
	x := (seed + n*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	return x ^ x>>29
}

// status has what a director knows of its workers.
type status struct {
	Ready    int
	InFlight int
	Estimate float64
}

// child runs a director or a worker until SIGTERM, and then leaves and drains.
func child(role, name, addr, seeds, certs string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("process", name)
	slog.SetDefault(log)
	creds := rpcnet.CertFiles(filepath.Join(certs, "test_cert.pem"), filepath.Join(certs, "test_key.pem"), filepath.Join(certs, "ca.pem"))
	ep, err := rpcnet.Listen(addr, creds, &rpcnet.EndpointConfig{Logger: log})
	if err != nil {
		return err
	}
	defer ep.Close()
	cfg := cluster.Config{Name: name, Tags: cluster.Tags{"role": role}, Logger: log}
	if seeds != "" {
		cfg.Seeds = strings.Split(seeds, ",")
	}
	node, err := cluster.Join(ctx, ep, &cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	srv := rpcnet.NewServer(nil)
	if role == "director" {
		registry, err := workers.NewRegistry(node, &workers.RegistryConfig{Logger: log})
		if err != nil {
			return err
		}
		defer registry.Close()
		director.New(registry, &director.Config{Logger: log}).Register(srv)
		srv.Handle("status", func(context.Context, []byte) ([]byte, error) {
			s := status{Ready: registry.Count()}
			for _, w := range registry.Workers() {
				s.InFlight += w.Load.InFlight
				s.Estimate += w.Load.Estimate
			}
			return json.Marshal(s)
		})
	} else {
		if _, err := workers.NewWorker(node, &workers.WorkerConfig{Capacity: 32, DrainTimeout: 100 * time.Millisecond, Logger: log}); err != nil {
			return err
		}
		srv.Register(generateSpec, generate)
		srv.Handle("echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	}
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background(), srv) }()
	select {
	case <-ctx.Done():
	case err := <-served:
		return fmt.Errorf("serving ended: %w", err)
	}
	leaving, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(node.Leave(leaving), ep.Shutdown(leaving))
}

// generate serves generateSpec.
func generate(ctx context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
	var req []byte
	if err := s.Recv(&req); err != nil {
		return err
	}
	if len(req) != 24 {
		return rpcnet.NewError(rpcnet.CodeInvalidArgument, "want three numbers")
	}
	seed, last := binary.BigEndian.Uint64(req), binary.BigEndian.Uint64(req[16:])
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := binary.BigEndian.Uint64(req[8:]); n <= last; n++ {
		if err := s.Send(numbers(n, token(seed, n))); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
