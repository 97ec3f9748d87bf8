package main

import (
	"fmt"
	"io"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
	"github.com/spf13/cobra"
)

// newEvents returns the command that follows a cluster.
func newEvents(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events [host:port]",
		Short: "print what happens in a cluster as one of its nodes sees it, until interrupted; it does not join",
		Example: `  rpcnet events
  rpcnet events -context prod -initial=false
  rpcnet events -initial=false -count 1              # wait for the next change
  rpcnet events -o json | jq -r 'select(.kind == "NodeFailed") | .member.name'`,
	}
	t := targetFlags(env, cmd)
	form := formatFlag(cmd, "text")
	count := cmd.Flags().Int("count", 0, "end after so many `events`; 0: not before an interrupt")
	initial := cmd.Flags().Bool("initial", true, "begin with the members as they are")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if err := t.address(args); err != nil {
			return err
		}
		conn, err := t.dial(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		shown := 0
		for e, err := range (cluster.Admin{Transport: conn}).Events(ctx) {
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				return err
			case e.Initial && !*initial:
				continue
			}
			if err := showEvent(e, form, env.out); err != nil {
				return err
			}
			if shown++; shown == *count {
				break
			}
		}
		return nil
	}
	return cmd
}

// maxEventText is how many bytes of an event are printed for people.
const maxEventText = 2 << 10

// showEvent prints an event on one line.
func showEvent(e cluster.Event, form *format, out io.Writer) error {
	if form.json() {
		return printJSON(out, e)
	}
	mark := ""
	if e.Initial {
		mark = " (present)"
	}
	_, err := fmt.Fprintf(out, "%s %6d %s%s\n", e.Time.Format("15:04:05.000"), e.Seq, printable.Line(e.String(), maxEventText), mark)
	return err
}
