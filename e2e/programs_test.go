// Package e2e_test runs programs that are not Go's against those of this
// repository: clients in Python, curl, clients in JavaScript and a browser.
package e2e_test

import (
	"bufio"
	"context"
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

// program returns the path of a program. A machine without it skips the test, unless
// E2E_REQUIRED says that it must have it.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("E2E_REQUIRED") != "":
		t.Fatalf("there is no %s, and E2E_REQUIRED is set: install it", name)
	}
	t.Skipf("there is no %s on this machine", name)
	return ""
}

// run runs a program in a folder and returns what it prints. It must succeed.
func run(t *testing.T, dir, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", filepath.Base(path), err, out, stderr.String())
	}
	return string(out)
}

// A cluster is the director and workers of the cluster example, as processes.
type cluster struct {
	certs    string
	director string            // its address
	worker   string            // the address of worker-a
	kill     map[string]func() // kills a worker, as kill -9 does
}

// startCluster builds the programs and runs them, with workers of the given labels, on free
// ports until the test ends.
func startCluster(t *testing.T, labels ...string) cluster {
	t.Helper()
	dir := t.TempDir()
	c := cluster{certs: filepath.Join(dir, "certs"), director: freeAddr(t), kill: map[string]func(){}}
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
	for _, label := range labels {
		addr := freeAddr(t)
		c.kill[label] = startProgram(t, filepath.Join(dir, "worker"), append(env, "WORKER_LABEL="+label, "WORKER_ADDR="+addr), "is running and ready")
		if label == "worker-a" {
			c.worker = addr
		}
	}
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
// It returns what kills it, as kill -9 does.
func startProgram(t *testing.T, path string, env []string, ready string) (kill func()) {
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
	return cancel
}
