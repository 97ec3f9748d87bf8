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
		// Strings and numbers always have a JSON form.
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

// A command is one run with its flags.
type command struct {
	check    bool
	breaking string // the revision to compare with, or ""
	opts     gen.Options
	problems printer
	news     io.Writer // for what was written
}

// run executes the command line and returns the exit status. The text of -h
// describes the flags.
//
// It is main with its parts as parameters, for tests. What is wrong in the
// definitions or the generated files is the status exitWrong, and all else that
// keeps the command from its work is exitCannot.
func run(args []string, stdout, stderr io.Writer) int {
	c, err := parse(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitCannot // package flag has said why
	}
	status, err := c.run()
	if err != nil {
		fmt.Fprintln(stderr, "rpcnet-gen:", err)
		return exitCannot
	}
	return status
}

// parse reads the command line. A mistake in it is reported with the text of -h.
func parse(args []string, stdout, stderr io.Writer) (*command, error) {
	c := &command{problems: printer{out: stderr}, news: stdout}
	flags := flag.NewFlagSet("rpcnet-gen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	// The text has what the flags mean, so that they have no descriptions
	// of their own.
	flags.Usage = func() { fmt.Fprint(flags.Output(), help) }
	flags.BoolVar(&c.check, "check", false, "")
	flags.StringVar(&c.opts.Dir, "C", "", "")
	flags.StringVar(&c.opts.Tags, "tags", "", "")
	flags.StringVar(&c.breaking, "breaking", "", "")
	flags.BoolVar(&c.problems.json, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	c.opts.Patterns = flags.Args()
	// JSON goes to standard output, where an editor reads it, and nothing
	// else does; lines for people go to standard error.
	if c.problems.json {
		c.problems.out, c.news = stdout, io.Discard
	}
	return c, nil
}

// run generates and then does what the flags say. The error says why it could
// not.
func (c *command) run() (status int, err error) {
	// Paths are shown relative to where the user is, and not to -C.
	if c.problems.wd, err = os.Getwd(); err != nil {
		return 0, err
	}
	// Everything is read and generated in memory before anything is
	// written.
	res, err := gen.Generate(c.opts)
	if err != nil {
		return 0, err
	}
	for _, d := range res.Diags {
		c.problems.problem(problem{d.Pos.Filename, d.Pos.Line, d.Pos.Column, d.Msg})
	}
	// Without valid definitions there is nothing to compare or to write.
	if len(res.Diags) > 0 {
		return exitWrong, nil
	}
	if c.breaking != "" {
		if status, err = c.compare(res); err != nil {
			return 0, err
		}
	}
	switch {
	case c.check: // breaks and stale files are both reported
		stale, err := c.stale(res)
		return max(status, stale), err
	case status != exitOK:
		return status, nil // nothing is written, so that the break cannot be overlooked
	}
	return exitOK, c.write(res)
}

// compare reports what has changed since a revision. A warning is shown and does
// not count.
//
// The positions are those of the contract as it is now, so that an editor can
// go there.
func (c *command) compare(res *gen.Result) (status int, err error) {
	breaks, err := gen.Breaking(res, c.breaking)
	for _, b := range breaks {
		c.problems.problem(problem{b.Pos.Filename, b.Pos.Line, b.Pos.Column, b.String()})
		if !b.Warning {
			status = exitWrong
		}
	}
	return status, err
}

// stale reports the files that are not what they should be.
func (c *command) stale(res *gen.Result) (status int, err error) {
	wrong, err := gen.Check(res)
	for _, w := range wrong {
		c.problems.problem(problem{File: w.Name, Line: w.Line, Message: w.Message()})
		status = exitWrong
	}
	return status, err
}

// write writes the files and says which. What was written before an error is
// listed as well.
func (c *command) write(res *gen.Result) error {
	done, err := gen.Write(res)
	for _, w := range done {
		fmt.Fprintf(c.news, "%s %s\n", w.What, c.problems.rel(w.Name))
	}
	// A user who runs it for the first time learns what it looks for.
	if err == nil && len(res.Files) == 0 && len(done) == 0 {
		fmt.Fprintln(c.news, "no contracts: they are files named *.rpc.go; see rpcnet-gen -h")
	}
	return err
}
