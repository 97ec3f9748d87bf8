package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A plan says what a run measures.
type plan struct {
	libraries   []*library
	cells       []cell
	repetitions int
	slice       time.Duration
	certs       certDir
	profile     string    // directory for profiles; "": none
	progress    io.Writer // what is being done
	picks       string    // the program that measures picks
	missing     []string  // what is left out, and why, a line for each
}

// measureTimeout is after how long a measurement has failed. Its calls have deadlines
// that are shorter; this is for a process that hangs.
const measureTimeout = 3 * callTimeout

// results are the medians of a run, by cell and library. What was left out is
// not there.
type results map[cell]map[*library]sample

// get returns a result.
func (r results) get(c cell, l *library) (sample, bool) {
	s, ok := r[c][l]
	return s, ok
}

// run measures. Each cell is measured for one library after the other before
// the next cell, so that what disturbs the machine disturbs all; their order
// rotates. A measurement that fails is left out, with a line in p.missing. The error
// tells of those of rpcnet, and does not make the others worthless.
func (p *plan) run() (results, error) {
	samples := map[cell]map[*library][]sample{}
	var ours error
	for r := range p.repetitions {
		fmt.Fprintf(p.progress, "repetition %d of %d\n", r+1, p.repetitions)
		for i, c := range p.cells {
			if samples[c] == nil {
				samples[c] = map[*library][]sample{}
			}
			for _, l := range rotated(p.libraries, r+i) {
				if !l.measures(c) {
					continue
				}
				s, err := p.measure(c, l)
				if err == nil {
					samples[c][l] = append(samples[c][l], s)
					continue
				}
				err = fmt.Errorf("%s, %s, repetition %d failed: %w", l.name, c.name(), r+1, err)
				fmt.Fprintln(p.progress, err)
				p.missing = append(p.missing, strings.ReplaceAll(err.Error(), "\n", " "))
				if l.module == rpcnetModule {
					ours = errors.Join(ours, err)
				}
			}
		}
	}
	res := results{}
	for c, of := range samples {
		res[c] = map[*library]sample{}
		for l, s := range of {
			res[c][l] = median(s)
		}
	}
	return res, ours
}

// measure makes one measurement of l, with a client and a server that have
// measured nothing before: what other measurements leave behind (a large heap
// that puts garbage collection off, goroutines, full pools) would make a row
// depend on those before it, and be missing from what a thing takes in memory.
func (p *plan) measure(c cell, l *library) (s sample, err error) {
	if c.kind == pick {
		return measurePick(p.picks, c, l.name, p.slice)
	}
	profile := ""
	if p.profile != "" && !c.ofMemory() { // the profiler takes memory
		profile = filepath.Join(p.profile, fileName(c.name()))
	}
	where := func(f func() error) error { return f() }
	if c.oneCore {
		where = onOneCore
	}
	var client *child
	if err := where(func() (err error) {
		client, err = startChild(l.program, "-role=client", "-library="+l.name, "-certs="+string(p.certs), "-profile="+profile)
		return err
	}); err != nil {
		return sample{}, err
	}
	defer time.AfterFunc(measureTimeout, func() { client.cmd.Process.Kill() }).Stop()
	a, err := client.ask(job{c.kind, c.size, c.callers, c.streams, c.conns, c.workers, timedEvery(c), sliceOf(c, p.slice)})
	return a.Sample, errors.Join(err, client.stop())
}

func rotated[E any](s []E, n int) []E {
	n %= len(s)
	return slices.Concat(s[n:], s[:n])
}
