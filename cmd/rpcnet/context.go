package main

import (
	"fmt"
	"net"
	"path/filepath"
	"text/tabwriter"

	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/contexts"
	"github.com/spf13/cobra"
)

// newContext returns the command with the subcommands that keep contexts.
func newContext(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "keep addresses and certificates under names, so that no other line needs flags for them",
		Long: `A context has the address of any node of a cluster and the certificates to reach it
with. The current one is used by every command. Another is chosen by -context NAME or
RPCNET_CONTEXT. The flags -addr, -dir and so on count before the context, and so do
RPCNET_ADDR and RPCNET_CERTS, but not before -context.`,
		Example: `  rpcnet context add prod -addr 10.0.0.1:61000 -dir /etc/rpcnet/certs
  rpcnet context use prod
  rpcnet context list
  rpcnet members -context prod`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: want add, use, list or remove", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			help(cmd, env.errs)
			return shownError{usageError("no command")}
		},
	}
	cmd.AddCommand(newContextAdd(env), newContextUse(env), newContextList(env), newContextRemove(env))
	return cmd
}

// change loads the contexts, has f change them, and saves them.
func (env *environment) change(f func(*contexts.Set) error) error {
	path, err := env.configPath()
	if err != nil {
		return err
	}
	set, err := contexts.Load(path)
	if err != nil {
		return err
	}
	if err := f(set); err != nil {
		return err
	}
	return set.Save(path)
}

// oneName refuses all but one argument, the name of a context.
func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("%d arguments: want the name of one context", len(args))
	}
	return nil
}

// newContextAdd returns the command that adds a context or replaces one.
func newContextAdd(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "add a context, or replace the one of that name; the first becomes the current one",
		Example: `  rpcnet context add prod -addr 10.0.0.1:61000 -dir /etc/rpcnet/certs -use
  rpcnet context add edge -addr edge.example.org:61000 -cert me.pem -key me-key.pem -ca ca.pem
  rpcnet context add pod -addr 10.2.0.9:61000 -server-name spiffe://prod.example/worker/a`,
		Args: oneName,
	}
	var c contexts.Context
	f := cmd.Flags()
	f.StringVar(&c.Addr, "addr", "", "the `host:port` of any node of the cluster")
	f.StringVar(&c.Dir, "dir", "", "the `folder` with ca.pem and a certificate, as \"rpcnet certs\" makes it")
	f.StringVar(&c.Cert, "cert", "", "the certificate's `file`, instead of the one in -dir")
	f.StringVar(&c.Key, "key", "", "the key's `file`, instead of the one in -dir")
	f.StringVar(&c.CA, "ca", "", "the authority's `file`, instead of the one in -dir")
	f.StringVar(&c.ServerName, "server-name", "", "the `name` that the node's certificate must carry, instead of the host of -addr")
	use := f.Bool("use", false, "make it the current one")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := contexts.CheckName(args[0]); err != nil {
			return usageError(err.Error())
		}
		if _, _, err := net.SplitHostPort(c.Addr); err != nil {
			return usagef("-addr %q: want the host:port of a node", c.Addr)
		}
		// The context is used from other folders.
		for _, path := range []*string{&c.Dir, &c.Cert, &c.Key, &c.CA} {
			if *path != "" {
				abs, err := filepath.Abs(*path)
				if err != nil {
					return err
				}
				*path = abs
			}
		}
		return env.change(func(set *contexts.Set) error {
			set.Contexts[args[0]] = c
			if *use || set.Current == "" {
				set.Current = args[0]
			}
			return nil
		})
	}
	return cmd
}

// newContextUse returns the command that chooses the current context.
func newContextUse(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "make a context the current one",
		Example:           `  rpcnet context use prod`,
		Args:              oneName,
		ValidArgsFunction: env.completeContext,
		RunE: func(_ *cobra.Command, args []string) error {
			return env.change(func(set *contexts.Set) error {
				_, err := set.Get(args[0])
				set.Current = args[0]
				return err
			})
		},
	}
}

// newContextRemove returns the command that forgets a context.
func newContextRemove(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:               "remove NAME",
		Short:             "remove a context; its certificates stay where they are",
		Example:           `  rpcnet context remove prod`,
		Args:              oneName,
		ValidArgsFunction: env.completeContext,
		RunE: func(_ *cobra.Command, args []string) error {
			return env.change(func(set *contexts.Set) error {
				if _, err := set.Get(args[0]); err != nil {
					return err
				}
				delete(set.Contexts, args[0])
				if set.Current == args[0] {
					set.Current = ""
				}
				return nil
			})
		},
	}
}

// newContextList returns the command that lists the contexts.
func newContextList(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the contexts; the current one has a star",
		Example: `  rpcnet context list
  rpcnet context list -o json`,
		Args: noArgs("list takes none"),
	}
	form := formatFlag(cmd, "table")
	cmd.RunE = func(*cobra.Command, []string) error {
		set, err := env.contexts()
		if err != nil {
			return err
		}
		if form.json() {
			return printJSON(env.out, set)
		}
		w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, " \tNAME\tADDRESS\tCERTIFICATES\tSERVER NAME")
		for _, name := range set.Names() {
			c, mark := set.Contexts[name], " "
			if name == set.Current {
				mark = "*"
			}
			where := c.Dir
			if c.Cert != "" {
				where = c.Cert
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", mark, cell(name), cell(c.Addr), cell(where), cell(c.ServerName))
		}
		return w.Flush()
	}
	return cmd
}

// completeContext completes the name of a context.
func (env *environment) completeContext(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	set, err := env.contexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return set.Names(), cobra.ShellCompDirectiveNoFileComp
}
