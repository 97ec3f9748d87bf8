// Command bench compares rpcnet with other ways to make calls in Go: the same
// work, two processes, one connection, TLS 1.3 with certificates on both sides,
// in turns within one run. See docs/performance.md.
package main

import (
	"bytes"
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
	write := flag.String("write", "", "`file` for the report, beside standard output")
	role := flag.String("role", "", "internal: client or server")
	name := flag.String("library", "", "internal: of the client or server")
	dir := flag.String("certs", "", "internal: directory of the certificates")
	flag.Parse()

	if *role != "" {
		l := findLibrary(*name)
		if l == nil {
			return fmt.Errorf("no library %q", *name)
		}
		if *role == "server" {
			return runServer(l, certDir(*dir), *profile)
		}
		return runClient(l, certDir(*dir), *profile)
	}

	temp, err := os.MkdirTemp("", "rpcnet-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	p := plan{libraries: libraries, cells: fullCells(), repetitions: *repetitions, slice: *slice, profile: *profile, progress: os.Stderr}
	if *quick {
		p.libraries, p.cells = quickLibraries, quickCells()
		p.progress = io.Discard
	}
	if p.certs, err = makeCertificates(temp); err != nil {
		return err
	}
	if *names != "" {
		p.libraries = nil
		for n := range strings.SplitSeq(*names, ",") {
			l := findLibrary(n)
			if l == nil {
				return fmt.Errorf("no library %q", n)
			}
			p.libraries = append(p.libraries, l)
		}
	}
	if *only != "" {
		re, err := regexp.Compile(*only)
		if err != nil {
			return err
		}
		p.cells = slices.DeleteFunc(p.cells, func(c cell) bool { return !re.MatchString(c.name()) })
	}
	if p.libraries, p.missing, err = buildCrates(p.libraries); err != nil {
		return err
	}
	if !hasOneCore {
		p.cells = slices.DeleteFunc(p.cells, func(c cell) bool { return c.oneCore })
		p.missing = append(p.missing, "Calls on one core are left out: only Linux keeps a process to one")
	}
	for _, line := range p.missing {
		fmt.Fprintln(os.Stderr, "bench:", line)
	}
	res, err := p.run()
	if err != nil {
		return err
	}
	if *quick {
		return printQuick(os.Stdout, p.cells, res)
	}
	var report bytes.Buffer
	writeReport(&report, &p, res)
	if *write != "" {
		if err := os.WriteFile(*write, report.Bytes(), 0o644); err != nil {
			return err
		}
	}
	_, err = os.Stdout.Write(report.Bytes())
	return err
}
