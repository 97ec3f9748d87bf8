package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// runCommand returns the exit status and what the command line printed.
func runCommand(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, &o, &e)
	return status, o.String(), e.String()
}

func TestWrongUsageIsStatusTwoWithALineThatHelps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "usage: rpcnet COMMAND"},
		{[]string{"nonsense"}, `unknown command "nonsense"`},
		{[]string{"certs", "-nonsense"}, "not defined: -nonsense"},
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
	for _, c := range commands {
		if !strings.Contains(out, c.name) {
			t.Errorf("help leaves out %q", c.name)
		}
		if status, _, errs := runCommand(t, c.name, "-h"); status != 0 || !strings.Contains(errs, c.summary) {
			t.Errorf("%s -h: status %d, %q", c.name, status, errs)
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
