package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/spf13/cobra"
)

// newDrain returns the command that makes a node leave its cluster.
func newDrain(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drain NAME",
		Short: "make a node leave the cluster in good order, and wait until it has left",
		Long: `The others give the node no new work, what runs on it may finish, and its resumable
streams go on elsewhere. The node then leaves the cluster. Its program goes on and is
told (cluster.Node.Done); what it does then is its own.

The command asks the node of -addr where NAME is, and follows there whether it leaves.
It needs the certificate of an administrator.`,
		Example: `  rpcnet drain worker-a
  rpcnet drain -wait 5m gpu7
  rpcnet drain -context prod -o json gpu7`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%d arguments: want the name of one member; \"rpcnet members\" lists them", len(args))
			}
			return nil
		},
	}
	t := targetFlags(env, cmd)
	form := formatFlag(cmd, "text")
	wait := cmd.Flags().Duration("wait", 30*time.Second, "how long what runs on the node may take to finish")
	cmd.ValidArgsFunction = t.completeMember
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *wait <= 0 {
			return usagef("-wait %v: want more than nothing", *wait)
		}
		return t.drain(cmd.Context(), args[0], *wait, form)
	}
	return cmd
}

// drain drains the member of that name.
func (t *target) drain(ctx context.Context, name string, wait time.Duration, form *format) error {
	conn, err := t.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	admin := cluster.Admin{Transport: conn}
	v, err := t.snapshot(ctx, admin)
	if err != nil {
		return err
	}
	m, err := present(v, name)
	if err != nil {
		return err
	}
	drained := admin
	if m.ID() != v.Self.ID() {
		c, err := t.dialMember(ctx, v.Cluster, m)
		if err != nil {
			return err
		}
		defer c.Close()
		drained = cluster.Admin{Transport: c}
	}
	// What runs may finish, and then the others are told.
	ctx, cancel := context.WithTimeout(ctx, wait+t.timeout)
	defer cancel()
	start := t.env.now()
	began := false
	for e, err := range admin.Events(ctx) {
		switch {
		case err != nil && m.ID() == v.Self.ID() && began && rpcnet.CodeOf(err) == rpcnet.CodeUnavailable:
			return t.showDrained(m, t.env.now().Sub(start), form) // the node that told has stopped
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("%s has not left after %v: what runs on it goes on; \"rpcnet members\" shows it", cell(name), wait+t.timeout)
		case err != nil:
			return err
		case !began: // the subscription has begun: nothing is missed
			began = true
			if err := drained.Drain(ctx, wait); err != nil {
				return err
			}
			fmt.Fprintf(t.env.errs, "%s drains, for %v at most\n", cell(name), wait)
		}
		if e.Initial || e.Member.ID() != m.ID() {
			continue
		}
		switch e.Kind {
		case cluster.KindNodeLeft:
			return t.showDrained(m, t.env.now().Sub(start), form)
		case cluster.KindNodeFailed:
			return fmt.Errorf("%s failed while it drained: %s", cell(name), cell(e.Cause))
		}
	}
	return nil
}

// showDrained says that a member has left.
func (t *target) showDrained(m cluster.Member, took time.Duration, form *format) error {
	if form.json() {
		return printJSON(t.env.out, struct {
			Name    string  `json:"name"`
			Boot    string  `json:"boot"`
			Left    bool    `json:"left"`
			Seconds float64 `json:"seconds"`
		}{m.Name, m.Boot, true, took.Seconds()})
	}
	_, err := fmt.Fprintf(t.env.out, "%s has left after %v\n", cell(m.Name), took.Round(time.Millisecond))
	return err
}

// snapshot asks the node for its view, within the timeout.
func (t *target) snapshot(ctx context.Context, admin cluster.Admin) (cluster.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return admin.Snapshot(ctx)
}

// maxNames is how many members an error lists.
const maxNames = 20

// present returns the member of that name that is in the cluster, the newest boot of
// several. The error lists the members.
func present(v cluster.Snapshot, name string) (m cluster.Member, err error) {
	var names []string
	for _, other := range v.Members { // sorted by name and boot
		if other.Name == name {
			m = other
		}
		names = append(names, cell(other.Name))
	}
	if m.Name != "" {
		return m, nil
	}
	if len(names) == 0 {
		return m, fmt.Errorf("no member %q is present: the node that was asked has left the cluster itself", name)
	}
	names = slices.Compact(names)
	if len(names) > maxNames {
		names = append(names[:maxNames], "...")
	}
	return m, fmt.Errorf("no member %q is present: there are %s", name, strings.Join(names, ", "))
}

// dialMember connects to a member, and to no other node at its address. The caller
// closes the connection.
func (t *target) dialMember(ctx context.Context, clusterName string, m cluster.Member) (*rpcnet.Conn, error) {
	creds, err := t.credentials()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	conn, err := rpcnet.Dial(ctx, m.Addr, creds, &rpcnet.DialConfig{
		ServerNames: []string{m.ServerName}, // the host of the address if it is ""
		Target:      rpcnet.Target{Cluster: clusterName, Node: m.Name, Boot: m.Boot},
		Logger:      t.env.logger(),
	})
	if err != nil {
		return nil, connectError{err}
	}
	return conn, nil
}
