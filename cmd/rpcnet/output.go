package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
	"github.com/spf13/cobra"
)

// A format is the form of the output: "json", or the form for people.
type format struct {
	chosen string
	all    []string // the first is the default
}

// formatFlag declares the flag -o of a command. text is the name of the form for
// people, and more are forms beside that and JSON.
func formatFlag(cmd *cobra.Command, text string, more ...string) *format {
	f := &format{text, append([]string{text, "json"}, more...)}
	cmd.Flags().VarP(f, "output", "o", "the `form` of the output: "+words(f.all))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(f.all, cobra.ShellCompDirectiveNoFileComp)))
	return f
}

// words returns a list for people: "a, b or c".
func words(list []string) string {
	text := list[0]
	for i, w := range list[1:] {
		if i == len(list)-2 {
			text += " or " + w
		} else {
			text += ", " + w
		}
	}
	return text
}

// String, Set and Type implement pflag.Value.
func (f *format) String() string { return f.chosen }

// Type returns what the value is.
func (f *format) Type() string { return "form" }

// Set takes one of the forms.
func (f *format) Set(s string) error {
	for _, name := range f.all {
		if s == name {
			f.chosen = s
			return nil
		}
	}
	return fmt.Errorf("want %s", words(f.all))
}

// json reports whether the output is for programs.
func (f *format) json() bool { return f.chosen == "json" }

// printJSON prints v on one line. What is invisible is escaped.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(printable.JSON(b.Bytes()))
	return err
}

// maxCell is how many bytes of a node's text a table shows.
const maxCell = 200

// cell returns a node's text for a table.
func cell(s string) string { return printable.Line(s, maxCell) }

// colourful reports whether w is a terminal whose user wants colours: see
// https://no-color.org.
func (env *environment) colourful(w io.Writer) bool {
	return env.getenv("NO_COLOR") == "" && env.terminal(w)
}

// terminal reports whether w is a terminal that can move its cursor.
func (env *environment) terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || env.getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// noArgs refuses arguments. what is where they belong.
func noArgs(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("unexpected argument %q: %s", args[0], what)
		}
		return nil
	}
}
