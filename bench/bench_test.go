package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the clients and servers of a run.
func TestMain(m *testing.M) {
	if slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-role=") }) {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestEachLibraryDoesTheWorkItIsMeasuredBy(t *testing.T) {
	t.Parallel()
	dir, err := makeCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range libraries {
		if l.crate != "" || l.workers > 10 || l.strategy {
			continue // see TestPeersInRustDoTheWorkTheyAreMeasuredBy; 100 workers are made as 10 are
		}
		t.Run(strings.ReplaceAll(l.name, "/", "-"), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
			defer cancel()
			addr, err := l.serve(dir)
			if err != nil {
				t.Fatal(err)
			}
			connect, err := l.connector(dir, addr)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := connect(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.close()
			for _, n := range []int{1, 32, 1 << 20} {
				call := conn.caller(ctx, payload(n, 7))
				for range 2 {
					if err := call(); err != nil {
						t.Fatalf("echo of %d bytes: %v", n, err)
					}
				}
			}
			if l.skips != nil && l.skips(oneStream) != "" {
				return
			}
			n := 0
			req := feedRequest{size: 32, duration: 20 * time.Millisecond, interval: time.Millisecond}
			err = conn.feed(ctx, req, func(data []byte) {
				n++
				if len(data) != 32 || age(data) < 0 || age(data) > time.Minute {
					t.Errorf("message %d: % x, %v old", n, data, age(data))
				}
			})
			if err != nil || n == 0 || n > 20 {
				t.Errorf("feed of 20 ms: %d messages, %v", n, err)
			}
			if l.json {
				return // a client of HTTP sends before it receives
			}
			turn, err := conn.talk(ctx, payload(32, 9))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := turn(); err != nil {
					t.Fatalf("turn: %v", err)
				}
			}
		})
	}
}

func TestARunMeasuresEveryKindAndReportsIt(t *testing.T) {
	t.Parallel()
	dir, err := makeCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// 10 000 streams need a minute with the race detector on a busy machine.
	others := slices.DeleteFunc(otherCells(), func(c cell) bool { return c.streams >= crowd })
	p := plan{
		libraries:   []*library{rpcnetRaw, netRPC, grpcGo, rpcnetBridge, connectJSON, routedTen, directedTen, directTen},
		cells:       slices.Concat([]cell{unaryCell(32, 1), unaryCell(32, 16)}, others, routedCells(10)),
		repetitions: 1, slice: 20 * time.Millisecond, certs: dir, progress: io.Discard,
		missing: []string{"tonic is left out: why"},
	}
	r, err := p.run()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.cells {
		ours := []*library{rpcnetRaw, grpcGo}
		switch {
		case c.json:
			ours = []*library{rpcnetBridge, connectJSON}
		case c.workers > 0:
			ours = []*library{routedTen, directedTen, directTen}
		}
		if got := len(r[c]); got != len(ours) && got != len(ours)+1 { // net/rpc has some
			t.Errorf("%s: measured for %d libraries, want %d", c.name(), got, len(ours))
		}
		for _, l := range ours {
			s, ok := r.get(c, l)
			if !ok {
				t.Errorf("%s, %s: not measured", l.name, c.name())
				continue
			}
			for _, m := range metricsOf(c) {
				if m.of(s) <= 0 {
					t.Errorf("%s, %s: %s is %v", l.name, c.name(), m.name, m.of(s))
				}
			}
		}
	}
	if _, ok := r.get(oneStream, netRPC); ok {
		t.Error("net/rpc has no streams, and yet was measured")
	}
	var report bytes.Buffer
	if err := printSections(&report, &p, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"goals reached.", "- tonic is left out: why.", "## Unary calls of 32 B", "## Memory of an idle stream", "- net/rpc, 5 measurements: no streams.", "## Unary calls of 32 B over 10 workers", "## Unary calls of 32 B by 64 callers over 64 connections", "## Unary calls of 32 B in JSON", "## Server streaming of 32 B in JSON"} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
}

func TestMeasurementsOfMemoryAgree(t *testing.T) {
	t.Parallel()
	dir, err := makeCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := plan{certs: dir}
	for _, l := range []*library{rpcnetRaw, grpcGo} {
		var of []float64
		for _, c := range []cell{sessionMemory, streamMemory, streamMemory} {
			s, err := p.measure(c, l)
			if err != nil {
				t.Fatalf("%s, %s: %v", l.name, c.name(), err)
			}
			if s.Client <= 0 || s.Server <= 0 {
				t.Errorf("%s, %s: client %.2f KiB, server %.2f KiB", l.name, c.name(), s.Client, s.Server)
			}
			of = append(of, memory(s))
		}
		session, stream, again := of[0], of[1], of[2]
		if session < 2*stream {
			t.Errorf("%s: a session takes %.2f KiB, a stream on it %.2f KiB", l.name, session, stream)
		}
		if again < 0.75*stream || again > stream/0.75 {
			t.Errorf("%s: a stream takes %.2f KiB, and then %.2f KiB", l.name, stream, again)
		}
	}
}

func TestMedianAndQuantile(t *testing.T) {
	t.Parallel()
	if m := median([]sample{{Rate: 9, P99: 1}, {Rate: 1, P99: 3}, {Rate: 5, P99: 2}}); m.Rate != 5 || m.P99 != 2 {
		t.Errorf("median of three: %+v", m)
	}
	if m := median([]sample{{Rate: 4}, {Rate: 2}}); m.Rate != 3 {
		t.Errorf("median of two: %+v", m)
	}
	v := make([]int, 100)
	for i := range v {
		v[i] = i
	}
	if p50, p99, p100 := quantile(v, 0.5), quantile(v, 0.99), quantile(v, 1); p50 != 50 || p99 != 99 || p100 != 99 {
		t.Errorf("quantiles of 0..99: %d %d %d", p50, p99, p100)
	}
}

func TestRotatedKeepsAll(t *testing.T) {
	t.Parallel()
	if got := rotated([]int{1, 2, 3}, 4); !slices.Equal(got, []int{2, 3, 1}) {
		t.Errorf("rotated by 4: %v", got)
	}
}

func TestQuickLinesCompareWithWhatTheyName(t *testing.T) {
	t.Parallel()
	one, over := unaryCell(32, 1), routedCells(10)[1]
	r := results{
		one:  {rpcnetRaw: {Rate: 80, P50: 10}, grpcGo: {Rate: 10, P50: 40}, rawTLS: {P50: 5}},
		over: {routedTen: {Rate: 30}, directTen: {Rate: 60}},
	}
	var b bytes.Buffer
	if err := printQuick(&b, []cell{one, over}, r); err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{} // numbers by name
	for line := range strings.Lines(b.String()) {
		name, numbers, _ := strings.Cut(strings.TrimSpace(line), "  ")
		lines[name] = strings.Join(strings.Fields(numbers), " ")
	}
	for name, want := range map[string]string{
		"name":                               "ours grpc-go ratio",
		"unary 32 B, 1 caller, raw, calls/s": "80.0 10.0 8.00 x",
		"unary 32 B, 1 caller, raw, p50 us":  "10.0 40.0 0.25 x",
		"unary 32 B, 1 caller, raw, p50 us, against raw TLS":                                    "10.0 5.00 2.00 x",
		"unary 32 B, 64 callers over 10 workers, workers.Client, calls/s, against direct Conns": "30.0 60.0 0.50 x",
	} {
		if lines[name] != want {
			t.Errorf("%s: %q, want %q; all:\n%s", name, lines[name], want, &b)
		}
	}
}

func TestListOfOthersThatAreFasterNamesTheBest(t *testing.T) {
	t.Parallel()
	call, memory := unaryCell(4<<10, 64), sessionMemory
	p := plan{libraries: libraries, cells: []cell{call, memory}}
	r := results{
		call: {
			rpcnetRaw: {Rate: 50, P50: 4, P99: 9, CPU: 1}, rpcnetGenerated: {Rate: 40, P50: 4, P99: 9, CPU: 1},
			grpcGo: {Rate: 45, P50: 5, P99: 9, CPU: 2}, natsGo: {Rate: 48, P50: 3, P99: 9, CPU: 2}, rawTLS: {Rate: 999},
		},
		memory: {rpcnetRaw: {Client: 30, Server: 30}, drpcGo: {Client: 25, Server: 25}, netRPC: {Client: 26, Server: 26}},
	}
	want := [][]string{
		{"unary 4 KiB, 64 callers, p50 us", "rpcnet raw", "4.00", "nats", "3.00", "1.33 x"},
		{"unary 4 KiB, 64 callers, calls/s", "rpcnet generated", "40.0", "nats", "48.0", "0.83 x"},
		{"unary 4 KiB, 64 callers, p50 us", "rpcnet generated", "4.00", "nats", "3.00", "1.33 x"},
		{"idle session, KiB", "rpcnet raw", "60.0", "drpc", "50.0", "1.20 x"},
	}
	if got := fasterRows(&p, r); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	var b bytes.Buffer
	writeFaster(&b, &p, results{call: {rpcnetRaw: {Rate: 2, P50: 1}, grpcGo: {Rate: 1, P50: 2}}})
	if !strings.Contains(b.String(), "Nowhere in this run") {
		t.Errorf("a run that no peer is ahead in: %s", &b)
	}
}

func TestAFailedMeasurementLeavesTheOthers(t *testing.T) {
	t.Parallel()
	dir, err := makeCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none") // cannot be started
	peer := &library{name: "peer", module: "example.com/peer", program: none}
	own := &library{name: "own", module: rpcnetModule, program: none}
	call := unaryCell(32, 1)
	for _, test := range []struct {
		failing *library
		fails   bool // the run
	}{{peer, false}, {own, true}} {
		p := plan{
			libraries: []*library{test.failing, netRPC}, cells: []cell{call},
			repetitions: 2, slice: 20 * time.Millisecond, certs: dir, progress: io.Discard,
		}
		r, err := p.run()
		if (err != nil) != test.fails {
			t.Errorf("%s fails, and the run says %v", test.failing.name, err)
		}
		if s, ok := r.get(call, netRPC); !ok || s.Rate <= 0 {
			t.Errorf("%s fails, and of net/rpc there is %+v", test.failing.name, s)
		}
		if _, ok := r.get(call, test.failing); ok {
			t.Errorf("%s fails, and there are results of it", test.failing.name)
		}
		if len(p.missing) != 2 || !strings.Contains(p.missing[1], test.failing.name+", unary 32 B, 1 caller, repetition 2 failed: ") {
			t.Errorf("what is left out: %q", p.missing)
		}
	}
}

func TestNamesOfLibrariesCanBeChosen(t *testing.T) {
	t.Parallel()
	var names []string
	for _, l := range libraries {
		names = append(names, l.name)
	}
	p := plan{cells: fullCells()}
	if err := p.choose(strings.Join(names, ","), "^unary 32 B, 1 caller$"); err != nil || !slices.Equal(p.libraries, libraries) {
		t.Errorf("all names choose %d libraries of %d: %v", len(p.libraries), len(libraries), err)
	}
	if !slices.Equal(p.cells, []cell{unaryCell(32, 1)}) {
		t.Errorf("chosen: %v", p.cells)
	}
	if err := p.choose("no such library", ""); err == nil {
		t.Error("a name that no library has is accepted")
	}
}
