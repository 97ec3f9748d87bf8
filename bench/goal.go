package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A goal is a number that rpcnet is to reach, in one cell or in each of several.
type goal struct {
	cells []cell
	// name is what the cells have in common; "" is the name of the only one.
	name string
	ours *library
	what string // of the cells
	of   metric
	// against are the libraries that the limit is a multiple of the best of; nil: the
	// limit is absolute, or a multiple of ours in the cell to.
	against []*library
	to      cell
	limit   float64
	atLeast bool   // otherwise at most
	unit    string // of an absolute limit
}

// An outcome is what was measured of a goal.
type outcome struct {
	text   string   // the numbers, one for each cell
	missed []string // where it was missed, and by which of several others
}

// title says what is measured.
func (g goal) title() string {
	name := g.name
	if name == "" {
		name = g.cells[0].name()
	}
	return name + ", " + g.what
}

// limitText says what is to be reached.
func (g goal) limitText() string {
	text := "<="
	if g.atLeast {
		text = ">="
	}
	switch {
	case g.isRatio():
		factor := text + " " + limitNumber(g.limit) + " x "
		if len(g.against) == 0 {
			return factor + g.to.name()
		}
		if len(g.against) == len(peers()) {
			return factor + "the best peer"
		}
		names := make([]string, len(g.against))
		for i, l := range g.against {
			names[i] = l.name
		}
		if len(names) == 1 {
			return factor + names[0]
		}
		return factor + "the best of " + strings.Join(names, ", ")
	case g.unit != "":
		return text + " " + limitNumber(g.limit) + " " + g.unit
	}
	return text + " " + limitNumber(g.limit)
}

// limitNumber writes a limit as one would: 8, 0.45, 3000000.
func limitNumber(v float64) string {
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}

// isRatio reports whether the limit is a multiple of something measured.
func (g goal) isRatio() bool { return len(g.against) > 0 || g.to.kind != "" }

// reached returns what was measured; ok is false if nothing was.
func (g goal) reached(r results) (out outcome, ok bool) {
	var numbers []string
	for _, c := range g.cells {
		s, measured := r.get(c, g.ours)
		if !measured {
			continue
		}
		v, where := g.of(s), g.short(c)
		text := number(v)
		if g.isRatio() {
			base, name := g.base(r, c)
			if base == 0 {
				continue
			}
			v /= base
			if text = number(v); v < 1 {
				text = fmt.Sprintf("%.3f", v) // a digit more: close misses show
			}
			if len(g.against) > 1 {
				where = strings.TrimSpace(where + " (" + name + ")")
			}
		}
		numbers = append(numbers, text)
		if v != g.limit && v > g.limit != g.atLeast {
			out.missed = append(out.missed, where)
		}
	}
	unit := g.unit
	if g.isRatio() {
		unit = "x"
	}
	out.text = strings.TrimSpace(strings.Join(numbers, ", ") + " " + unit)
	return out, len(numbers) > 0
}

// base returns the number of a cell that the limit is a multiple of, 0 if it was not
// measured, and whose it is.
func (g goal) base(r results, c cell) (best float64, name string) {
	if len(g.against) == 0 {
		s, _ := r.get(g.to, g.ours)
		return g.of(s), g.ours.name
	}
	for _, l := range g.against {
		s, ok := r.get(c, l)
		if !ok {
			continue
		}
		if v := g.of(s); name == "" || v != best && v > best == g.atLeast {
			best, name = v, l.name
		}
	}
	return best, name
}

// short returns what tells a cell of the goal from the others.
func (g goal) short(c cell) string {
	switch first, last := g.cells[0], g.cells[len(g.cells)-1]; {
	case first.size != last.size:
		return bytesName(c.size)
	case first.streams != last.streams:
		return count(c.streams, "stream")
	case first.workers != last.workers:
		return count(c.workers, "worker")
	}
	return ""
}

// verdict says whether a goal was reached, and where not.
func (g goal) verdict(out outcome) string {
	if len(out.missed) == 0 {
		return "reached"
	}
	return strings.TrimSpace("**missed** " + strings.Join(out.missed, ", "))
}
