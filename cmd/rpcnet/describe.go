package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/message"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
	"github.com/spf13/cobra"
)

// newDescribe returns the command that shows contracts.
func newDescribe(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe [SERVICE | SERVICE/METHOD]",
		Short: "show the services of a node, the contract of one, or a method with its messages",
		Long: `Without an argument it lists all procedures. The form "go" is the contract as an author
writes it, "example" a command line for each method that shows every field, "json" the
descriptor, which -schema takes.`,
		Example: `  rpcnet describe
  rpcnet describe greeting.v1.Greeting
  rpcnet describe -o example greeting.v1.Greeting/Hello
  rpcnet describe -o json greeting.v1.Greeting > greeting.json
  rpcnet describe -route -select gpu=h100`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("unexpected argument %q: want one service or method at most", args[1])
			}
			return nil
		},
	}
	r := routeFlags(env, cmd)
	form := formatFlag(cmd, "go", "example")
	cmd.ValidArgsFunction = r.completeService
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		c, done, err := r.contracts(ctx)
		if err != nil {
			return err
		}
		defer done()
		if len(args) == 0 {
			return listServices(ctx, env, c, form)
		}
		service, method, _ := strings.Cut(strings.TrimPrefix(args[0], "/"), "/")
		s, err := c.schema(ctx, service)
		if err != nil {
			return err
		}
		return showContract(env, s, method, form)
	}
	return cmd
}

// contracts returns the contracts of a file without a connection, or else those of the
// services. done ends the connection.
func (r *route) contracts(ctx context.Context) (c catalog, done func() error, err error) {
	if r.schemaFile != "" {
		c, err = r.catalog(nil)
		return c, func() error { return nil }, err
	}
	l, err := r.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err = r.catalog(l)
	return c, l.close, err
}

// listServices lists all procedures, or prints all contracts.
func listServices(ctx context.Context, env *environment, c catalog, form *format) error {
	names, err := c.services(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
	if form.chosen == "go" {
		fmt.Fprintln(w, "PROCEDURE\tSHAPE\tSUMMARY")
	}
	for _, name := range names {
		s, err := c.schema(ctx, name)
		if err != nil {
			return err
		}
		if form.chosen != "go" {
			if err := showContract(env, s, "", form); err != nil {
				return err
			}
			continue
		}
		for _, m := range s.Methods {
			fmt.Fprintf(w, "%s/%s\t%s\t%s\n", cell(s.Service), cell(m.Name), cell(m.Shape), printable.Line(firstSentence(m.Doc), 80))
		}
	}
	return w.Flush()
}

// firstSentence returns the first sentence of a comment.
func firstSentence(doc string) string {
	first, _, _ := strings.Cut(strings.ReplaceAll(doc, "\n", " "), ". ")
	return strings.TrimSuffix(first, ".")
}

// showContract prints a contract, or one method of it.
func showContract(env *environment, s *schema.Schema, method string, form *format) error {
	methods := s.Methods
	var one *schema.Method
	if method != "" {
		m, err := s.Method(method)
		if err != nil {
			return usageError(err.Error())
		}
		one, methods = m, []*schema.Method{m}
	}
	switch form.chosen {
	case "json":
		return printJSON(env.out, s)
	case "example":
		for _, m := range methods {
			text, err := exampleRequest(s, m)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(env.out, "rpcnet call %s/%s %s\n", cell(s.Service), cell(m.Name), shellQuote(string(text))); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := fmt.Fprint(env.out, message.Go(s, one))
	return err
}

// exampleRequest returns a request that shows every field, on one line.
func exampleRequest(s *schema.Schema, m *schema.Method) ([]byte, error) {
	var b bytes.Buffer
	err := json.Compact(&b, printable.JSON(message.Example(s, m.Request)))
	return b.Bytes(), err
}

// shellQuote returns a word of a shell that stands for s.
func shellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-_./:=@,+%", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
