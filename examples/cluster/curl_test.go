package cluster_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/examples/cluster/internal/program"
)

// events returns the ids of the events in a stream, in their order.
func events(lines []string) (ids []string) {
	for _, l := range lines {
		if id, ok := strings.CutPrefix(l, "id: "); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// The command that the demo prints streams every token once, also when its worker is
// killed, and goes on where a caller says that it is.
func TestCurlStreamsThroughTheDirector(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl on this machine")
	}
	f := newFleet(t)
	_, a, b := f.startPair()
	command := program.Curl(certDir, f.director)
	if !strings.HasPrefix(command, "curl ") {
		t.Fatalf("the command is %q", command)
	}
	curl := f.startCommand([]string{"sh", "-c", "exec " + command}, "curl", "")
	serving := a
	if strings.Contains(curl.await(`data: {"connected":{`).text, "worker-b") {
		serving = b
	}
	curl.await("id: 5")
	serving.Kill()
	curl.await("event: end")
	curl.ended(0)
	var want []string
	for id := 1; id <= 31; id++ { // 30 tokens and Done
		want = append(want, fmt.Sprint(id))
	}
	if got := events(curl.lines()); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the events are %v, want 1 to 31", got)
	}
	late := f.startCommand([]string{"sh", "-c", "exec " + command + " -H 'Last-Event-ID: 28'"}, "late", "")
	late.await("event: end")
	late.ended(0)
	if got := events(late.lines()); strings.Join(got, " ") != "29 30 31" {
		t.Errorf("after 28 come %v, want 29 30 31", got)
	}
}
