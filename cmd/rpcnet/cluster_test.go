package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/internal/certs"
	"github.com/rpcnet-go/rpcnet/workers"
)

// startNode makes a node with certificates in a folder of its own, and returns
// it and the flags to reach it.
func startNode(t *testing.T) (*cluster.Node, []string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if _, err := certs.Make(dir, nil); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	ep, err := rpcnet.Listen("127.0.0.1:0", rpcnet.CertFiles(filepath.Join(dir, "test_cert.pem"), filepath.Join(dir, "test_key.pem"), filepath.Join(dir, "ca.pem")), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	n, err := cluster.Join(t.Context(), ep, &cluster.Config{Name: "worker-a", Tags: cluster.Tags{"role": "worker"}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n, []string{"-dir", dir, "-addr", ep.Addr().String()}
}

func TestMembersListsTheClusterWithoutJoining(t *testing.T) {
	t.Parallel()
	n, flags := startNode(t)
	status, out, errs := runCommand(t, append([]string{"members"}, flags...)...)
	if status != 0 || !strings.Contains(out, "worker-a") || !strings.Contains(out, "alive") || !strings.Contains(out, "role=worker") ||
		!strings.Contains(out, "1 present, 0 gone") {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	status, out, errs = runCommand(t, append([]string{"members", "-o", "json"}, flags...)...)
	var v cluster.Snapshot
	if err := json.Unmarshal([]byte(out), &v); status != 0 || err != nil {
		t.Fatalf("status %d, %q, %q: %v", status, out, errs, err)
	}
	if len(v.Members) != 1 || v.Members[0].ID() != n.Self().ID() || v.Members[0].State != cluster.StateAlive || v.Cluster != "rpcnet" {
		t.Errorf("%+v", v)
	}
	if _, out, _ = runCommand(t, append([]string{"members", "-select", "role=director"}, flags...)...); strings.Contains(out, "role=worker") {
		t.Errorf("-select shows %q", out)
	}
	if status, out, errs = runCommand(t, "members", flags[0], flags[1], flags[3]); status != 0 || !strings.Contains(out, "1 present") {
		t.Errorf("with the address as its argument: status %d, %q, %q", status, out, errs)
	}
	for arg, want := range map[string]string{"nonsense": "host:port", "-o": "needs an argument"} {
		if status, _, errs = runCommand(t, "members", arg); status != 2 || !strings.Contains(errs, want) {
			t.Errorf("%q: status %d, %q", arg, status, errs)
		}
	}
	if ms := n.Members(); len(ms) != 1 {
		t.Errorf("asking made a member: %v", ms)
	}
}

// A node that chooses among workers says which it can choose, and of others why
// not.
func TestFieldMembersSaysWhyAWorkerIsNotChosen(t *testing.T) {
	t.Parallel()
	n, flags := startNode(t)
	quiet := slog.New(slog.DiscardHandler)
	r, err := workers.NewRegistry(n, &workers.RegistryConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := workers.NewWorker(n, &workers.WorkerConfig{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	cert, key := certs.Files(filepath.Join(flags[1], "d"))
	if _, err := certs.Add(flags[1], certs.Leaf{Name: "d", Role: "director"}); err != nil {
		t.Fatal(err)
	}
	ep, err := rpcnet.Listen("127.0.0.1:0", rpcnet.CertFiles(cert, key, filepath.Join(flags[1], "ca.pem")), &rpcnet.EndpointConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ep.Close() })
	d, err := cluster.Join(t.Context(), ep, &cluster.Config{
		Name: "impostor", Tags: cluster.Tags{"role": "worker"}, Seeds: []string{flags[3]}, Discovery: cluster.DiscoveryConfig{WaitForSeed: true}, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	want := []string{`worker-a .*role=worker +0 +0 +ready`, `impostor .*role=worker .*may not be used as worker`}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, out, _ := runCommand(t, append([]string{"members"}, flags...)...)
		missing := slices.IndexFunc(want, func(re string) bool { return !regexp.MustCompile(re).MatchString(out) })
		if missing < 0 {
			t.Logf("field | a worker whose certificate may not be a worker's | rpcnet members says why | it does")
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no line %q in\n%s", want[missing], out)
		}
	}
}

// follow runs a command until the test ends and returns the lines it prints.
func follow(t *testing.T, args []string) <-chan string {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	lines, done := make(chan string), make(chan int)
	go func() {
		status := run(ctx, testEnvironment(t, w, w), args)
		w.Close()
		done <- status
	}()
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		if status := <-done; status != 0 {
			t.Errorf("%q: status %d after an interrupt", args, status)
		}
	})
	return lines
}

// until waits for a line with these words.
func until(t *testing.T, lines <-chan string, words ...string) string {
	t.Helper()
	timeout := time.After(20 * time.Second)
next:
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				t.Fatalf("the command ended without a line with %q", words)
			}
			for _, w := range words {
				if !strings.Contains(l, w) {
					continue next
				}
			}
			return l
		case <-timeout:
			t.Fatalf("no line with %q", words)
		}
	}
}

func TestEventsAndWatchFollowTheCluster(t *testing.T) {
	t.Parallel()
	n, flags := startNode(t)
	text := follow(t, append([]string{"events"}, flags...))
	data := follow(t, append([]string{"events", "-o", "json", "-initial=false"}, flags...))
	table := follow(t, append([]string{"members", "-watch"}, flags...))
	until(t, text, "NodeJoined", "worker-a", "(present)")
	until(t, table, "1 present")
	// The streams are open once they have shown something; -initial=false shows
	// nothing, so that it may need more than one change.
	deadline := time.Now().Add(20 * time.Second)
	for i := 0; ; i++ {
		if err := n.UpdateTags(cluster.Tags{"round": strings.Repeat("x", i%50+1)}); err != nil {
			t.Fatal(err)
		}
		select {
		case l := <-data:
			var e cluster.Event
			if err := json.Unmarshal([]byte(l), &e); err != nil || e.Kind != cluster.KindNodeUpdated || e.Initial {
				t.Fatalf("%q: %v", l, err)
			}
		case <-time.After(50 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
			t.Fatal("no event")
		}
		break
	}
	until(t, text, "NodeUpdated", "round=x")
	until(t, table, "worker-a", "round=x")
}

// A worker that can be chosen now is no event of the membership.
func TestMembersWatchFollowsTheWorkersToo(t *testing.T) {
	t.Parallel()
	n, flags := startNode(t)
	table := follow(t, append([]string{"members", "-watch"}, flags...))
	until(t, table, "1 present")
	quiet := slog.New(slog.DiscardHandler)
	r, err := workers.NewRegistry(n, &workers.RegistryConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := workers.NewWorker(n, &workers.WorkerConfig{Logger: quiet, Capacity: 3}); err != nil {
		t.Fatal(err)
	}
	until(t, table, "worker-a", "0/3", "ready")
}

func TestCommandsThatReadAClusterSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, flags := startNode(t)
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"members", "-o", "xml"}, 2, "want table or json"},
		{[]string{"events", "-o", "table"}, 2, "want text or json"},
		{[]string{"members", "a:1", "more"}, 2, `unexpected argument "more"`},
		{append([]string{"members", "-select", "a="}, flags...), 2, "character 3"},
		{append(append([]string{"members"}, flags...), "-dir", "nowhere"), 3, "nowhere"},
		{append(append([]string{"members"}, flags...), "-addr", "127.0.0.1:1"), 3, "127.0.0.1:1"},
		{append(append([]string{"events"}, flags...), "-server-name", "other.example"), 3, "other.example"},
	} {
		status, _, errs := runCommand(t, c.args...)
		if status != c.status || !strings.Contains(errs, c.want) {
			t.Errorf("%q: status %d, %q, want %d and %q", c.args, status, errs, c.status, c.want)
		}
	}
}
