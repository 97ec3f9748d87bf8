package cluster_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

func TestWrongConfigurationIsOneLineAndStatusTwo(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() }) // after the subtests
	empty := t.TempDir()
	mixed := t.TempDir()
	if _, err := certs.Make(mixed, nil); err != nil {
		t.Fatal(err)
	}
	foreignKey, err := os.ReadFile(filepath.Join(certDir, certs.Key))
	if err != nil {
		t.Fatal(err)
	}
	_, clientKey := certs.Files("client")
	for _, name := range []string{certs.Key, clientKey} {
		if err := os.WriteFile(filepath.Join(mixed, name), foreignKey, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		program string
		env     string
		want    []string
	}{
		{"worker", "WORKER_ADDR=nonsense", []string{`WORKER_ADDR="nonsense"`, "want host:port"}},
		{"worker", "WORKER_FAILURE_ENABLED=maybe", []string{`WORKER_FAILURE_ENABLED="maybe"`, "want true or false"}},
		{"worker", "WORKER_CAPACITY=many", []string{`WORKER_CAPACITY="many"`, "want a whole number"}},
		{"worker", "WORKER_TAGS=a b=c", []string{`WORKER_TAGS="a b=c"`, "want tags such as zone=a,gpu=h100"}},
		{"worker", "WORKER_LABEL=a/b", []string{`WORKER_LABEL="a/b"`, "letters"}},
		{"worker", "WORKER_ADDR=" + busy.Addr().String(), []string{"WORKER_ADDR", busy.Addr().String(), "in use"}},
		{"worker", "CERT_DIR=" + empty, []string{empty, "go run ./cmd/rpcnet certs"}},
		{"director", "DIRECTOR_ADDR=localhost", []string{`DIRECTOR_ADDR="localhost"`, "want host:port"}},
		{"director", "DIRECTOR_ADDR=" + busy.Addr().String(), []string{"DIRECTOR_ADDR", busy.Addr().String(), "in use"}},
		{"director", "STRATEGY=Best", []string{`STRATEGY="Best"`, "LeastConnections", "RoundRobin", "Random"}},
		{"director", "LOG_LEVEL=loud", []string{`LOG_LEVEL="loud"`, "debug, info, warn or error"}},
		{"director", "CERT_DIR=" + mixed, []string{certs.Key, "does not fit the certificate"}},
		{"client", "TOKENS=-1", []string{`TOKENS="-1"`, "want a whole number"}},
		{"client", "TOKEN_INTERVAL=fast", []string{`TOKEN_INTERVAL="fast"`, "want a duration"}},
		{"client", "SELECTOR=gpu=", []string{`SELECTOR="gpu="`, "character"}},
		{"client", "CERT_DIR=" + empty, []string{empty, "go run ./cmd/rpcnet certs"}},
		{"client", "CERT_DIR=" + mixed, []string{clientKey, "does not fit the certificate"}},
	} {
		t.Run(c.program+"/"+c.env, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			n := f.start(c.program, c.program, "", c.env)
			n.ended(2)
			var complaints []string
			for _, l := range n.lines() {
				if strings.HasPrefix(l, c.program+": ") {
					complaints = append(complaints, l)
				}
			}
			if len(complaints) != 1 {
				t.Fatalf("%d lines of complaint, want one: %q", len(complaints), complaints)
			}
			for _, want := range c.want {
				if !strings.Contains(complaints[0], want) {
					t.Errorf("%q does not say %q", complaints[0], want)
				}
			}
		})
	}
}

func TestRustLogSetsTheLevel(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	quiet := f.startDirector("RUST_LOG=rpcnet=debug,error")
	client := f.startClient("TOKENS=0")
	client.await("⚠️  No worker assigned", "no worker matches") // the director has said so
	quiet.Stop()
	quiet.ended(0)
	if lines := quiet.lines(); len(lines) != 0 {
		t.Errorf("printed at level error: %q", lines)
	}
}
