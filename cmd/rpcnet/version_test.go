package main

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/version"
)

func TestVersionPrintsEachVersionOnALine(t *testing.T) {
	t.Parallel()
	end := fmt.Sprintf("go        %s %s/%s\nprotocol  rpcnet/1: frames 1, gossip 1\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for want, v := range map[string]version.Info{
		"rpcnet    v1.2.3\ncommit    unknown\n":                              {Version: "v1.2.3"},
		"rpcnet    0.1\ncommit    abc\n":                                     {Version: "0.1", Commit: "abc"},
		"rpcnet    0.1\ncommit    abc, and changes that are not committed\n": {Version: "0.1", Commit: "abc", Modified: true},
	} {
		if got := versionText(v); got != want+end {
			t.Errorf("%+v: %q, want %q", v, got, want+end)
		}
	}
	status, out, errs := runCommand(t, "version")
	if status != 0 || errs != "" || !strings.HasPrefix(out, "rpcnet    ") || !strings.HasSuffix(out, end) {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
	if status, _, errs := runCommand(t, "version", "1"); status != 2 || !strings.Contains(errs, "version takes none") {
		t.Errorf("an argument: status %d, %q", status, errs)
	}
}
