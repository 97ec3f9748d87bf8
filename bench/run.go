package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
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
}

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
// rotates. Processes live for the whole run, but for those of memory.
func (p *plan) run() (results, error) {
	clients := map[*library]*child{}
	for _, l := range p.libraries {
		c, err := p.startClient(l, p.profile)
		if err != nil {
			return nil, err
		}
		clients[l] = c
	}
	samples := map[cell]map[*library][]sample{}
	for r := range p.repetitions {
		fmt.Fprintf(p.progress, "repetition %d of %d\n", r+1, p.repetitions)
		for i, c := range p.cells {
			if samples[c] == nil {
				samples[c] = map[*library][]sample{}
			}
			for _, l := range rotated(p.libraries, r+i) {
				if l.skips != nil && l.skips(c) != "" {
					continue
				}
				s, err := p.measure(c, l, clients[l])
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", l.name, c.name(), err)
				}
				samples[c][l] = append(samples[c][l], s)
			}
		}
	}
	for l, c := range clients {
		if err := c.stop(); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
	}
	res := results{}
	for c, of := range samples {
		res[c] = map[*library]sample{}
		for l, s := range of {
			res[c][l] = median(s)
		}
	}
	return res, nil
}

// startClient starts a client of l, which starts its server.
func (p *plan) startClient(l *library, profile string) (*child, error) {
	return startChild("-role=client", "-library="+l.name, "-certs="+string(p.certs), "-profile="+profile)
}

// measure makes one measurement of l: by client, which lives for the whole run,
// or, of memory, by one that has done nothing before, with a server of its own.
// What other measurements leave behind, such as goroutines and full pools, would
// be used again or freed meanwhile, and so be missing from what is measured.
func (p *plan) measure(c cell, l *library, client *child) (s sample, err error) {
	if c.ofMemory() {
		// No profile: it takes memory, and its files have the names of client's.
		if client, err = p.startClient(l, ""); err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, client.stop()) }()
	}
	a, err := client.ask(job{c.kind, c.size, c.callers, c.streams, p.slice})
	return a.Sample, err
}

func rotated[E any](s []E, n int) []E {
	n %= len(s)
	return slices.Concat(s[n:], s[:n])
}
