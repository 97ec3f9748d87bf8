//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rpcnet-go/rpcnet/internal/certs"
)

// TestBothVersionsSurviveAKilledWorker runs the real programs: whoever compares
// must show that both work.
func TestBothVersionsSurviveAKilledWorker(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	if _, err := certs.Make(tmp, []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		t.Run(v, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command("go", "build", "-o", filepath.Join(tmp, v), "../"+v).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			r, err := measure(tmp, v, scenarios[0], 150)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("gap %v, new clients %v, chosen again after %v", r.gap, r.fresh, r.back)
			if !r.whole {
				t.Error("tokens were lost or came twice")
			}
			if r.back == 0 {
				t.Error("the restarted worker was never chosen again")
			}
		})
	}
}

func TestOnlyLinesWithCodeCount(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "x.go")
	src := "// Package x.\npackage x\n\n/* a\nb */\nvar a = 1 // one\n\nfunc f() {\n\treturn\n}\n"
	if err := os.WriteFile(name, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := codeLines(name); err != nil || n != 5 {
		t.Errorf("got %d, %v, want 5", n, err)
	}
}
