package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/openloop"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// percentiles are those that are printed.
var percentiles = []float64{50, 90, 99, 99.9}

// progress returns what prints how the run goes, on the standard error.
func (b *bench) progress() func(openloop.Report) {
	end := "\n"
	if b.env.terminal(b.env.errs) {
		end = "\r" // over the last one
	}
	last := 0
	return func(r openloop.Report) {
		fmt.Fprintf(b.env.errs, "%4.0fs  %d calls, %d in the last second, p99 %v, %d failed, %d in flight   %s",
			r.Elapsed.Seconds(), r.Calls, r.Calls-last, quantile(r.Total, 99), r.Failed, r.InFlight, end)
		last = r.Calls
	}
}

// quantile returns a percentile, with three digits.
func quantile(h *hdrhistogram.Histogram, p float64) time.Duration {
	return threeDigits(time.Duration(h.ValueAtQuantile(p)))
}

// threeDigits returns a duration rounded to three digits.
func threeDigits(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// loopName says which kind of loop was run.
func (f benchFlags) loopName() string {
	if f.rate > 0 {
		return fmt.Sprintf("open loop, %v calls/s", f.rate)
	}
	return "closed loop"
}

// show prints what was measured.
func (b *bench) show(r openloop.Report, form *format) error {
	if form.json() {
		return b.showJSON(r)
	}
	w := tabwriter.NewWriter(b.env.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "procedure\t%s\n", cell(b.procedure.spec.Procedure[1:]))
	fmt.Fprintf(w, "loop\t%s, %d at a time, for %v\n", b.flags.loopName(), b.flags.concurrency, b.flags.duration)
	fmt.Fprintf(w, "calls\t%d in %v, %.1f/s; %d failed", r.Calls, r.Elapsed.Round(time.Millisecond), float64(r.Calls)/r.Elapsed.Seconds(), r.Failed)
	if r.Unfinished > 0 {
		fmt.Fprintf(w, "; %d not finished", r.Unfinished)
	}
	if r.NotBegun > 0 {
		fmt.Fprintf(w, "; %d were due and found no place: the rate is more than %d calls at a time give", r.NotBegun, b.flags.concurrency)
	}
	fmt.Fprintln(w)
	streams := b.procedure.spec.Shape.ServerStreams()
	if streams {
		fmt.Fprintf(w, "messages\t%d, %.1f/s\n", r.Messages, float64(r.Messages)/r.Elapsed.Seconds())
		fmt.Fprintf(w, "first message\t%s\n", times(r.First))
	}
	fmt.Fprintf(w, "total\t%s\n", times(r.Total))
	if len(r.Codes) > 0 {
		var list []string
		for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
			list = append(list, fmt.Sprintf("%s %d", code, r.Codes[code]))
		}
		fmt.Fprintf(w, "errors\t%s\n", strings.Join(list, ", "))
	}
	if b.link.conn == nil && streams {
		fmt.Fprintf(w, "moves\t%d\n", r.Moves)
	}
	fmt.Fprintf(w, "again\t%s\n", b.again)
	return w.Flush()
}

// times returns the percentiles of a histogram for people.
func times(h *hdrhistogram.Histogram) string {
	if h.TotalCount() == 0 {
		return "none"
	}
	var b strings.Builder
	for _, p := range percentiles {
		fmt.Fprintf(&b, "p%v %v  ", p, quantile(h, p))
	}
	fmt.Fprintf(&b, "max %v", threeDigits(time.Duration(h.Max())))
	return b.String()
}

// showJSON prints what was measured for programs. Times are in seconds.
func (b *bench) showJSON(r openloop.Report) error {
	seconds := func(h *hdrhistogram.Histogram) map[string]float64 {
		if h.TotalCount() == 0 {
			return nil
		}
		m := map[string]float64{"max": time.Duration(h.Max()).Seconds()}
		for _, p := range percentiles {
			m[fmt.Sprintf("p%v", p)] = time.Duration(h.ValueAtQuantile(p)).Seconds()
		}
		return m
	}
	return printJSON(b.env.out, struct {
		Procedure   string             `json:"procedure"`
		Rate        float64            `json:"rate"` // 0: closed loop
		Concurrency int                `json:"concurrency"`
		Seconds     float64            `json:"seconds"`
		Calls       int                `json:"calls"`
		Failed      int                `json:"failed"`
		Unfinished  int                `json:"unfinished"`
		NotBegun    int                `json:"not_begun"`
		Messages    int                `json:"messages"`
		Moves       int                `json:"moves"`
		Errors      map[string]int     `json:"errors"`
		First       map[string]float64 `json:"first_message"`
		Total       map[string]float64 `json:"total"`
		Again       string             `json:"again"`
	}{
		b.procedure.spec.Procedure[1:], b.flags.rate, b.flags.concurrency, r.Elapsed.Seconds(), r.Calls, r.Failed, r.Unfinished,
		r.NotBegun, r.Messages, r.Moves, r.Codes, seconds(r.First), seconds(r.Total), b.again,
	})
}

// reproduce returns the command line that does the same from any folder's environment:
// with the flags that were given, and the address and certificates that counted.
func reproduce(cmd *cobra.Command, r *route, args []string) string {
	words := []string{cmd.CommandPath()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "output", "context", "addr", "dir", "cert", "key", "ca", "server-name":
			return
		}
		name := "-" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand
		}
		switch {
		case f.Value.Type() != "bool":
			words = append(words, name, shellQuote(f.Value.String()))
		case f.Value.String() == "true":
			words = append(words, name)
		default:
			words = append(words, name+"=false")
		}
	})
	for _, f := range []struct{ name, value string }{
		{"addr", r.node.Addr}, {"dir", r.node.Dir}, {"cert", r.node.Cert}, {"key", r.node.Key}, {"ca", r.node.CA}, {"server-name", r.node.ServerName},
	} {
		if f.value != "" {
			words = append(words, "-"+f.name, shellQuote(f.value))
		}
	}
	for _, a := range args {
		words = append(words, shellQuote(a))
	}
	return strings.Join(words, " ")
}
