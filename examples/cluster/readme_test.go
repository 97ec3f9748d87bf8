package cluster_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFieldReadmeBuildsWhatItRuns takes the commands of the part of the README
// about four terminals: the first builds every program that the others run. "go
// run" would start a wrapper that does not pass kill -9 on.
func TestFieldReadmeBuildsWhatItRuns(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(readme), "## In four terminals\n")
	part, _, ends := strings.Cut(part, "\n## ")
	if !found || !ends {
		t.Fatal("the README has no part about four terminals")
	}
	var commands []string
	for line := range strings.Lines(part) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if len(commands) != 6 {
		t.Fatalf("%d commands, want 6: %q", len(commands), commands)
	}
	packages, ok := strings.CutPrefix(commands[0], "go build -o bin/ ")
	if !ok {
		t.Fatalf("the first command is %q, want go build -o bin/", commands[0])
	}
	dir := t.TempDir()
	build := exec.Command("go", append([]string{"build", "-o", dir + "/"}, strings.Fields(packages)...)...)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, command := range commands[1:] {
		words := strings.Fields(command)
		for len(words) > 0 && strings.Contains(words[0], "=") { // variables
			words = words[1:]
		}
		program, ok := strings.CutPrefix(words[0], "bin/")
		if !ok {
			t.Errorf("%q does not run a program of bin/", command)
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			t.Errorf("%q: %v", command, err)
		}
	}
}
