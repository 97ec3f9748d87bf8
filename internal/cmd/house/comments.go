package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// density returns the percentage of lines that are nothing but comment: of each
// package of the library, and of all of them. Programs, examples and what runs
// inside tests alone are left out: they are short, or a list of cases.
func density(t tree) (packages []count, all int) {
	type sum struct{ comments, lines int }
	sums := map[string]sum{}
	var total sum
	for _, f := range t.files {
		if f.ast.Name.Name == "main" || strings.HasPrefix(f.path, "examples/") || suites[f.dir()] {
			continue
		}
		s, comments, lines := sums[f.dir()], len(f.comments()), len(f.text)
		sums[f.dir()] = sum{s.comments + comments, s.lines + lines}
		total = sum{total.comments + comments, total.lines + lines}
	}
	for dir, s := range sums {
		packages = append(packages, count{dir, 100 * s.comments / s.lines})
	}
	return descending(packages), 100 * total.comments / max(total.lines, 1)
}

// suites are packages with nothing but tests for others to run.
var suites = map[string]bool{"internal/conformance": true, "internal/gen/gentest": true, "internal/testkit": true}

// comments returns the numbers of the lines that are nothing but comment.
func (f file) comments() (lines []int) {
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			start, end := f.fset.Position(c.Pos()), f.fset.Position(c.End())
			for line := start.Line; line <= end.Line; line++ {
				if line == start.Line && strings.TrimSpace(f.text[line-1][:start.Column-1]) != "" {
					continue // code stands before it
				}
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// idioms are words that a plain verb, "if" or "when" can replace in comments.
var idioms = regexp.MustCompile(`(?i)\b(nobody|whom|whoever|whatever|(is|are|was|were|be|been) told|may be|comes to that|` +
	`takes? itself for|without a word|of its own accord|the original)\b`)

// idiomatic returns the comment lines with such words, as "file:line: text", and
// how many there are in each file.
func idiomatic(t tree) (lines []string, files []count) {
	for _, f := range t.files {
		before := len(lines)
		for _, n := range f.comments() {
			if text := f.text[n-1]; idioms.MatchString(text) {
				lines = append(lines, fmt.Sprintf("%s:%d: %s", f.path, n, strings.TrimSpace(text)))
			}
		}
		files = append(files, count{f.path, len(lines) - before})
	}
	return lines, descending(files)
}

// printIdioms prints the comment lines with idioms.
func printIdioms(w io.Writer, t tree) error {
	lines, _ := idiomatic(t)
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}
