package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// runCommand returns the exit status and what the command line printed.
func runCommand(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), testEnvironment(t, &o, &e), args)
	return status, o.String(), e.String()
}

// testEnvironment returns an environment without variables, with a folder of its own
// for configuration.
func testEnvironment(t *testing.T, out, errs io.Writer) *environment {
	t.Helper()
	dir := t.TempDir()
	return &environment{
		in: strings.NewReader(""), out: out, errs: errs, now: time.Now,
		getenv:    func(string) string { return "" },
		configDir: func() (string, error) { return dir, nil },
	}
}

func TestWrongUsageIsStatusTwoWithALineThatHelps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "usage: rpcnet COMMAND"},
		{[]string{"nonsense"}, `unknown command "nonsense"`},
		{[]string{"certs", "-nonsense"}, "unknown flag: --nonsense"},
		{[]string{"certs", "localhost"}, "hosts go into -host"},
		{[]string{"certs", "-dir", ""}, "-dir is empty"},
		{[]string{"certs", "-role", "worker"}, "-role needs -name"},
	} {
		status, _, errs := runCommand(t, c.args...)
		if status != 2 || !strings.Contains(errs, c.want) {
			t.Errorf("%q: status %d, %q, want 2 and %q", c.args, status, errs, c.want)
		}
	}
}

func TestHelpNamesEveryCommandAndEachExplainsItself(t *testing.T) {
	t.Parallel()
	status, out, _ := runCommand(t, "help")
	if status != 0 {
		t.Errorf("status %d", status)
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		name := strings.TrimPrefix(c.CommandPath(), "rpcnet ")
		if c.Parent() != nil && c.Parent().Parent() == nil && !strings.Contains(out, "  "+name) {
			t.Errorf("help leaves out %q", name)
		}
		if status, out, _ := runCommand(t, append(strings.Fields(name), "-h")...); c.Parent() != nil && (status != 0 || !strings.Contains(out, c.Short)) {
			t.Errorf("%s -h: status %d, %q", name, status, out)
		}
		if c.Parent() != nil && c.Example == "" {
			t.Errorf("%s has no example", name)
		}
		for _, c := range c.Commands() {
			visit(c)
		}
	}
	visit(newRoot(testEnvironment(t, io.Discard, io.Discard)))
}

// Programs in Go take flags with one dash, others with two.
func TestFlagsAreTheSameWithOneDashAndWithTwo(t *testing.T) {
	t.Parallel()
	root := newRoot(testEnvironment(t, io.Discard, io.Discard))
	for in, want := range map[string]string{
		"members -addr a:1 -o json -select=a": "members --addr a:1 -o json --select=a",
		"members --addr a:1 -ojson":           "members --addr a:1 -ojson",
		"certs -dir d -host a -help":          "certs --dir d --host a --help",
		"events -nonsense - -- -addr":         "events --nonsense - -- -addr",
		"__complete members -addr a -sel":     "__complete members --addr a -sel",
	} {
		if got := strings.Join(longFlags(root, strings.Fields(in)), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestCertsSaysWhatItMadeAndWhatItKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "c")
	for _, verb := range []string{"made ", "kept "} {
		status, out, errs := runCommand(t, "certs", "-dir", dir, "-host", "example.org, 10.0.0.1,")
		if status != 0 || strings.Count(out, verb) != 8 || strings.Count(out, "\n") != 8 {
			t.Errorf("status %d, %q, %q: want eight lines with %q", status, out, errs, verb)
		}
	}
	if status, _, errs := runCommand(t, "certs", "-dir", dir, "-host", "example.com"); status != 1 || !strings.Contains(errs, "example.com") {
		t.Errorf("a host that the kept certificate lacks: status %d, %q", status, errs)
	}
	status, out, errs := runCommand(t, "certs", "-dir", dir, "-name", "worker-a", "-role", "worker")
	if status != 0 || !strings.Contains(out, "made "+filepath.Join(dir, "worker-a_cert.pem")) {
		t.Errorf("a certificate of its own: status %d, %q, %q", status, out, errs)
	}
}
