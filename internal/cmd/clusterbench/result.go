//go:build unix

package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A result is a line of the table with what was measured for it.
type result struct {
	line
	samples []float64
	runs    int
	atATime int // so many of the runs at the same time, at most
	errs    []error
	halt    time.Duration // the longest time this process did not run
	when    time.Time     // when the last run ended
}

// add takes the outcome of one run.
func (r *result) add(o outcome) {
	if o.err == nil && o.samples == nil {
		return
	}
	r.runs++
	r.samples = append(r.samples, o.samples...)
	if o.err != nil {
		r.errs = append(r.errs, o.err)
	}
}

// met reports whether the targets were met.
func (r *result) met() bool {
	return r.runs > 0 && len(r.errs) == 0 &&
		(r.median == 0 || quantile(r.samples, 0.5) <= r.median) && (r.worst < 0 || quantile(r.samples, 0.99) <= r.worst)
}

// value returns the measurement as text.
func (r *result) value() string {
	if r.runs == 0 {
		return "not measured: no run came to it"
	}
	var parts []string
	if len(r.errs) > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d runs failed: %v", len(r.errs), r.runs, r.errs[0]))
	}
	switch n := len(r.samples); {
	case n == 1:
		parts = append(parts, fmt.Sprintf("%.3g %s", r.samples[0], r.unit))
	case n > 1:
		parts = append(parts, fmt.Sprintf("median %.3g, p99 %.3g, worst %.3g %s",
			quantile(r.samples, 0.5), quantile(r.samples, 0.99), quantile(r.samples, 1), r.unit))
	}
	text := strings.TrimSpace(strings.Join(parts, "; the others: "))
	if r.halt > 250*time.Millisecond {
		text += fmt.Sprintf(" (the machine held this process up for %v)", r.halt.Round(10*time.Millisecond))
	}
	return text
}

// mark returns what follows the value of a missed target.
func (r *result) mark(missed string) string {
	if r.met() {
		return ""
	}
	return missed
}

// quantile returns the smallest sample that so many are not above.
func quantile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(xs))
	i := int(q*float64(len(s))+0.9999999) - 1
	return s[min(max(i, 0), len(s)-1)]
}

// watchHalts returns a function that says for how long, at most, the machine did
// not let this process run since: all nodes live in it, and what they make of
// that is no news about them.
func watchHalts() (longest func() time.Duration) {
	stop, result := make(chan struct{}), make(chan time.Duration)
	go func() {
		const step = 10 * time.Millisecond
		tick := time.NewTicker(step)
		defer tick.Stop()
		var worst time.Duration
		last := time.Now()
		for {
			select {
			case <-stop:
				result <- worst
				return
			case <-tick.C:
				now := time.Now()
				worst = max(worst, now.Sub(last)-step)
				last = now
			}
		}
	}()
	return func() time.Duration {
		close(stop)
		return <-result
	}
}

func machine() string {
	cpu := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*:\s*(.*)`).FindSubmatch(b); m != nil {
			cpu = string(m[1])
		}
	}
	load := ""
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", load average " + strings.Fields(string(b))[1]
	}
	return fmt.Sprintf("%d cores of %s, %s, %s%s", runtime.NumCPU(), cpu, runtime.GOOS, runtime.Version(), load)
}
