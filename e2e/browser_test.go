package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestBrowser streams tokens from a worker through the director into an EventSource of
// Chromium. The worker is killed in the middle. Each token is seen once, in order, and the
// browser notices nothing but the other worker's name.
func TestBrowser(t *testing.T) {
	t.Parallel()
	interpreter, chromium := node(t), program(t, "chromium")
	const tokens, killAt = 100, 20
	c := startCluster(t, "worker-a", "worker-b")
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, interpreter, "eventsource.mjs", chromium, "https://"+c.director, c.certs, fmt.Sprint(tokens))
	cmd.Dir = "node"
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var workers, said []string
	next := 1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		said = append(said, line)
		_, data, _ := strings.Cut(line, " ")
		if worker, ok := strings.CutPrefix(data, `{"connected":{"worker":"`); ok {
			worker, _, _ = strings.Cut(worker, `"`)
			workers = append(workers, worker)
			continue
		}
		want := fmt.Sprintf(`%d {"token":{"text":"token-%d","sequence":%d}}`, next, next, next)
		if next > tokens {
			want = fmt.Sprintf(`%d {"done":{"sequence":%d}}`, next, next)
		}
		if line != want {
			t.Errorf("%q, want %q", line, want)
			cancel()
			break
		}
		if next == killAt {
			c.kill[workers[0]]()
		}
		next++
	}
	if err := cmd.Wait(); err != nil && ctx.Err() == nil && !t.Failed() {
		t.Errorf("node: %v", err)
	}
	if next != tokens+2 || len(workers) != 2 || workers[0] == workers[1] {
		t.Errorf("%d events, from %v, want %d from two workers", next-1, workers, tokens+1)
	}
	if t.Failed() {
		t.Logf("%s\n%s", strings.Join(said, "\n"), stderr.String())
	}
}
