package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/spf13/cobra"
)

// completionTimeout is how long the shell waits for a node.
const completionTimeout = 2 * time.Second

// newCompletion returns the command that prints the script of a shell.
func newCompletion(env *environment) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	cmd := &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "print the script with which a shell completes commands, flags, services, methods, fields, members and tags",
		Long:  "What only a node knows, the command asks the node of the current context or of the flags on the line.",
		Example: `  source <(rpcnet completion bash)
  rpcnet completion bash > /etc/bash_completion.d/rpcnet
  rpcnet completion zsh > "${fpath[1]}/_rpcnet"
  rpcnet completion fish > ~/.config/fish/completions/rpcnet.fish
  rpcnet completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return usagef("which shell? want %s", words(shells))
			}
			return nil
		},
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root := cmd.Root()
		switch args[0] {
		case "bash":
			return root.GenBashCompletionV2(env.out, true)
		case "zsh":
			return root.GenZshCompletion(env.out)
		case "fish":
			return root.GenFishCompletion(env.out, true)
		}
		return root.GenPowerShellCompletionWithDesc(env.out)
	}
	return cmd
}

// noFiles is the answer of completions that are no files.
const noFiles = cobra.ShellCompDirectiveNoFileComp

// members returns the view of the node, nil if it does not answer soon.
func (t *target) members(cmd *cobra.Command) *cluster.Snapshot {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	t.timeout = min(t.timeout, completionTimeout)
	conn, err := t.dial(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close()
	v, err := cluster.Admin{Transport: conn}.Snapshot(ctx)
	if err != nil {
		return nil
	}
	return &v
}

// completeMember completes the name of a member, with its state and address.
func (t *target) completeMember(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	v := t.members(cmd)
	if v == nil || len(args) > 0 {
		return nil, noFiles
	}
	var list []string
	for _, m := range v.Members {
		list = append(list, candidate(m.Name, m.State.String()+" at "+m.Addr))
	}
	return startingWith(list, typed), noFiles
}

// completeSelector completes a selector with the tags that members have.
func (t *target) completeSelector(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	v := t.members(cmd)
	if v == nil {
		return nil, noFiles
	}
	done := typed[:strings.LastIndexByte(typed, ',')+1]
	seen := map[string]bool{}
	for _, m := range v.Members {
		for key, value := range m.Tags {
			seen[done+key+"="+value] = true
		}
	}
	var list []string
	for s := range seen {
		list = append(list, candidate(s, ""))
	}
	slices.Sort(list)
	return startingWith(list, typed), noFiles | cobra.ShellCompDirectiveNoSpace
}

// startingWith returns the candidates that begin with what is typed. Not every shell
// looks itself.
func startingWith(list []string, typed string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return !strings.HasPrefix(s, typed) })
}

// candidate returns a candidate with its description. Shells take what stands behind a
// tab as that, and lines apart.
func candidate(text, description string) string {
	text = cell(text)
	if description != "" {
		text += "\t" + cell(description)
	}
	return text
}

// completeCall completes a procedure and then the fields of its request.
func (r *route) completeCall(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return r.completeService(cmd, args, typed)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	r.timeout = min(r.timeout, completionTimeout)
	c, done, err := r.contracts(ctx)
	if err != nil {
		return nil, noFiles
	}
	defer done()
	p, err := findProcedure(ctx, c, args[0])
	if err != nil {
		return nil, noFiles
	}
	t, ok := p.schema.Types[p.method.Request]
	if !ok || t == nil {
		return nil, noFiles
	}
	var list []string
	for _, f := range slices.Concat(t.Fields, t.Variants) {
		list = append(list, candidate(f.Name+"=", f.Type+" "+firstSentence(f.Doc)))
	}
	return startingWith(list, typed), noFiles | cobra.ShellCompDirectiveNoSpace
}

// completeService completes the name of a service, and after its slash the method.
func (r *route) completeService(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	r.timeout = min(r.timeout, completionTimeout)
	c, done, err := r.contracts(ctx)
	if err != nil {
		return nil, noFiles
	}
	defer done()
	names, err := c.services(ctx)
	if err != nil {
		return nil, noFiles
	}
	service, _, slash := strings.Cut(typed, "/")
	var list []string
	for _, name := range names {
		switch {
		case !slash:
			list = append(list, candidate(name+"/", ""))
		case name == service:
			s, err := c.schema(ctx, name)
			if err != nil {
				return nil, noFiles
			}
			for _, m := range s.Methods {
				list = append(list, candidate(name+"/"+m.Name, firstSentence(m.Doc)))
			}
		}
	}
	list = startingWith(list, typed)
	if slash {
		return list, noFiles
	}
	return list, noFiles | cobra.ShellCompDirectiveNoSpace
}
