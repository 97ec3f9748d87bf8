// Package e2e_test runs programs that are not Go's against those of this
// repository: a client in Python against the cluster example.
package e2e_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// patience bounds each wait for something that must happen. It is far longer
// than anything takes.
const patience = 60 * time.Second

// python returns the interpreter. A machine without one skips the test, unless
// E2E_REQUIRED says that it must have one.
func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	switch {
	case err == nil:
		return path
	case os.Getenv("E2E_REQUIRED") != "":
		t.Fatal("there is no python3, and E2E_REQUIRED is set: install it")
	}
	t.Skip("there is no python3 on this machine")
	return ""
}

// A cluster is the director and a worker of the cluster example, as processes.
type cluster struct {
	certs            string
	director, worker string // addresses
}

// startCluster builds the programs and runs them on free ports until the test
// ends.
func startCluster(t *testing.T) cluster {
	t.Helper()
	dir := t.TempDir()
	c := cluster{certs: filepath.Join(dir, "certs"), director: freeAddr(t), worker: freeAddr(t)}
	if _, err := certs.Make(c.certs, nil); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), "./examples/cluster/director", "./examples/cluster/worker")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	env := []string{"CERT_DIR=" + c.certs, "DIRECTOR_ADDR=" + c.director}
	startProgram(t, filepath.Join(dir, "director"), env, "Director ready")
	startProgram(t, filepath.Join(dir, "worker"), append(env, "WORKER_LABEL=worker-a", "WORKER_ADDR="+c.worker), "is running and ready")
	return c
}

// nextPort is the last port that was tried, below the range that the system
// gives to clients.
var nextPort atomic.Uint32

func init() { nextPort.Store(26_100 + rand.Uint32N(4000)) }

// freeAddr returns an address on the loopback interface whose port is free for
// TCP and UDP, and was not returned before.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		tcp.Close()
		if err == nil {
			udp.Close()
			return addr
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return ""
}

// startProgram runs a program until the test ends, and returns when it has
// printed ready. Its output is shown when the test fails.
func startProgram(t *testing.T, path string, env []string, ready string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = append(os.Environ(), env...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	var said []string
	isReady, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		seen := false
		for lines := bufio.NewScanner(r); lines.Scan(); {
			said = append(said, lines.Text())
			if !seen && strings.Contains(lines.Text(), ready) {
				seen = true
				close(isReady)
			}
		}
		io.Copy(io.Discard, r) // after a line that is too long
	}()
	go func() {
		w.CloseWithError(cmd.Wait())
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), strings.Join(said, "\n"))
		}
	})
	select {
	case <-isReady:
	case <-ended:
		t.Fatalf("%s ended before it said %q", filepath.Base(path), ready)
	case <-time.After(patience):
		t.Fatalf("%s has not said %q within %v", filepath.Base(path), ready, patience)
	}
}

// runPython runs Python with arguments in the folder of the client, and returns
// the lines it prints.
func runPython(t *testing.T, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, python(t), append([]string{"-B"}, args...)...) // -B: leave no files behind
	cmd.Dir = "python"
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v\n%s%s", err, out, stderr.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

func wantLines(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("line %d is missing: want %q", i+1, want[i])
		case i >= len(want):
			t.Fatalf("line %d is too many: %q", i+1, got[i])
		case got[i] != want[i]:
			t.Fatalf("line %d: got %q, want %q", i+1, got[i], want[i])
		}
	}
}

// computed is what the procedure "compute" of the example answers: SHA-256,
// again and again.
func computed(in []byte, rounds int) string {
	sum := sha256.Sum256(in)
	for range rounds - 1 {
		sum = sha256.Sum256(sum[:])
	}
	return fmt.Sprintf("%x", sum)
}

// The client asks the director, calls the worker, and reads more tokens than the
// window of a stream holds, so that it must give credit back.
func TestPythonClient(t *testing.T) {
	t.Parallel()
	python(t)
	const tokens = 20_000
	c := startCluster(t)
	want := []string{"worker worker-a", "compute " + computed([]byte{0, 0, 3, 232}, 1000), "connected worker-a"}
	for i := 1; i <= tokens; i++ {
		want = append(want, fmt.Sprintf("token %d token-%d", i, i))
	}
	want = append(want, fmt.Sprintf("done %d", tokens+1))
	wantLines(t, runPython(t, "rpcnet_client.py", c.certs, c.director, fmt.Sprint(tokens)), want)
}

// What the page says of errors, large messages and calls that are given up, on
// one session.
func TestPythonClientAtTheEdges(t *testing.T) {
	t.Parallel()
	python(t)
	c := startCluster(t)
	const script = `
import sys
from rpcnet_client import Client, RPCError, cbor, read_cbor

GENERATE = "/inference.v1.Inference/Generate"
client = Client(sys.argv[1], sys.argv[2])

def refused(call):
    try:
        call()
    except RPCError as err:
        print(err)
        for name, data in err.details.items():
            print(name, read_cbor(data))

try:
    Client(sys.argv[1], sys.argv[2], "worker-b")
except ConnectionError as err:
    print(err)
refused(lambda: client.unary("compute", b"ab"))
refused(lambda: client.unary("nowhere", b""))
refused(lambda: client.unary(GENERATE, cbor({"token_interval": -5})))
refused(lambda: list(client.call(GENERATE, cbor({"token_interval": 10**15}), timeout=0.1)))
try:
    client.unary("compute", bytes(5 << 20))
except RPCError as err:
    print("too large: code", err.code)
print(client.unary("compute", bytes(3 << 20)).hex())
endless = client.call(GENERATE, cbor({"prompt": "x"}))
print([read_cbor(next(endless)) for _ in range(2)])
endless.close()
print(client.unary("compute", bytes(4)).hex())
`
	wantLines(t, runPython(t, "-c", script, c.certs, c.worker), []string{
		"worker-a answers, want worker-b",
		"code 3: compute: 2 bytes, want at least 4: how often to hash, big-endian",
		`code 12: unknown procedure "nowhere"`,
		"code 3: invalid TokenInterval: -5ns, want 0 or more",
		"InferenceError {'invalid_request': {'field': 'TokenInterval', 'reason': '-5ns, want 0 or more'}}",
		"code 4: deadline exceeded",
		"too large: code 8",
		computed(make([]byte, 3<<20), 1),
		"[{'connected': {'worker': 'worker-a', 'connection_id': ''}}, {'token': {'text': 'token-1', 'sequence': 1}}]",
		computed(make([]byte, 4), 1),
	})
}
