package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/transcript"
)

func TestWrongFlagsAreStatusTwoWithALineThatHelps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-nonsense"}, "not defined: -nonsense"},
		{[]string{"-workers", "100"}, "-workers 100: want 0 to 99"},
		{[]string{"-clients", "-1"}, "-clients -1: want 0 to 99"},
		{[]string{"-duration", "-1s"}, "-duration -1s: want 0 or more"},
		{[]string{"-strategy", "Best"}, "LeastConnections"},
		{[]string{"now"}, `unexpected argument "now"`},
	} {
		var errs bytes.Buffer
		if status := run(c.args, nil, &errs); status != 2 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%q: status %d, %q, want 2 and %q", c.args, status, errs.String(), c.want)
		}
	}
}

func TestChildrenAreADirectorWorkersOutOfStepAndEndlessClients(t *testing.T) {
	t.Setenv("DIRECTOR_ADDR", "")
	t.Setenv("WORKER_ADDR", "")
	cs, err := children(options{workers: 3, clients: 2, failures: true, strategy: "Random"}, "dir")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cs {
		names = append(names, c.name)
		for _, v := range []string{"CERT_DIR=dir", "DIRECTOR_ADDR=127.0.0.1:61000"} {
			if !slices.Contains(c.env, v) {
				t.Errorf("%s lacks %s", c.name, v)
			}
		}
	}
	if want := []string{"director", "worker-a", "worker-b", "worker-c", "client-1", "client-2"}; !slices.Equal(names, want) {
		t.Fatalf("children %q, want %q", names, want)
	}
	for i, want := range [][]string{
		{"STRATEGY=Random"},
		{"WORKER_LABEL=worker-a", "WORKER_ADDR=127.0.0.1:62001", "WORKER_TAGS=zone=a", "WORKER_FAILURE_ENABLED=true", "WORKER_FAILURE_OFFSET=0s"},
		{"WORKER_LABEL=worker-b", "WORKER_ADDR=127.0.0.1:62002", "WORKER_TAGS=zone=b", "WORKER_FAILURE_OFFSET=6s"},
		{"WORKER_LABEL=worker-c", "WORKER_ADDR=127.0.0.1:62003", "WORKER_FAILURE_OFFSET=12s"},
		{"TOKENS=0"},
	} {
		for _, v := range want {
			if !slices.Contains(cs[i].env, v) {
				t.Errorf("%s has %q, want %s", cs[i].name, cs[i].env, v)
			}
		}
	}
	if l := workerLabel(26); l != "worker-27" {
		t.Errorf("label %q after worker-z", l)
	}
}

func TestLinesBearThePrefixOfTheirProgram(t *testing.T) {
	t.Parallel()
	var plain, coloured bytes.Buffer
	newTerminal(&plain, false).printer("worker-a")("hello")
	if s := plain.String(); s != "worker-a  │ hello\n" {
		t.Errorf("%q", s)
	}
	term := newTerminal(&coloured, true)
	for range 2 {
		term.printer("x")("hello")
	}
	if s := coloured.String(); s != "\x1b[36mx         │ \x1b[0mhello\n\x1b[32mx         │ \x1b[0mhello\n" {
		t.Errorf("%q", s)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	summary(newTerminal(&out, false), []*client{
		{name: "client-1", tally: transcript.Tally{Tokens: 98, Switches: 3, Gap: 412345 * time.Microsecond}},
		{name: "client-2", tally: transcript.Tally{Tokens: 5, Lost: 1, Twice: 2}},
	})
	want := `
    client  tokens received  lost  received twice  worker switches  longest gap
  client-1               98     0               0                3        412ms
  client-2                5     1               2                0           0s
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestAListenerHearsTheFirstLineWithItsText(t *testing.T) {
	t.Parallel()
	l := listenFor("2 workers ready")
	l.line("🙋 1 workers ready")
	select {
	case <-l.heard:
		t.Fatal("heard another line")
	default:
	}
	for range 2 {
		l.line("12:00:00 INF 🙋 2 workers ready")
	}
	<-l.heard
}
