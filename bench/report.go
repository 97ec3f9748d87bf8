package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// writeReport writes a run as a page of documentation.
func writeReport(b *bytes.Buffer, p *plan, r results) {
	fmt.Fprintf(b, `# Performance

Written by `+"`make bench`"+` on %s; do not edit. rpcnet and other libraries
do the same work, in turns within one run. Client and server are two processes on
one machine. Unless a row says more, they have one connection over loopback, with
TLS 1.3 and certificates on both sides. Each library has its defaults, and each
call has a deadline.

| | |
|---|---|
`, time.Now().UTC().Format(time.DateOnly))
	for _, f := range machine() {
		fmt.Fprintf(b, "| %s | %s |\n", f[0], f[1])
	}
	for _, l := range p.libraries {
		if l.workers == 0 {
			fmt.Fprintf(b, "| %s | %s |\n", l.name, l.version())
		}
	}
	fmt.Fprintf(b, `| repetitions | %d, in turns, the order rotates; medians |
| one measurement | %v (%v from %s in flight on, for messages of %s, and from %d streams on) after a quarter of that to warm up, in two processes that have measured nothing before |

Compare numbers within a table only. Trust ratios more than numbers, because both
numbers of a ratio were taken at the same time. The ratio in parentheses is to
%s, and over workers to direct connections.

`, p.repetitions, p.slice, heavySlices*p.slice, bytesName(heavy), bytesName(large), crowd, grpcGo.name)
	writeGoals(b, r)
	writeFaster(b, p, r)
	for _, s := range unarySizes {
		of := only(p.cells, func(c cell) bool { return c == unaryCell(s, c.callers) })
		writeTable(b, "Unary calls of "+bytesName(s), p, r, of)
	}
	writeTable(b, "Unary calls of 32 B by 64 callers over 64 connections", p, r, only(p.cells, func(c cell) bool { return c.conns > 0 }))
	for _, k := range []struct{ kind, title string }{
		{feed, "Server streaming"},
		{talk, "Ping-pong on a stream"},
		{paced, "Streams of a message each millisecond: the delay of delivery"},
		{handshake, "Handshake: connect, one call, close"},
		{idleSession, "Memory of an idle session"},
		{idleStream, "Memory of an idle stream"},
	} {
		writeTable(b, k.title, p, r, only(p.cells, func(c cell) bool { return c.kind == k.kind }))
	}
	for _, n := range []int{1, 10} {
		writeTable(b, "Unary calls of 32 B over "+count(n, "worker"), p, r, only(p.cells, func(c cell) bool { return c.workers == n }))
	}
	writeMethod(b, p)
}

func only(cells []cell, keep func(cell) bool) []cell {
	var kept []cell
	for _, c := range cells {
		if keep(c) {
			kept = append(kept, c)
		}
	}
	return kept
}

// writeGoals writes what is to be reached and what was.
func writeGoals(b *bytes.Buffer, r results) {
	rows := [][]string{{"measure", "by", "to reach", "measured", ""}}
	for _, g := range goals {
		if out, ok := g.reached(r); ok {
			rows = append(rows, []string{g.title(), g.ours.name, g.limitText(), out.text, g.verdict(out)})
		}
	}
	if len(rows) > 1 {
		b.WriteString("## To reach\n\n")
		writeRows(b, rows)
	}
}

// writeTable writes the results of cells that have the same metrics.
func writeTable(b *bytes.Buffer, title string, p *plan, r results, of []cell) {
	if len(of) == 0 {
		return
	}
	columns := metricsOf(of[0])
	head := []string{"library"}
	if len(of) > 1 {
		head = []string{"at a time", "library"}
	}
	for _, m := range columns {
		head = append(head, m.name)
	}
	rows := [][]string{head}
	for _, c := range of {
		base, compare := r.get(c, reference(c))
		for _, l := range p.libraries {
			s, ok := r.get(c, l)
			if !ok {
				continue
			}
			row := []string{l.name}
			if len(of) > 1 {
				row = []string{fmt.Sprint(max(c.callers, c.streams)), l.name}
			}
			for _, m := range columns {
				text := number(m.of(s))
				if compare && l != reference(c) && m.of(base) != 0 {
					text += " (" + number(m.of(s)/m.of(base)) + ")"
				}
				row = append(row, text)
			}
			rows = append(rows, row)
		}
	}
	fmt.Fprintf(b, "## %s\n\n", title)
	writeRows(b, rows)
}

// writeRows writes a table; the first row is its head. Columns are padded, so
// that the text reads as well as the page.
func writeRows(b *bytes.Buffer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			width[i] = max(width[i], len(s))
		}
	}
	line := func(row []string, pad string) {
		for i, s := range row {
			fmt.Fprintf(b, "| %s%s ", s, strings.Repeat(pad, width[i]-len(s)))
		}
		b.WriteString("|\n")
	}
	line(rows[0], " ")
	line(make([]string, len(rows[0])), "-")
	for _, row := range rows[1:] {
		line(row, " ")
	}
	b.WriteByte('\n')
}

// writeMethod says how the numbers were taken and what was left out.
func writeMethod(b *bytes.Buffer, p *plan) {
	b.WriteString(`## How it was measured

- Calls: each caller is a goroutine that makes one call after the other, with a
  context of its own that has a deadline. Handlers send back what they get. The
  length, the first and the last byte of each response are checked. p50 and p99
  are of one call in
` + fmt.Sprintf("  %d; of each if there is one caller, or from 64 KiB on.\n", latencyEvery) + `- CPU and allocations are those of both processes together, from before the first
  call to after the last. They come from getrusage and the runtime.
- Server streaming: one call sends messages as fast as it can for the time of the
  measurement. The client counts them until the end of the stream.
- Delay of delivery: the server writes the time of the machine's monotonic clock
  into each message before it sends it, and sleeps for 1 ms between two.
- Memory: heap and stacks of client and server together after garbage collection,
` + fmt.Sprintf("  of %d sessions after one call each, and of %d streams after one message each\n  way, ", idleSessions, idleStreams) + `minus what there is with one of them.
- Handshakes are full ones; no session is resumed.
- connect-go does not compress messages here, which it does by default. net/rpc
  has neither deadlines nor cancellation. raw TLS is the floor: a length and
  bytes, one call at a time, no goroutine but the caller's.
- tonic and jsam/rpcnet: a program in Rust is client and server; allocations are
  those that its allocator counts. jsam/rpcnet, over QUIC, has no certificate of
  the client, and is built without its own allocator.
- nats: request and reply through a broker in the server's process, whose
  responder reaches it without a network and without TLS; its limits on what may
  be pending are raised, because 1000 callers of 64 KiB reach them.
- Over workers: generated code over a workers.Client and a static list of
  workers, which are all in the server's process; and the same code over a
  connection to each of these, which the callers share evenly.
- Left out:
`)
	for _, line := range p.missing {
		fmt.Fprintf(b, "  - %s.\n", line)
	}
	for _, l := range p.libraries {
		var reasons []string
		left := map[string][]string{}
		for _, c := range p.cells {
			if l.skips == nil || l.workers != c.workers {
				continue
			}
			if why := l.skips(c); why != "" {
				if left[why] == nil {
					reasons = append(reasons, why)
				}
				left[why] = append(left[why], c.name())
			}
		}
		for _, why := range reasons {
			fmt.Fprintf(b, "  - %s, %d measurements: %s.\n", l.name, len(left[why]), why)
		}
	}
}

// machine describes where this runs.
func machine() [][2]string {
	return [][2]string{
		{"processor", fmt.Sprintf("%s, %s", processor(), count(runtime.NumCPU(), "core"))},
		{"system", fmt.Sprintf("%s %s, %s", runtime.GOOS, release(), runtime.GOARCH)},
		{"Go", runtime.Version()},
	}
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
