// Command rpcnet-gen writes the client, the server and the codec of contracts,
// which are Go interfaces in files named *.rpc.go. "rpcnet-gen -h" explains how to
// write one. The work is done by package internal/gen; this file has the flags,
// the output and the exit status.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/rpcnet-go/rpcnet/internal/gen"
)

// help is the output of -h.
//
//go:embed help.txt
var help string

// The exit statuses.
const (
	// They are part of the interface with scripts.
	exitOK     = 0
	exitWrong  = 1 // a contract is wrong, or a generated file is out of date
	exitCannot = 2 // the command could not run
)

// main ends the program with the status of run.
func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// A printer writes problems, each on a line.
type printer struct {
	out  io.Writer
	json bool   // whether the lines are JSON
	wd   string // the working directory
}

// rel returns a path relative to the working directory, unless that is longer to
// read.
func (p *printer) rel(path string) string {
	// A path far away is easier to read as a whole.
	// filepath.Rel fails for a path on another drive.
	if r, err := filepath.Rel(p.wd, path); err == nil && !strings.HasPrefix(r, filepath.Join("..", "..")) {
		return r
	}
	return path
}

// A problem is one line of -json. Line and Column are 0 if they are unknown.
//
// The names are part of the interface with editors.
type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

// problem prints a problem as "file:line:column: message" or as JSON.
// The path is relative to the working directory.
func (p *printer) problem(x problem) {
	x.File = p.rel(x.File)
	if p.json {
		line, err := json.Marshal(x)
		if err == nil {
			fmt.Fprintf(p.out, "%s\n", line)
		}
		return
	}
	// Editors read file:line:column: message.
	at := x.File
	if x.Line > 0 {
		at = fmt.Sprintf("%s:%d", at, x.Line)
	}
	if x.Column > 0 {
		at = fmt.Sprintf("%s:%d", at, x.Column)
	}
	fmt.Fprintf(p.out, "%s: %s\n", at, x.Message)
}

// run executes the command line and returns the exit status. The text of -h
// describes the flags.
//
// It is main with its parts as parameters, for tests. What goes wrong in the
// definitions is the status exitWrong, and all else that keeps it from its work
// is exitCannot.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("rpcnet-gen", flag.ContinueOnError)
	// A mistake in the flags is reported with the text of -h.
	flags.SetOutput(stderr)
	// The text has what the flags mean, so that they have no descriptions
	// of their own.
	flags.Usage = func() { fmt.Fprint(flags.Output(), help) }
	check := flags.Bool("check", false, "")
	dir := flags.String("C", "", "")
	tags := flags.String("tags", "", "")
	breaking := flags.String("breaking", "", "")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		return exitCannot
	}
	// cannot reports why the program could not run.
	cannot := func(err error) int {
		fmt.Fprintln(stderr, "rpcnet-gen:", err)
		return exitCannot
	}
	// Paths are shown relative to where the user is, and not to -C.
	wd, err := os.Getwd()
	if err != nil {
		return cannot(err)
	}
	// A printer for both: diagnostics and breaks have one form.
	out := &printer{out: stderr, json: *asJSON, wd: wd}
	// JSON goes to standard output, where an editor reads it; lines for
	// people go to standard error.
	if *asJSON {
		out.out = stdout
	}
	// Everything is read and generated in memory before anything is
	// written.
	res, err := gen.Generate(gen.Options{Dir: *dir, Tags: *tags, Patterns: flags.Args()})
	if err != nil {
		return cannot(err)
	}
	for _, d := range res.Diags {
		out.problem(problem{d.Pos.Filename, d.Pos.Line, d.Pos.Column, d.Msg})
	}
	// Without valid definitions there is nothing to compare or to write.
	if len(res.Diags) > 0 {
		return exitWrong
	}
	status := exitOK
	if *breaking != "" {
		breaks, err := gen.Breaking(res, *breaking)
		if err != nil {
			return cannot(err)
		}
		for _, b := range breaks {
			out.problem(problem{b.Pos.Filename, b.Pos.Line, b.Pos.Column, b.String()})
			// A warning is shown, and changes nothing.
			if !b.Warning {
				status = exitWrong
			}
		}
	}
	// Breaks and stale files are both reported.
	if *check {
		wrong, err := gen.Check(res)
		if err != nil {
			return cannot(err)
		}
		for _, c := range wrong {
			out.problem(problem{File: c.Name, Line: c.Line, Message: c.Message()})
			status = exitWrong
		}
		return status
	}
	if status != exitOK {
		return status // nothing is written, so that the break cannot be overlooked
	}
	// What was written before an error is reported as well.
	done, err := gen.Write(res)
	for _, c := range done {
		if !*asJSON {
			fmt.Fprintf(stdout, "%s %s\n", c.What, out.rel(c.Name))
		}
	}
	if err != nil {
		return cannot(err)
	}
	// A user who runs it for the first time learns what it looks for.
	if len(res.Files) == 0 && len(done) == 0 && !*asJSON {
		fmt.Fprintln(stdout, "no contracts: they are files named *.rpc.go; see rpcnet-gen -h")
	}
	return status
}
