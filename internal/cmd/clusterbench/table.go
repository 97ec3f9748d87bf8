//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

const tableBegin, tableEnd = "<!-- clusterbench begin -->\n", "<!-- clusterbench end -->"

// failedRun follows the name of a line in what is said below the table.
const failedRun = ", failed run "

const columns = 6

const tableHead = "| quantity | measured | runs | at a time | ended (UTC) | target |\n|---|---|---|---|---|---|\n"

// maxDetails is how many nodes of a failed run the document tells about.
const maxDetails = 3

// writeTable replaces the table in the document. A line that this run has not
// measured, yet or at all, stays as it is, so that a run that is interrupted
// after hours, or one of a few rows, loses nothing; names are all lines there
// are, in order, and what has another name goes.
func writeTable(file string, names []string, results []*result, begin time.Time) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(b), tableBegin)
	old, tail, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no table between %q and %q", file, strings.TrimSpace(tableBegin), tableEnd)
	}
	table := head + tableBegin + tableText(old, names, results, begin) + tableEnd + tail
	// Written next to it and renamed: an interrupt must not leave half of a document.
	next := file + ".new"
	if err := os.WriteFile(next, []byte(table), 0o644); err != nil {
		return err
	}
	if err := os.Rename(next, file); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return nil
}

// tableText returns the new table with what surrounds it.
func tableText(old string, names []string, results []*result, begin time.Time) string {
	kept := map[string]string{}        // the old lines, by name
	keptNotes := map[string][]string{} // and what is said below of their failed runs
	for l := range strings.Lines(old) {
		if cells := strings.Split(l, " | "); len(cells) == columns {
			kept[strings.TrimPrefix(cells[0], "| ")] = l
		}
		if name, _, ok := strings.Cut(strings.TrimPrefix(l, "- "), failedRun); ok {
			keptNotes[name] = append(keptNotes[name], l)
		}
	}
	measured := map[string]*result{}
	for _, r := range results {
		measured[r.name] = r
	}
	var t, notes strings.Builder
	fmt.Fprintf(&t, "Begun on %s with %s; `go run ./internal/cmd/clusterbench -doc docs/membership.md`.\n"+
		"A line that ended before that is of an earlier run.\n\n", begin.UTC().Format(timeFormat), machine())
	t.WriteString(tableHead)
	for _, name := range names {
		r := measured[name]
		if r == nil {
			t.WriteString(kept[name])
			for _, l := range keptNotes[name] {
				notes.WriteString(l)
			}
			continue
		}
		fmt.Fprintf(&t, "| %s | %s%s | %d | %d | %s | %s |\n", name, cell(r.value()), r.mark(" **missed**"),
			r.runs, r.atATime, r.when.UTC().Format(timeFormat), r.target)
		for i, err := range r.errs {
			ds := details(err)
			ds = append([]string{err.Error()}, ds[:min(maxDetails, len(ds))]...)
			for _, d := range ds {
				fmt.Fprintf(&notes, "- %s%s%d: %s\n", name, failedRun, i+1, cell(d))
			}
		}
	}
	t.WriteString("\n")
	if notes.Len() > 0 {
		t.WriteString(notes.String() + "\n")
	}
	return t.String()
}

const timeFormat = "2006-01-02 15:04"

// cell makes text fit into a line of the document.
func cell(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "|", "/")), " ")
}
