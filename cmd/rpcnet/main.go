// Command rpcnet is the tool for those who run and call rpcnet nodes.
//
//	rpcnet COMMAND [flags] [arguments]
//
// "rpcnet help" lists the commands; "rpcnet COMMAND -h" explains one. What a command
// was asked for goes to the standard output, and everything else to the standard
// error. The exit status is 0 for success, 1 if what was asked for failed, 2 for
// wrong usage, and 3 if the node cannot be reached.
//
// Each command has a file of its own. What it needs of the world, it has from an
// environment, so that tests run it in their own process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit statuses.
const (
	statusFailed  = 1
	statusUsage   = 2
	statusConnect = 3
)

// An environment is what a command has of the world around it.
type environment struct {
	in        io.Reader
	out, errs io.Writer
	getenv    func(string) string
	configDir func() (string, error) // where the user's files of configuration are
	now       func() time.Time
}

// A usageError says what is wrong with the flags or arguments of a command. It
// makes the exit status 2.
type usageError string

func (e usageError) Error() string { return string(e) }

// usagef returns a usageError with a format.
func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// A connectError says why the node cannot be reached. It makes the exit status 3.
type connectError struct{ error }

func (e connectError) Unwrap() error { return e.error }

// A shownError is an error that a command has printed itself. Only the exit status
// is left to do.
type shownError struct{ error }

func (e shownError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, processEnvironment(), os.Args[1:])
	stop()
	os.Exit(status)
}

// processEnvironment returns the environment of this process.
func processEnvironment() *environment {
	return &environment{os.Stdin, os.Stdout, os.Stderr, os.Getenv, os.UserConfigDir, time.Now}
}

// run executes the command line args and returns the exit status.
func run(ctx context.Context, env *environment, args []string) int {
	root := newRoot(env)
	root.SetIn(env.in)
	root.SetOut(env.out)
	root.SetErr(env.errs)
	root.SetArgs(longFlags(root, args))
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if !errors.As(err, new(shownError)) {
		fmt.Fprintf(env.errs, "%s: %s\n", cmd.CommandPath(), printable.Line(err.Error(), maxErrorText))
	}
	switch {
	case errors.As(err, new(usageError)):
		return statusUsage
	case errors.As(err, new(connectError)):
		return statusConnect
	}
	return statusFailed
}

// maxErrorText is how many bytes of an error are printed. Parts of it can come from a
// node.
const maxErrorText = 8 << 10

func init() { cobra.EnableCommandSorting = false } // the help has the order of newRoot

// newRoot returns the command with all its subcommands, in the order of the help.
func newRoot(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:               "rpcnet",
		Short:             "the tool for those who run and call rpcnet nodes",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // there is one of our own
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: see \"rpcnet help\"", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			help(cmd, env.errs)
			return shownError{usageError("no command")}
		},
	}
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { help(cmd, env.out) })
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err.Error()) })
	root.AddCommand(
		newCall(env), newDescribe(env), newBench(env),
		newMembers(env), newEvents(env), newDrain(env), newDoctor(env),
		newContext(env), newCerts(env), newCompletion(env), newVersion(env),
	)
	return root
}

// configPath returns the path of the file of contexts.
func (env *environment) configPath() (string, error) {
	dir, err := env.configDir()
	if err != nil {
		return "", fmt.Errorf("where the contexts are: %w", err)
	}
	return filepath.Join(dir, "rpcnet", "contexts.json"), nil
}

// longFlags returns args with a second dash in front of flags that are words, so that
// -addr and --addr are the same, as in other Go programs. Flags of one letter have one
// dash, and their value can follow without a space: -ojson.
func longFlags(root *cobra.Command, args []string) []string {
	words, letters := map[string]bool{"help": true}, map[string]bool{"h": true}
	visitFlags(root, func(f *pflag.Flag) {
		words[f.Name] = true
		letters[f.Shorthand] = true
	})
	out := slices.Clone(args)
	last := len(out)
	if last > 0 && strings.HasPrefix(out[0], "__complete") {
		last-- // what is being typed stays as it is
	}
	for i, a := range out[:last] {
		if a == "--" {
			break
		}
		if len(a) < 3 || a[0] != '-' || a[1] < 'a' || a[1] > 'z' {
			continue // also a negative number
		}
		name, _, _ := strings.Cut(a[1:], "=")
		if words[name] || !letters[name[:min(1, len(name))]] {
			out[i] = "-" + a
		}
	}
	return out
}

// visitFlags calls f with the flags of a command and of those below it.
func visitFlags(cmd *cobra.Command, f func(*pflag.Flag)) {
	cmd.Flags().VisitAll(f)
	for _, c := range cmd.Commands() {
		visitFlags(c, f)
	}
}
