package main

import (
	"bytes"
	"fmt"
	"strings"
)

// A table is the results of cells that have the same metrics.
type table struct {
	title string
	cells []cell
	// what names the first column, which tells the cells apart, and of is what it
	// says. A table of one cell has no such column.
	what string
	of   func(cell) string
}

// tables returns those of a run.
func tables(p *plan) []table {
	var all []table
	add := func(title, what string, of func(cell) string, keep func(cell) bool) {
		var cells []cell
		for _, c := range p.cells {
			if keep(c) {
				cells = append(cells, c)
			}
		}
		if len(cells) > 0 {
			all = append(all, table{title, cells, what, of})
		}
	}
	atATime := func(c cell) string { return fmt.Sprint(max(c.callers, c.streams)) }
	for _, s := range unarySizes {
		add("Unary calls of "+bytesName(s), "callers", atATime, func(c cell) bool { return c == unaryCell(s, c.callers) })
	}
	add("Unary calls of one caller, client and server on one core", "size", func(c cell) string { return bytesName(c.size) },
		func(c cell) bool { return c.oneCore })
	add("Unary calls of 32 B by 64 callers over 64 connections", "callers", atATime, func(c cell) bool { return c.conns > 0 })
	for _, n := range workerCounts {
		add("Unary calls of 32 B over "+count(n, "worker"), "callers", atATime, func(c cell) bool { return c.kind == unary && c.workers == n })
	}
	add("A pick of a worker, its ticket included", "workers", func(c cell) string { return fmt.Sprint(c.workers) },
		func(c cell) bool { return c.kind == pick })
	add("Unary calls of 32 B in JSON over HTTP/2", "callers", atATime, func(c cell) bool { return c.json && c.kind == unary })
	add("Server streaming of 32 B in JSON over HTTP/2", "streams", atATime, func(c cell) bool { return c.json && c.kind == feed })
	for _, k := range []struct{ kind, title string }{
		{feed, "Server streaming of 32 B"},
		{talk, "Ping-pong of 32 B on a stream"},
		{paced, "Streams of a message each millisecond: the delay of delivery"},
		{handshake, "Handshake: connect, one call, close"},
		{idleSession, "Memory of an idle session"},
		{idleStream, "Memory of an idle stream"},
	} {
		add(k.title, "streams", atATime, func(c cell) bool { return c.kind == k.kind && !c.json })
	}
	return all
}

// writeTables writes all numbers of a run.
func writeTables(b *bytes.Buffer, p *plan, r results) {
	for _, t := range tables(p) {
		fmt.Fprintf(b, "### %s\n\n", t.title)
		writeRows(b, t.rows(p, r))
	}
}

// rows returns the head of the table and a row for each cell and library.
func (t *table) rows(p *plan, r results) [][]string {
	columns := metricsOf(t.cells[0])
	first := func(s string) []string {
		if len(t.cells) > 1 {
			return []string{s}
		}
		return nil
	}
	by := "library"
	if t.cells[0].kind == pick {
		by = "strategy"
	}
	head := append(first(t.what), by)
	for _, m := range columns {
		head = append(head, m.name)
	}
	rows := [][]string{head}
	for _, c := range t.cells {
		base, compare := r.get(c, reference(c))
		for _, l := range p.libraries {
			s, ok := r.get(c, l)
			if !ok {
				continue
			}
			row := append(first(t.of(c)), l.name)
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
	return rows
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
