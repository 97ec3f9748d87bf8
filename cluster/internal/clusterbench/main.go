// Command clusterbench measures a cluster of nodes in one process, over real
// sockets on loopback, with faults injected on the sending side, and prints a
// line for each quantity that docs/membership.md promises.
//
//	go run ./cluster/internal/clusterbench -quick              one run each, 5 nodes, under 45 s
//	go run ./cluster/internal/clusterbench -doc docs/membership.md   20 runs each; writes the table
//	go run ./cluster/internal/clusterbench -soak 10m           100 nodes with churn and loss
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	if args := os.Getenv(childVar); args != "" {
		if err := child(args); err != nil {
			fmt.Fprintln(os.Stderr, "clusterbench:", err)
			os.Exit(1)
		}
		return
	}
	quick := flag.Bool("quick", false, "five nodes, one run of each row")
	doc := flag.String("doc", "", "the `file` whose table is replaced by what was measured")
	runs := flag.Int("runs", 0, "at most so many `runs` of each row")
	only := flag.String("only", "", "a regular `expression`: the rows to run")
	soak := flag.Duration("soak", 0, "run 100 nodes with churn and 5 % loss for so `long` instead")
	nodes := flag.Int("nodes", 100, "how many `nodes` -soak runs")
	flag.Parse()
	var err error
	if *soak > 0 {
		err = runSoak(*nodes, *soak)
	} else {
		err = runTable(*quick, *runs, *only, *doc)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clusterbench:", err)
		os.Exit(1)
	}
}

// A result is a row with what it measured.
type result struct {
	row
	samples []float64
	runs    int
	errs    []error
	halt    time.Duration // the longest time this process did not run
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

// met reports whether the targets were met.
func (r *result) met() bool {
	return len(r.errs) == 0 && (r.median == 0 || quantile(r.samples, 0.5) <= r.median) && (r.worst < 0 || quantile(r.samples, 0.99) <= r.worst)
}

// value returns the measurement as text.
func (r *result) value() string {
	if len(r.errs) > 0 {
		return fmt.Sprintf("%d of %d runs failed: %v", len(r.errs), r.runs, r.errs[0])
	}
	unit := strings.TrimSpace(" " + r.unit)
	text := fmt.Sprintf("median %.3g, p99 %.3g, worst %.3g %s",
		quantile(r.samples, 0.5), quantile(r.samples, 0.99), quantile(r.samples, 1), unit)
	if len(r.samples) == 1 {
		text = fmt.Sprintf("%.3g %s", r.samples[0], unit)
	}
	text = strings.TrimSpace(text)
	if r.halt > 250*time.Millisecond {
		text += fmt.Sprintf(" (the machine held this process up for %v)", r.halt.Round(10*time.Millisecond))
	}
	return text
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

func runTable(quick bool, runs int, only, doc string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	begin := time.Now()
	var results []*result
	for _, r := range rows(quick) {
		if !match.MatchString(r.name) {
			continue
		}
		res := &result{row: r}
		n := r.runs
		if quick {
			n = 1
		}
		if runs > 0 {
			n = min(n, runs)
		}
		halts := watchHalts()
		for range n {
			xs, err := r.run()
			res.runs++
			res.samples = append(res.samples, xs...)
			if err != nil {
				res.errs = append(res.errs, err)
			}
		}
		res.halt = halts()
		mark := ""
		if !res.met() {
			mark = "  MISSED"
		}
		fmt.Printf("%-66s  %-44s  %s%s\n", r.name, res.value(), r.target, mark)
		results = append(results, res)
	}
	fmt.Printf("%v on %s\n", time.Since(begin).Round(time.Second), machine())
	if doc != "" {
		return writeTable(doc, results, begin)
	}
	return nil
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

const tableBegin, tableEnd = "<!-- clusterbench begin -->\n", "<!-- clusterbench end -->"

// writeTable replaces the table in the document.
func writeTable(file string, results []*result, at time.Time) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(b), tableBegin)
	_, tail, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no table between %q and %q", file, strings.TrimSpace(tableBegin), tableEnd)
	}
	var t strings.Builder
	fmt.Fprintf(&t, "Measured on %s with %s; `go run ./cluster/internal/clusterbench -doc docs/membership.md`.\n\n",
		at.UTC().Format("2006-01-02"), machine())
	t.WriteString("| quantity | measured | runs | target |\n|---|---|---|---|\n")
	for _, r := range results {
		mark := ""
		if !r.met() {
			mark = " **missed**"
		}
		fmt.Fprintf(&t, "| %s | %s%s | %d | %s |\n", r.name, r.value(), mark, r.runs, r.target)
	}
	t.WriteString("\n")
	return os.WriteFile(file, []byte(head+tableBegin+t.String()+tableEnd+tail), 0o644)
}
