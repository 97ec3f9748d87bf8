package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// writeGoals writes what is to be reached and what was.
func writeGoals(b *bytes.Buffer, _ *plan, r results) {
	rows := [][]string{{"measure", "by", "to reach", "measured", "verdict"}}
	missed := 0
	for _, g := range goals {
		out, ok := g.reached(r)
		if !ok {
			continue
		}
		rows = append(rows, []string{g.title(), g.ours.name, g.limitText(), out.text, g.verdict(out)})
		if len(out.missed) > 0 {
			missed++
		}
	}
	fmt.Fprintf(b, "%d of %s reached.\n\n", len(rows)-1-missed, count(len(rows)-1, "goal"))
	writeRows(b, rows)
}

// writeConditions writes what was measured, when and on what.
func writeConditions(b *bytes.Buffer, p *plan, _ results) {
	rows := [][]string{
		{"what", "which"},
		{"date", time.Now().UTC().Format(time.DateOnly)},
		{"processor", fmt.Sprintf("%s, %s", processor(), count(runtime.NumCPU(), "core"))},
		{"system", fmt.Sprintf("%s %s, %s", runtime.GOOS, release(), runtime.GOARCH)},
		{"Go", runtime.Version()},
	}
	for _, l := range p.libraries {
		if l.workers == 0 && !l.strategy {
			rows = append(rows, []string{l.name, l.version()})
		}
	}
	writeRows(b, append(rows,
		[]string{"repetitions", fmt.Sprintf("%d, in turns; the order rotates; the numbers are medians", p.repetitions)},
		[]string{"one measurement", fmt.Sprintf("%v after a quarter of that to warm up", p.slice)},
		[]string{"a longer one", fmt.Sprintf("%v, from %s in flight on, for messages of %s, and from %d streams on", heavySlices*p.slice, bytesName(heavy), bytesName(large), crowd)},
		[]string{"latencies", fmt.Sprintf("of one call in %d; of each if there is one caller, or from 64 KiB on", latencyEvery)},
		[]string{"memory", fmt.Sprintf("of %d sessions after one call each, and of %d streams after one message each way", idleSessions, idleStreams)}))
}

// writeLeftOut writes which measurements there are not, and why.
func writeLeftOut(b *bytes.Buffer, p *plan, _ results) {
	for _, line := range p.missing {
		fmt.Fprintf(b, "- %s.\n", line)
	}
	for _, l := range p.libraries {
		var reasons []string
		left := map[string]int{}
		for _, c := range p.cells {
			if l.skips == nil || !l.isFor(c) {
				continue
			}
			if why := l.skips(c); why != "" {
				if left[why] == 0 {
					reasons = append(reasons, why)
				}
				left[why]++
			}
		}
		for _, why := range reasons {
			fmt.Fprintf(b, "- %s, %s: %s.\n", l.name, count(left[why], "measurement"), why)
		}
	}
	b.WriteByte('\n')
}

// processor returns the model of the processor, as Linux knows it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(model)
			}
		}
	}
	return "unknown processor"
}
