// Command rpcnet is the tool for those who run rpcnet nodes.
//
//	rpcnet COMMAND [flags] [arguments]
//
// "rpcnet help" lists the commands; "rpcnet COMMAND -h" explains one. The exit
// status is 0 for success, 1 for failure, 2 for wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// A command is one subcommand. Each has a file of its own.
type command struct {
	name    string
	args    string // the arguments after the flags, for the usage line
	summary string // one line
	// setup declares the flags. It returns the function that runs when they are
	// parsed.
	setup func(fs *flag.FlagSet) runFunc
}

// A runFunc does the work of a command with the arguments after its flags, until
// it is done or ctx ends. It returns a usageError if an argument is wrong.
type runFunc func(ctx context.Context, args []string, out io.Writer) error

// commands are all subcommands, in the order of the help.
var commands = []command{certsCommand, membersCommand, eventsCommand, versionCommand}

// A usageError says what is wrong with the flags or arguments of a command. It
// makes the exit status 2.
type usageError string

func (e usageError) Error() string { return string(e) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run executes the command line args and returns the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 {
		usage(errs)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(out)
		return 0
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], out, errs)
		}
	}
	fmt.Fprintf(errs, "rpcnet: unknown command %q: see \"rpcnet help\"\n", args[0])
	return 2
}

// usage prints the list of commands.
func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: rpcnet COMMAND [flags] [arguments]")
	fmt.Fprintln(w)
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, `"rpcnet COMMAND -h" explains a command.`)
}

// run executes the command with its flags and arguments and returns the exit
// status.
func (c command) run(ctx context.Context, args []string, out, errs io.Writer) int {
	fs := flag.NewFlagSet("rpcnet "+c.name, flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: rpcnet %s [flags] %s\n\n%s\n\n", c.name, c.args, c.summary)
		fs.PrintDefaults()
	}
	run := c.setup(fs)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // the flag set has said why
	}
	err := run(ctx, fs.Args(), out)
	if err == nil {
		return 0
	}
	fmt.Fprintf(errs, "rpcnet %s: %v\n", c.name, err)
	var wrong usageError
	if errors.As(err, &wrong) {
		return 2
	}
	return 1
}
