package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
	"github.com/spf13/cobra"
)

// newMembers returns the command that lists the members of a cluster.
func newMembers(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "members [host:port]",
		Short: "list the members of a cluster as one of its nodes sees them, with the load of workers; it does not join",
		Long: `A node that chooses among workers, such as a director, also says of each worker: LOAD, the
calls that run on it of those it can run at a time, and with a plus those that are on
their way; QUEUE, the calls that wait there; WORKER, whether it can be chosen, and if not
why: late, ejected after failures, draining, no connection.`,
		Example: `  rpcnet members
  rpcnet members -context prod -select 'role=worker,zone in (a,b)'
  rpcnet members -addr director:61000 -watch
  rpcnet members -o json | jq -r '.members[].name'`,
	}
	t := targetFlags(env, cmd)
	form := formatFlag(cmd, "table")
	watch := cmd.Flags().Bool("watch", false, "print the list again at every change, until interrupted")
	selector := cmd.Flags().String("select", "", "only members that match this `selector`, such as role=worker,zone in (a,b)")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("select", t.completeSelector))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if err := t.address(args); err != nil {
			return err
		}
		s, err := cluster.ParseSelector(*selector)
		if err != nil {
			return usageError(err.Error())
		}
		conn, err := t.dial(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		show := func() error { return showMembers(ctx, conn, t.timeout, s, form, env.out) }
		if !*watch {
			return show()
		}
		return onEveryChange(ctx, conn, show)
	}
	return cmd
}

// showMembers asks the node for its members and prints those that match s, with a
// line at the end that says how the node sees the cluster.
func showMembers(ctx context.Context, conn *rpcnet.Conn, timeout time.Duration, s cluster.Selector, form *format, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v, err := cluster.Admin{Transport: conn}.Snapshot(ctx)
	if err != nil {
		return err
	}
	v.Members, v.Gone = matching(v.Members, s), matching(v.Gone, s)
	if form.json() {
		return printJSON(out, v)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tADDRESS\tSTATE\tSINCE\tBOOT\tTAGS\tLOAD\tQUEUE\tWORKER")
	for _, m := range append(v.Members, v.Gone...) {
		load, queue, status := worker(v, m)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(m.Name), cell(m.Addr), m.State, age(v.Time.Sub(m.Since)),
			cell(m.Boot), cell(m.Tags.String()), load, queue, cell(status))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d present, %d gone, in cluster %q as %s sees it", len(v.Members), len(v.Gone), cell(v.Cluster), cell(v.Self.Name))
	if v.Health > 0 {
		fmt.Fprintf(out, "; its own health is %d of 7, 0 is well", v.Health)
	}
	if v.Partition != nil {
		fmt.Fprintf(out, "; PARTITION: %s", printable.Line(v.Partition.String(), maxEventText))
	}
	_, err = fmt.Fprintln(out)
	return err
}

// worker returns what the node knows of a member as a worker: how many calls run on it,
// of how many that can; how many wait; and whether it can be chosen, and if not why. All
// are "" if the node does not know the member as a worker.
func worker(v cluster.Snapshot, m cluster.Member) (load, queue, status string) {
	for _, w := range v.Workers {
		if w.Name != m.Name || w.Boot != m.Boot {
			continue
		}
		load = strconv.Itoa(w.InFlight - w.Queued)
		if w.Capacity > 0 {
			load += "/" + strconv.Itoa(w.Capacity)
		}
		if w.Pending > 0 {
			load += "+" + strconv.Itoa(w.Pending) // on their way
		}
		if status = w.Status; w.Reason != "" {
			status += ": " + w.Reason
		}
		return load, strconv.Itoa(w.Queued), status
	}
	return "", "", ""
}

// matching returns the members whose tags match.
func matching(ms []cluster.Member, s cluster.Selector) []cluster.Member {
	var kept []cluster.Member
	for _, m := range ms {
		if s.Matches(m.Tags) {
			kept = append(kept, m)
		}
	}
	return kept
}

// age returns a duration for people, with two or three digits.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return "now"
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1fh", d.Hours())
	}
	return fmt.Sprintf("%.1fd", d.Hours()/24)
}

// A list is printed again when there was no change for as long as settle, so that a burst
// of changes prints one. Loads change with every call: for them the list is printed once in
// loadPace.
const (
	settle   = 100 * time.Millisecond
	loadPace = time.Second
)

// onEveryChange calls show at the start and after every change of the members or of the
// load of workers, until ctx ends. It returns nil when ctx ends, and an error when the
// connection or show fails.
func onEveryChange(ctx context.Context, conn *rpcnet.Conn, show func() error) error {
	ended := ctx
	ctx, cancel := context.WithCancel(ctx)
	admin := cluster.Admin{Transport: conn}
	members, loads := make(chan error), make(chan error)
	var followers sync.WaitGroup
	followers.Go(func() {
		for _, err := range admin.Events(ctx) { // the first events are the members as they are
			tell(ctx, members, err)
		}
	})
	followers.Go(func() {
		for _, err := range admin.Workers(ctx) {
			if rpcnet.CodeOf(err) == rpcnet.CodeUnimplemented {
				return // an older node: its list has no loads
			}
			tell(ctx, loads, err)
		}
	})
	defer followers.Wait()
	defer cancel()
	due := time.NewTimer(settle)
	due.Stop()
	defer due.Stop()
	waiting := false // for due
	for {
		var err error
		select {
		case <-ended.Done():
		case err = <-members:
			due.Reset(settle)
			waiting = true
		case err = <-loads:
			if !waiting {
				due.Reset(loadPace)
				waiting = true
			}
		case <-due.C:
			waiting = false
			err = show()
		}
		switch {
		case ended.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// tell sends err, unless ctx ends.
func tell(ctx context.Context, to chan<- error, err error) {
	select {
	case to <- err:
	case <-ctx.Done():
	}
}
