package main

import (
	"fmt"
	"io"
	"slices"

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
  rpcnet events -initial=false -count 1    # wait for the next change
  rpcnet events -kind NodeFailed,NodeSuspected -select role=worker
  rpcnet events -o json | jq -r 'select(.kind == "NodeFailed") | .member.name'`,
	}
	t := targetFlags(env, cmd)
	form := formatFlag(cmd, "text")
	count := cmd.Flags().Int("count", 0, "end after so many `events`; 0: not before an interrupt")
	kinds := cmd.Flags().StringSlice("kind", nil, "only events of these `kinds`, such as NodeFailed,NodeLeft")
	selector := cmd.Flags().String("select", "", "only events of members that match this `selector`, such as role=worker")
	initial := cmd.Flags().Bool("initial", true, "begin with the members as they are")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(eventKinds(), noFiles)))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("select", t.completeSelector))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if err := t.address(args); err != nil {
			return err
		}
		wanted, err := eventFilter(*kinds, *selector)
		if err != nil {
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
			case e.Initial && !*initial || !wanted(e):
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

// eventKinds are the names of the kinds of events.
func eventKinds() (names []string) {
	for k := cluster.KindNodeJoined; k <= cluster.KindResync; k++ {
		names = append(names, k.String())
	}
	return names
}

// eventFilter returns whether an event is of one of the kinds, if there are any, and of
// a member that matches the selector. Events about the cluster have no member, and match
// the empty selector alone.
func eventFilter(kinds []string, selector string) (func(cluster.Event) bool, error) {
	for _, k := range kinds {
		if !slices.Contains(eventKinds(), k) {
			return nil, usagef("-kind %q: want %s", k, words(eventKinds()))
		}
	}
	s, err := cluster.ParseSelector(selector)
	if err != nil {
		return nil, usageError(err.Error())
	}
	return func(e cluster.Event) bool {
		return (len(kinds) == 0 || slices.Contains(kinds, e.Kind.String())) && (selector == "" || s.Matches(e.Member.Tags))
	}, nil
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
