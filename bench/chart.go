package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// A chart is a picture of lines, both of whose axes are logarithmic.
type chart struct {
	title      string
	across, up string    // what the axes show
	ticks      []tick    // of the axis across, from one end to the other
	grid       []float64 // of the axis up, likewise
	lines      []line
}

// A tick is a value on an axis with what is written beside it.
type tick struct {
	value float64
	label string
}

// A line is the numbers of one library, from left to right.
type line struct {
	name   string
	style  int  // which of lineColors and markers it has
	bold   bool // it is ours
	points []point
}

type point struct{ x, y float64 }

// The size of a chart and of the space around its axes, in pixels. The space on the
// right is for the names of the lines.
const (
	chartWidth, chartHeight                    = 828, 460
	leftSpace, rightSpace, topSpace, downSpace = 64, 158, 66, 56
	// nameHeight is how far apart the names of two lines are at least.
	nameHeight = 17
)

// lineColors are the colors of lines on a light page and on a dark one.
var lineColors = [][2]string{
	{"#0057d8", "#5aa2ff"}, // blue
	{"#0a9396", "#4fd1c5"}, // teal
	{"#d1242f", "#ff7b72"}, // red
	{"#bf3989", "#f778ba"}, // pink
	{"#7a5c00", "#d4a72c"}, // mustard
	{"#1a7f37", "#56d364"}, // green
	{"#bc4c00", "#ffa657"}, // orange
	{"#8250df", "#bc8cff"}, // purple
	{"#57606a", "#aab4be"}, // gray
}

// chartOf returns a chart of lines, whose axes hold all of their points and ticks.
func chartOf(title, across, up string, ticks []tick, lines []line) *chart {
	low, high := math.Inf(1), 0.0
	for _, l := range lines {
		for _, p := range l.points {
			low, high = min(low, p.y), max(high, p.y)
		}
	}
	return &chart{title, across, up, ticks, roundNumbers(low, high), lines}
}

// roundNumbers returns those of 1, 2, 5, 10, 20 and so on that low and high are
// between. low is at least 1.
func roundNumbers(low, high float64) []float64 {
	all := []float64{1}
	for decade := 1.0; all[len(all)-1] < high; decade *= 10 {
		for _, f := range []float64{2, 5, 10} {
			if v := f * decade; v <= low {
				all[0] = v
			} else if all[len(all)-1] < high {
				all = append(all, v)
			}
		}
	}
	return all
}

// x and y return where values are in the picture.
func (c *chart) x(v float64) float64 {
	return leftSpace + (chartWidth-leftSpace-rightSpace)*part(v, c.ticks[0].value, c.right())
}

func (c *chart) y(v float64) float64 {
	return chartHeight - downSpace - (chartHeight-topSpace-downSpace)*part(v, c.grid[0], c.grid[len(c.grid)-1])
}

// right returns the value at the right end of the axis across.
func (c *chart) right() float64 { return c.ticks[len(c.ticks)-1].value }

// part returns how much of a logarithmic axis from low to high is below v.
func part(v, low, high float64) float64 { return math.Log(v/low) / math.Log(high/low) }

// svg returns the picture. It needs nothing but itself: no script, no font, and its
// colors follow what the reader prefers, dark or light.
func (c *chart) svg() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="%s">`+"\n",
		chartWidth, chartHeight, html.EscapeString(c.title))
	c.style(&b)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d"/>`+"\n", chartWidth, chartHeight)
	text(&b, "title", 16, 26, "start", c.title)
	text(&b, "unit", 16, 48, "start", c.up)
	c.axes(&b)
	for _, l := range c.lines {
		c.draw(&b, l)
	}
	c.names(&b)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// style writes the colors. Those of a dark page replace those of a light one.
func (c *chart) style(b *bytes.Buffer) {
	b.WriteString("<style>\ntext{font-family:sans-serif;font-size:12px}\n.title{font-size:15px;font-weight:bold}\n.bold{font-weight:bold}\n" +
		".line{fill:none;stroke-width:1.75;stroke-linejoin:round}\n.line.bold{stroke-width:3}\n" +
		".lead{fill:none;stroke-width:1;opacity:.5}\n.halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}\n")
	colors := func(theme int, page, ink, faint, grid string) {
		fmt.Fprintf(b, ".page{fill:%s}\n.halo{stroke:%[1]s}\n.title{fill:%s}\n.unit{fill:%s}\n.grid{stroke:%s}\n", page, ink, faint, grid)
		for _, l := range c.lines {
			fmt.Fprintf(b, ".s%d{stroke:%s}\n.f%[1]d{fill:%s}\n", l.style, lineColors[l.style][theme], lineColors[l.style][theme])
		}
	}
	colors(0, "#ffffff", "#1f2328", "#59636e", "#d8dee4")
	b.WriteString("@media (prefers-color-scheme:dark){\n")
	colors(1, "#0d1117", "#f0f6fc", "#9198a1", "#2a313a")
	b.WriteString("}\n</style>\n")
}

func text(b *bytes.Buffer, class string, x, y float64, anchor, s string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(s))
}

// axes writes the grid and what is written beside it.
func (c *chart) axes(b *bytes.Buffer) {
	for _, v := range c.grid {
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%d"/>`+"\n", leftSpace, c.y(v), chartWidth-rightSpace)
		text(b, "unit", leftSpace-8, c.y(v)+4, "end", rateName(v))
	}
	for _, t := range c.ticks {
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %dV%d"/>`+"\n", c.x(t.value), topSpace, chartHeight-downSpace)
		text(b, "unit", c.x(t.value), chartHeight-downSpace+18, "middle", t.label)
	}
	text(b, "unit", (leftSpace+chartWidth-rightSpace)/2, chartHeight-14, "middle", c.across)
}

// rateName writes a round number in a few letters.
func rateName(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.0f M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.0f k", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}

// draw writes a line and a mark at each of its points.
func (c *chart) draw(b *bytes.Buffer, l line) {
	var at []string
	for _, p := range l.points {
		at = append(at, fmt.Sprintf("%.1f %.1f", c.x(p.x), c.y(p.y)))
	}
	fmt.Fprintf(b, `<path class="line s%d%s" d="M%s"/>`+"\n", l.style, l.weight(), strings.Join(at, "L"))
	for _, p := range l.points {
		c.mark(b, l, c.x(p.x), c.y(p.y))
	}
}

func (l line) weight() string {
	if l.bold {
		return " bold"
	}
	return ""
}

// mark writes the mark of a line: a circle, a square, a diamond or a triangle, so
// that lines differ without their colors.
func (c *chart) mark(b *bytes.Buffer, l line, x, y float64) {
	r := 3.2
	if l.bold {
		r = 4.2
	}
	shape := ""
	switch l.style % 4 {
	case 0:
		fmt.Fprintf(b, `<circle class="f%d" cx="%.1f" cy="%.1f" r="%.1f"/>`+"\n", l.style, x, y, r)
		return
	case 1:
		shape = fmt.Sprintf("M%.1f %.1fh%.1fv%.1fh-%[3]vz", x-r, y-r, 2*r, 2*r)
	case 2:
		shape = fmt.Sprintf("M%.1f %.1fl%.1f %.1fl-%[3]v %[4]vl-%[3]v -%[4]vz", x, y-1.3*r, 1.3*r, 1.3*r)
	default:
		shape = fmt.Sprintf("M%.1f %.1fl%.1f %.1fh-%.1fz", x, y-1.2*r, 1.2*r, 2.2*r, 2.4*r)
	}
	fmt.Fprintf(b, `<path class="f%d" d="%s"/>`+"\n", l.style, shape)
}

// names writes the name of each line at its end: on the right of the axes, moved
// apart where they would cover each other, or at the point where a line ends before.
func (c *chart) names(b *bytes.Buffer) {
	type name struct {
		line
		end point
		y   float64
	}
	var beside []name
	for _, l := range c.lines {
		end := l.points[len(l.points)-1]
		n := name{l, point{c.x(end.x), c.y(end.y)}, c.y(end.y)}
		if end.x < c.right() {
			text(b, fmt.Sprintf("halo f%d%s", l.style, l.weight()), n.end.x+9, n.y+4, "start", l.name)
			continue
		}
		beside = append(beside, n)
	}
	slices.SortFunc(beside, func(a, b name) int { return cmp.Compare(a.y, b.y) })
	ys := make([]float64, len(beside))
	for i, n := range beside {
		ys[i] = n.y
	}
	apart(ys, topSpace, chartHeight-downSpace)
	for i, n := range beside {
		fmt.Fprintf(b, `<path class="lead s%d" d="M%.1f %.1fL%d %.1f"/>`+"\n", n.style, n.end.x+6, n.end.y, chartWidth-rightSpace+22, ys[i])
		text(b, fmt.Sprintf("f%d%s", n.style, n.weight()), chartWidth-rightSpace+26, ys[i]+4, "start", n.name)
	}
}

// apart moves sorted places so that each is nameHeight below the one before, and all
// between top and bottom, if there is room.
func apart(ys []float64, top, bottom float64) {
	for i := range ys {
		if i == 0 {
			ys[i] = max(ys[i], top)
		} else {
			ys[i] = max(ys[i], ys[i-1]+nameHeight)
		}
	}
	for i := len(ys) - 1; i >= 0; i-- {
		if i == len(ys)-1 {
			ys[i] = min(ys[i], bottom)
		} else {
			ys[i] = min(ys[i], ys[i+1]-nameHeight)
		}
	}
}
