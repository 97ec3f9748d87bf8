package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// chartLibraries are those that make calls of 64 callers. Each keeps its color and its
// mark in all charts.
var chartLibraries = []*library{rpcnetRaw, rpcnetGenerated, grpcGo, connectGo, drpcGo, natsGo, tonicRust, rpcnetRust, netRPC}

// A picture is a chart with the name of its file, which the page names too.
type picture struct {
	file string
	*chart
}

// pictures returns the charts of a run. One that fewer than two points are there for
// is left out.
func pictures(p *plan, r results) []picture {
	var all []picture
	add := func(file, title, across string, ticks []tick, cellAt func(v int) cell) {
		lines := linesOf(p, r, ticks, cellAt)
		if len(lines) > 0 {
			all = append(all, picture{file, chartOf(title, across, "calls per second", ticks, lines)})
		}
	}
	var sizes, callers []tick
	for _, c := range p.cells {
		if c == unaryCell(c.size, 64) {
			sizes = append(sizes, tick{float64(c.size), bytesName(c.size)})
		}
		if c == unaryCell(32, c.callers) {
			callers = append(callers, tick{float64(c.callers), fmt.Sprint(c.callers)})
		}
	}
	add("performance-size.svg", "Unary calls by 64 callers on one connection", "size of the request and of the response",
		sizes, func(v int) cell { return unaryCell(v, 64) })
	add("performance-callers.svg", "Unary calls of 32 B on one connection", "callers",
		callers, func(v int) cell { return unaryCell(32, v) })
	return all
}

// linesOf returns the lines of the libraries that were measured at two ticks at least.
func linesOf(p *plan, r results, ticks []tick, cellAt func(int) cell) []line {
	var lines []line
	for _, l := range p.libraries {
		style := slices.Index(chartLibraries, l)
		if style < 0 {
			continue
		}
		n := line{name: l.name, style: style, bold: l.module == rpcnetModule}
		for _, t := range ticks {
			if s, ok := r.get(cellAt(int(t.value)), l); ok && s.Rate > 0 {
				n.points = append(n.points, point{t.value, s.Rate})
			}
		}
		if len(n.points) > 1 {
			lines = append(lines, n)
		}
	}
	slices.Reverse(lines) // ours are drawn last, above the others
	return lines
}

// writePictures writes the charts of a run into a directory.
func writePictures(dir string, p *plan, r results) error {
	for _, c := range pictures(p, r) {
		if err := os.WriteFile(filepath.Join(dir, c.file), c.svg(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
