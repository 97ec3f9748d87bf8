package proc_test

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/proc"
)

// TestMain is also the child process: PROC_TEST says what it does.
func TestMain(m *testing.M) {
	switch os.Getenv("PROC_TEST") {
	case "":
		goleak.VerifyTestMain(m)
	case "talk":
		fmt.Println("one")
		fmt.Fprintln(os.Stderr, "two")
		fmt.Println()
		fmt.Print(strings.Repeat("long", 1<<16), "\nno newline")
		os.Exit(3)
	case "wait":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		select {}
	}
}

func start(t *testing.T, what string, line func(string)) *proc.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := proc.Start(self, nil, []string{"PROC_TEST=" + what}, line)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); <-p.Done() })
	return p
}

func TestEveryLineOfBothOutputsIsHandedOnBeforeDone(t *testing.T) {
	t.Parallel()
	var got []string
	p := start(t, "talk", func(s string) { got = append(got, s) })
	if status := p.Status(); status != 3 {
		t.Errorf("status %d, want 3", status)
	}
	want := []string{"one", "two", "", strings.Repeat("long", 1<<16), "no newline"}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d is %.40q, want %.40q", i, got[i], want[i])
		}
	}
}

func TestStopAsksAndKillDoesNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		end    func(*proc.Process)
		status int
	}{
		{"wait", (*proc.Process).Stop, 0},
		{"wait", (*proc.Process).Kill, -1},
		{"stubborn", func(p *proc.Process) { p.Stop(); p.Kill() }, -1},
	} {
		ready := make(chan struct{})
		p := start(t, c.what, func(string) { close(ready) })
		<-ready
		c.end(p)
		if status := p.Status(); status != c.status {
			t.Errorf("%s: status %d, want %d", c.what, status, c.status)
		}
		p.Stop() // of no effect
	}
}

func TestAProgramThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := proc.Start("/nonexistent", nil, nil, nil); err == nil {
		t.Error("started")
	}
}
