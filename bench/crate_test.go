package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestLibrariesInRustAreLeftOutWithoutCargo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	usable, skipped, err := buildCrates([]*library{grpcGo, tonicRust, rpcnetRust})
	if err != nil || len(usable) != 1 || usable[0] != grpcGo {
		t.Errorf("usable: %d libraries, %v; want grpc-go alone", len(usable), err)
	}
	if len(skipped) != 2 || !strings.Contains(skipped[0], "tonic is left out: cargo is not installed") {
		t.Errorf("the line of what is left out: %q", skipped)
	}
}

func TestVersionOfACrateIsThatOfItsLockFile(t *testing.T) {
	t.Parallel()
	for _, l := range []*library{tonicRust, rpcnetRust} {
		if v := l.version(); !strings.HasPrefix(v, "v0.") {
			t.Errorf("version of %s: %q", l.name, v)
		}
	}
	if v, err := crateVersion(tonicRust.crate, "no such crate"); err == nil {
		t.Errorf("a crate that is not in the lock file has version %q", v)
	}
}

// Not part of every run: cargo needs minutes for the first build.
func TestPeersInRustDoTheWorkTheyAreMeasuredBy(t *testing.T) {
	if os.Getenv("BENCH_PEERS") == "" {
		t.Skip("set BENCH_PEERS=1 to build the peers in Rust with cargo, which takes minutes the first time")
	}
	usable, skipped, err := buildCrates([]*library{tonicRust, rpcnetRust})
	if err != nil || len(usable) != 2 {
		t.Fatalf("build: %v %q", err, skipped)
	}
	dir, err := makeCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := plan{certs: dir, slice: 100 * time.Millisecond}
	for _, c := range []cell{unaryCell(32, 1), unaryCell(1<<20, 4), manyConnections, hundredStreams, pingPong, connecting} {
		for _, l := range usable {
			if !l.measures(c) {
				continue
			}
			s, err := p.measure(c, l)
			if err != nil {
				t.Errorf("%s, %s: %v", l.name, c.name(), err)
				continue
			}
			for _, m := range metricsOf(c) {
				if m.of(s) <= 0 {
					t.Errorf("%s, %s: %s is %v", l.name, c.name(), m.name, m.of(s))
				}
			}
		}
	}
}
