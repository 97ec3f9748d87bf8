package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// runPython runs Python with arguments in the folder of the client, and returns
// the lines it prints.
func runPython(t *testing.T, args ...string) []string {
	t.Helper()
	out := run(t, "python", program(t, "python3"), append([]string{"-B"}, args...)...) // -B: leave no files behind
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
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
	program(t, "python3")
	const tokens = 20_000
	c := startCluster(t, "worker-a")
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
	program(t, "python3")
	c := startCluster(t, "worker-a")
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
