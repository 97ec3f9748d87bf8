package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help prints what a command does, how it is called, examples, its subcommands and its
// flags.
func help(cmd *cobra.Command, w io.Writer) {
	fmt.Fprintf(w, "usage: %s\n\n%s\n", usageLine(cmd), cmd.Short)
	if cmd.Long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.Long))
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(t, "\nCommands:\n\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(t, "  %s\t%s\n", c.Name(), c.Short)
			}
		}
		fmt.Fprintf(t, "\n\"%s COMMAND -h\" explains a command.\n", cmd.CommandPath())
	}
	if cmd.HasAvailableLocalFlags() && !cmd.HasSubCommands() {
		fmt.Fprint(t, "\nFlags, with one dash or two:\n\n")
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				fmt.Fprintf(t, "  %s\n", flagText(f))
			}
		})
	}
	t.Flush()
}

// usageLine returns how a command is called.
func usageLine(cmd *cobra.Command) string {
	line := cmd.CommandPath()
	if cmd.HasSubCommands() {
		line += " COMMAND"
	}
	if cmd.HasAvailableLocalFlags() {
		line += " [flags]"
	}
	if _, args, ok := strings.Cut(cmd.Use, " "); ok {
		line += " " + args
	} else if cmd.HasSubCommands() {
		line += " [arguments]"
	}
	return line
}

// flagText returns the line of a flag in the help: name, value, meaning, default.
func flagText(f *pflag.Flag) string {
	value, usage := pflag.UnquoteUsage(f)
	name := "-" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if value != "" {
		name += " " + value
	}
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
	default:
		usage += fmt.Sprintf(" (default %s)", f.DefValue)
	}
	return name + "\t" + usage
}
