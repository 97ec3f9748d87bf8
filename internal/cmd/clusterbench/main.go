//go:build unix

// Command clusterbench measures a cluster of nodes in one process, over real
// sockets on loopback, with faults injected on the sending side, and prints a
// line for each quantity that docs/membership.md promises. Runs that mostly wait
// are done several at a time, each with a cluster of its own.
//
//	go run ./internal/cmd/clusterbench -quick              one run each, 5 nodes, under 45 s
//	go run ./internal/cmd/clusterbench -doc docs/membership.md   20 runs each, about 45 min; writes the table
//	go run ./internal/cmd/clusterbench -soak 10m           100 nodes with churn and loss
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if os.Getenv(spinVar) != "" {
		spin()
	}
	if args := os.Getenv(childVar); args != "" {
		if err := child(args); err != nil {
			fmt.Fprintln(os.Stderr, "clusterbench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.BoolVar(&o.quick, "quick", false, "five nodes, one run of each row")
	flag.StringVar(&o.doc, "doc", "", "the `file` whose table is brought up to date, after each row")
	flag.IntVar(&o.runs, "runs", 0, "at most so many `runs` of each row")
	flag.IntVar(&o.parallel, "parallel", 0, "so many `runs` at the same time of the rows that mostly wait; "+
		"0 is what each row can bear on two cores. The others are done one run after another")
	flag.StringVar(&o.only, "only", "", "a regular `expression`: the rows to run")
	soak := flag.Duration("soak", 0, "run 100 nodes with churn and 5 % loss for so `long` instead")
	nodes := flag.Int("nodes", 100, "how many `nodes` -soak runs")
	flag.Parse()
	var err error
	if *soak > 0 {
		err = runSoak(*nodes, *soak)
	} else {
		err = runTable(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "clusterbench:", err)
		os.Exit(1)
	}
}

type options struct {
	quick          bool
	doc, only      string
	runs, parallel int
}

// runTable runs the rows and prints their lines.
func runTable(o options) error {
	if o.quick && o.doc != "" {
		return errors.New("-quick has other rows than the document: leave out -quick or -doc")
	}
	match, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	begin := time.Now()
	all := rows(o.quick)
	var names []string
	for _, r := range all {
		for _, l := range r.lines {
			names = append(names, l.name)
		}
	}
	all = slices.DeleteFunc(all, func(r row) bool {
		return !slices.ContainsFunc(r.lines, func(l line) bool { return match.MatchString(l.name) })
	})
	var results []*result
	for i, r := range all {
		n, at := r.runs, r.atATime
		if o.quick {
			n, at = 1, 1
		}
		if o.runs > 0 {
			n = min(n, o.runs)
		}
		if at > 1 && o.parallel > 0 {
			at = o.parallel
		}
		at = min(at, n)
		p := progress{quiet: o.quick}
		p.say("row %d of %d, %d runs, %d at a time: %s", i+1, len(all), n, at, r.lines[0].name)
		got := measure(r, n, at, &p)
		for _, res := range got {
			fmt.Printf("%-66s  %-44s  %s%s\n", res.name, res.value(), res.target, res.mark("  MISSED"))
		}
		results = append(results, got...)
		if o.doc != "" {
			if err := writeTable(o.doc, names, results, begin); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%v on %s\n", time.Since(begin).Round(time.Second), machine())
	return nil
}

// measure does n runs of the row, so many at a time, and returns what they have
// measured for each of its lines.
func measure(r row, n, atATime int, p *progress) []*result {
	results := make([]*result, len(r.lines))
	for i, l := range r.lines {
		results[i] = &result{line: l, atATime: atATime}
	}
	halts := watchHalts()
	for done := 0; done < n; {
		size := min(atATime, n-done)
		for _, outcomes := range runBatch(r, size) {
			for i, o := range outcomes {
				results[i].add(o)
				if o.err != nil {
					p.failed(results[i].name, o.err)
				}
			}
		}
		done += size
		p.done(done, n)
	}
	halt := halts()
	for _, res := range results {
		res.halt, res.when = halt, time.Now()
	}
	return results
}

// A progress tells on the standard error where the work is.
type progress struct {
	quiet bool
	last  time.Time
}

func (p *progress) say(format string, args ...any) {
	if !p.quiet {
		p.last = time.Now()
		p.print(format, args...)
	}
}

func (p *progress) print(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// done tells how many runs are done, not more often than every few seconds.
func (p *progress) done(k, n int) {
	if k == n || time.Since(p.last) > 10*time.Second {
		p.say("  %d of %d runs done", k, n)
	}
}

// failed tells of a run that failed all that is known of it.
func (p *progress) failed(name string, err error) {
	p.print("  FAILED %s: %s", name, strings.Join(append([]string{err.Error()}, details(err)...), "\n    "))
}
