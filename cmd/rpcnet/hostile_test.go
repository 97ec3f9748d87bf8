package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// evil is text that clears a screen, forges a line and reorders letters.
const evil = "\x1b[2J\r\nok    forged\u202e\u009b31m\u200b"

// startHostile makes a server that answers what nodes answer, with evil text in every
// place, and returns the flags to reach it.
func startHostile(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if _, err := certs.Make(dir, nil); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	ep, err := rpcnet.Listen("127.0.0.1:0", rpcnet.CertFiles(filepath.Join(dir, certs.Cert), filepath.Join(dir, certs.Key), filepath.Join(dir, certs.CA)), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	long := strings.Repeat(evil, 1000)
	member := func(state cluster.State) cluster.Member {
		return cluster.Member{Name: long, Boot: long, Addr: "127.0.0.1:1" + long, ServerName: long, Tags: cluster.Tags{long: long}, State: state}
	}
	view := cluster.Snapshot{
		Cluster: long, Version: long, Self: member(cluster.StateAlive), Time: time.Now().Add(time.Hour),
		Members: []cluster.Member{member(cluster.StateAlive), member(cluster.StateSuspect)}, Gone: []cluster.Member{member(cluster.StateFailed)},
		Partition: &cluster.Partition{Side: long, Lost: []string{long}, Common: long},
		Workers:   []cluster.WorkerSnapshot{{Name: long, Boot: long, Status: long, Reason: long, Capacity: -1, InFlight: -5}},
	}
	srv := rpcnet.NewServer(&rpcnet.ServerConfig{Logger: quiet, NoDescribe: true})
	srv.Handle("/cluster.v1.Admin/Members", func(context.Context, []byte) ([]byte, error) { return json.Marshal(view) })
	srv.Register(&rpcnet.Spec{Procedure: "/cluster.v1.Admin/Events", Shape: codegen.ShapeServerStream}, func(_ context.Context, _ *rpcnet.Spec, s rpcnet.ServerStream) error {
		var req []byte
		if err := s.Recv(&req); err != nil {
			return err
		}
		b, err := json.Marshal(cluster.Event{Kind: cluster.KindNodeFailed, Member: member(cluster.StateFailed), Cause: long})
		if err != nil {
			return err
		}
		return s.Send(b)
	})
	srv.Handle("/cluster.v1.Admin/Probe", func(context.Context, []byte) ([]byte, error) { return []byte(evil), nil })
	srv.Handle(codegen.DescribeProcedure, func(context.Context, []byte) ([]byte, error) {
		types := map[string]any{"T": map[string]any{"kind": "struct", "doc": evil, "fields": []any{map[string]any{"name": evil, "type": "string", "doc": evil}}}}
		return json.Marshal(map[string]any{"services": []any{map[string]any{"version": 1, "service": "s", "doc": long, "types": types,
			"methods": []any{
				map[string]any{"name": "M", "shape": "unary", "doc": long, "request": "T", "response": "T"},
				map[string]any{"name": evil, "shape": "unary", "doc": long, "request": "T", "response": "T"},
			}}}})
	})
	srv.Handle("/s/M", func(context.Context, []byte) ([]byte, error) {
		return nil, rpcnet.NewError(rpcnet.CodeInternal, evil+strings.Repeat("x", 100_000)).WithDetail(&codegen.Detail{Name: evil, Data: []byte(evil)})
	})
	done := make(chan struct{})
	go func() {
		ep.Serve(context.Background(), srv)
		close(done)
	}()
	t.Cleanup(func() {
		ep.Close()
		<-done
	})
	return []string{"-dir", dir, "-addr", ep.Addr().String(), "-timeout", "10s"}
}

// What a node says is printed without what a terminal obeys, on the lines that it belongs
// to, and not without end.
func TestTextOfAHostileNodeIsEscapedAndBounded(t *testing.T) {
	t.Parallel()
	flags := startHostile(t)
	const mostText = 64 << 10
	for _, args := range [][]string{
		{"members"}, {"members", "-o", "json"}, {"events", "-count", "1"}, {"events", "-count", "1", "-o", "json"},
		{"describe"}, {"describe", "s"}, {"describe", "s", "-o", "json"}, {"describe", "-o", "example"},
		{"call", "-v", "s/M"}, {"call", "-o", "json", "s/M"}, {"bench", "-d", "10ms", "s/M"},
		{"doctor"}, {"doctor", "-o", "json"}, {"drain", "x"}, {"__complete", "drain", ""}, {"__complete", "members", "-select", ""}, {"__complete", "call", "s/"},
	} {
		at := len(args)
		if args[0] == "__complete" {
			at = 2 // before what is typed
		}
		line := append(append(append([]string{}, args[:at]...), flags...), args[at:]...)
		_, out, errs := runCommand(t, line...)
		text := out + errs
		if text == "" {
			t.Errorf("%q prints nothing", args)
		}
		for _, r := range text {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				t.Errorf("%q prints %q:\n%.300q", args, r, text)
				break
			}
		}
		if strings.Contains("\n"+text, "\nok    forged") {
			t.Errorf("%q prints a forged line:\n%.500s", args, text)
		}
		if len(text) > mostText && args[len(args)-1] != "json" {
			t.Errorf("%q prints %d bytes", args, len(text))
		}
	}
}
