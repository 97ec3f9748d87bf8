package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// quickLibraries are those of the main rows. raw TLS has those of one caller
// alone, and the last two have those over workers.
var quickLibraries = []*library{rpcnetRaw, rpcnetGenerated, grpcGo, rawTLS, routedTen, directTen}

// printQuick prints a line for each number: name, ours, grpc-go, ratio. A line
// that compares with something else says so in its name.
func printQuick(w io.Writer, cells []cell, r results) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "name\tours\tgrpc-go\tratio\t")
	for _, c := range cells {
		if c.workers > 0 {
			printRouted(t, c, r)
			continue
		}
		for _, l := range []*library{rpcnetRaw, rpcnetGenerated} {
			for _, m := range metricsOf(c) {
				ours, ok := r.get(c, l)
				theirs, ok2 := r.get(c, grpcGo)
				if !ok || !ok2 {
					continue
				}
				fmt.Fprintf(t, "%s, %s, %s\t%s\t%s\t%s\t\n", c.name(), l.name[len("rpcnet "):], m.name,
					number(m.of(ours)), number(m.of(theirs)), ratio(m.of(ours), m.of(theirs)))
			}
		}
		if floor, ok := r.get(c, rawTLS); ok {
			if ours, ok := r.get(c, rpcnetRaw); ok {
				fmt.Fprintf(t, "%s, raw, p50 us, against raw TLS\t%s\t%s\t%s\t\n", c.name(), number(ours.P50), number(floor.P50), ratio(ours.P50, floor.P50))
			}
		}
	}
	return t.Flush()
}

// printRouted prints the lines of a call that a workers.Client makes.
func printRouted(w io.Writer, c cell, r results) {
	ours, ok := r.get(c, routedTen)
	direct, ok2 := r.get(c, directTen)
	if !ok || !ok2 {
		return
	}
	for _, m := range metricsOf(c) {
		fmt.Fprintf(w, "%s, workers.Client, %s, against direct Conns\t%s\t%s\t%s\t\n", c.name(), m.name,
			number(m.of(ours)), number(m.of(direct)), ratio(m.of(ours), m.of(direct)))
	}
}

// number writes a number with three digits at least.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return number(a/b) + " x"
}
