package gossip

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/loglimit"
)

func TestMemberlistsLinesGetLevelsThatFit(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var failed, fallback []string
	quiet := false
	l := NewLogger(loglimit.New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))), Hooks{
		ProbeFailed: func(id string) { failed = append(failed, id) },
		PacketsLost: func(id string) { fallback = append(fallback, id) },
		Quiet:       func() bool { return quiet },
	})
	for _, c := range []struct{ line, want string }{
		{"[DEBUG] memberlist: Stream connection from=1.2.3.4:5", `level=DEBUG msg="Stream connection from=1.2.3.4:5"`},
		{"[INFO] memberlist: Marking a@1 as failed", `level=DEBUG msg="Marking a@1 as failed"`},
		{"[WARN] memberlist: Refuting a suspect message", `level=INFO msg="Refuting a suspect message"`},
		{"[ERR] memberlist: Failed to send", `level=INFO msg="Failed to send"`},
		{"[ERR] memberlist: Failed to send UDP ping: " + errBlind.Error(), `level=DEBUG msg="Failed to send UDP ping`},
		{"Err: Could not set the deadline", `level=DEBUG msg="Err: Could not set the deadline"`},
		{"[INFO] memberlist: Suspect a@1 has failed, no acks received", "level=DEBUG"},
		{"[WARN] memberlist: Was able to connect to b@2 over TCP but UDP probes failed, network may be misconfigured", "level=DEBUG"},
	} {
		out.Reset()
		l.Print(c.line)
		if !strings.Contains(out.String(), c.want) || !strings.Contains(out.String(), "source=memberlist") {
			t.Errorf("%q became %q, want %q", c.line, out.String(), c.want)
		}
	}
	quiet = true
	out.Reset()
	if l.Print("[WARN] memberlist: Refuting a dead message"); !strings.Contains(out.String(), "level=DEBUG") {
		t.Errorf("of a node that leaves: %q", out.String())
	}
	if !slices.Equal(failed, []string{"a@1"}) || !slices.Equal(fallback, []string{"b@2"}) {
		t.Errorf("hooks were told %v and %v", failed, fallback)
	}
}
