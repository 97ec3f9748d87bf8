package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// These find a line of the command: on a line of a block of code, and within a sentence.
var (
	blockLine  = regexp.MustCompile(`^ *(?:\$ )?(?:bin/|go run \./cmd/)?rpcnet ([a-z].*)$`)
	inlineLine = regexp.MustCompile("`(?:bin/|go run \\./cmd/)?rpcnet ([a-z][^`]*)")
)

// commandLines returns the lines of the command in a page.
func commandLines(page string) (lines []string) {
	fenced := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced || strings.HasPrefix(line, "    "):
			if m := blockLine.FindStringSubmatch(line); m != nil {
				lines = append(lines, m[1])
			}
		default:
			for _, m := range inlineLine.FindAllStringSubmatch(line, -1) {
				lines = append(lines, m[1])
			}
		}
	}
	return lines
}

// checkLine returns what is wrong with the command and the flags of a line. Values and
// arguments are not looked at.
func checkLine(t *testing.T, line string) error {
	t.Helper()
	line, _, _ = strings.Cut(line, " #")
	for _, end := range []string{" | ", " > ", " < "} {
		line, _, _ = strings.Cut(line, end)
	}
	// What can be left out is checked too.
	line = strings.NewReplacer("[", "", "]", "", "'", "", `"`, "").Replace(line)
	root := newRoot(testEnvironment(t, io.Discard, io.Discard))
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(longFlags(root, strings.Fields(line)))
	if err == nil && cmd == root {
		return usageError("no such command")
	}
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil && !strings.Contains(err.Error(), "invalid argument") {
		return err
	}
	return nil
}

// A page that shows a command line shows one that there is.
func TestPagesShowCommandsAndFlagsThatExist(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../../README.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			if strings.HasPrefix(line, "call: ") {
				continue // what it prints
			}
			found++
			if err := checkLine(t, line); err != nil {
				t.Errorf("%s: rpcnet %s: %v", page, line, err)
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d lines: the pattern is wrong", found)
	}
	for _, wrong := range []string{"frobnicate", "members -addres a:1", "context ad prod -addr a:1"} {
		if checkLine(t, wrong) == nil {
			t.Errorf("rpcnet %s passes", wrong)
		}
	}
}

// An example in the help of a command is a line of that command.
func TestExamplesInTheHelpExist(t *testing.T) {
	t.Parallel()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			_, line, ok := strings.Cut(strings.TrimSpace(line), "rpcnet ")
			if !ok {
				t.Errorf("%s: the example %q does not call it", c.CommandPath(), line)
				continue
			}
			if err := checkLine(t, strings.TrimSuffix(line, ")")); err != nil {
				t.Errorf("%s: the example %q: %v", c.CommandPath(), line, err)
			}
		}
		for _, c := range c.Commands() {
			visit(c)
		}
	}
	visit(newRoot(testEnvironment(t, io.Discard, io.Discard)))
}
