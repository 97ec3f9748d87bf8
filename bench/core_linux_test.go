package main

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// coresOf returns what the system says a process of its own may run on.
func coresOf(t *testing.T) (list string) {
	t.Helper()
	status, err := exec.Command("cat", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no list of cores in %s", status)
	return ""
}

func TestAProcessStartedOnOneCoreKeepsToIt(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread() // the thread that onOneCore has to give back as it was
	defer runtime.UnlockOSThread()
	var before, after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if err := onOneCore(func() error {
		if cores := coresOf(t); strings.ContainsAny(cores, ",-") {
			t.Errorf("the process may run on cores %s, want one", cores)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != before {
		t.Errorf("afterwards the thread has %d cores (%v), before it had %d", after.Count(), err, before.Count())
	}
}
