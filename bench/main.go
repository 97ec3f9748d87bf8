// Command bench compares rpcnet with other ways to make calls in Go: the same
// work, two processes, one connection, TLS 1.3 with certificates on both sides,
// in turns within one run. See docs/performance.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	quick := flag.Bool("quick", false, "only the main rows, one line each")
	names := flag.String("libraries", "", "only these, by name, separated by commas")
	only := flag.String("only", "", "only the measurements whose names match this regular expression")
	slice := flag.Duration("slice", 200*time.Millisecond, "how long to measure each time")
	repetitions := flag.Int("repetitions", 5, "how often to measure; the medians are reported")
	profile := flag.String("profile", "", "`directory` for profiles of clients and servers, CPU and allocations, in the last repetition")
	write := flag.String("write", "", "`page` to write the sections of the report into; charts go beside it")
	role := flag.String("role", "", "internal: client or server")
	name := flag.String("library", "", "internal: of the client or server")
	dir := flag.String("certs", "", "internal: directory of the certificates")
	flag.Parse()

	if *role != "" {
		l, err := namedLibrary(*name)
		if err != nil {
			return err
		}
		if *role == "server" {
			return runServer(l, certDir(*dir), *profile)
		}
		return runClient(l, certDir(*dir), *profile)
	}

	p := plan{libraries: libraries, cells: fullCells(), repetitions: *repetitions, slice: *slice, profile: *profile, progress: os.Stderr}
	if *quick {
		p.libraries, p.cells = quickLibraries, quickCells()
		p.progress = io.Discard
	}
	if err := p.choose(*names, *only); err != nil {
		return err
	}
	var pg *page
	if *write != "" {
		var err error
		if pg, err = openPage(*write); err != nil {
			return err
		}
	}
	res, failed := p.prepareAndRun()
	if res == nil {
		return failed
	}
	if *quick {
		return errors.Join(failed, printQuick(os.Stdout, p.cells, res))
	}
	if pg != nil {
		failed = errors.Join(failed, pg.update(&p, res))
	}
	return errors.Join(failed, printSections(os.Stdout, &p, res))
}

// namedLibrary returns the library of a name.
func namedLibrary(name string) (*library, error) {
	if l := findLibrary(name); l != nil {
		return l, nil
	}
	return nil, fmt.Errorf("no library %q", name)
}

// choose keeps only the libraries whose names are given, separated by commas, and
// only the cells whose names match a regular expression. "" keeps all.
func (p *plan) choose(names, only string) error {
	if names != "" {
		p.libraries = nil
		for n := range strings.SplitSeq(names, ",") {
			l, err := namedLibrary(n)
			if err != nil {
				return err
			}
			p.libraries = append(p.libraries, l)
		}
	}
	re, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	p.cells = slices.DeleteFunc(p.cells, func(c cell) bool { return !re.MatchString(c.name()) })
	return nil
}

// prepareAndRun makes certificates, builds the peers in Rust, leaves out what this
// machine cannot measure and measures the rest. Results can come with an error, as
// those of run.
func (p *plan) prepareAndRun() (results, error) {
	temp, err := os.MkdirTemp("", "rpcnet-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	if p.certs, err = makeCertificates(temp); err != nil {
		return nil, err
	}
	if p.libraries, p.missing, err = buildCrates(p.libraries); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(p.cells, func(c cell) bool { return c.kind == pick }) {
		if p.picks, err = buildPicks(temp); err != nil {
			return nil, err
		}
	}
	if !hasOneCore {
		p.cells = slices.DeleteFunc(p.cells, func(c cell) bool { return c.oneCore })
		p.missing = append(p.missing, "Calls on one core are left out: only Linux keeps a process to one")
	}
	for _, line := range p.missing {
		fmt.Fprintln(os.Stderr, "bench:", line)
	}
	return p.run()
}
