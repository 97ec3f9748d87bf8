package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/doctor"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
	"github.com/spf13/cobra"
)

// newDoctor returns the command that says why a node cannot be reached.
func newDoctor(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [host:port]",
		Short: "say at which step a node cannot be reached, what is wrong with its cluster, and what mends it",
		Long: `It examines the files on this machine, DNS, TCP, TLS, the certificates of both sides, the
session, the clocks, UDP both ways and the size of datagrams, and what the node says of
its cluster. It changes nothing and does not join. The exit status is 1 if a step failed;
warnings are no failure.`,
		Example: `  rpcnet doctor
  rpcnet doctor 10.0.0.7:61000 -dir /etc/rpcnet/certs
  rpcnet doctor -context prod -cluster prod
  rpcnet doctor -o json | jq 'select(.status != "ok")'`,
	}
	t := targetFlags(env, cmd)
	form := formatFlag(cmd, "text")
	name := cmd.Flags().String("cluster", "", "the `name` that the cluster should have")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := t.address(args); err != nil {
			return err
		}
		if err := t.resolve(); err != nil {
			return err
		}
		cert, key, ca := t.files()
		out := &findings{env: env, form: form, colour: env.colourful(env.out)}
		well := doctor.Run(cmd.Context(), doctor.Config{
			Addr: t.node.Addr, ServerName: t.node.ServerName, Cert: cert, Key: key, CA: ca,
			Cluster: *name, Timeout: t.timeout, Now: env.now,
			Report: out.show,
		})
		out.flush()
		if !well && out.err == nil {
			return shownError{errors.New("a step failed")}
		}
		return out.err
	}
	return cmd
}

// findings prints what the steps find.
type findings struct {
	env     *environment
	form    *format
	colour  bool
	skipped []string // steps that were skipped since the last line
	err     error    // of printing
}

// show prints what a step has found. Steps that are skipped wait for the next one that is
// not, and share a line.
func (o *findings) show(f doctor.Finding) {
	switch {
	case o.form.json():
		o.err = cmp.Or(o.err, printJSON(o.env.out, f))
		return
	case f.Status == doctor.StatusSkipped:
		o.skipped = append(o.skipped, f.Step)
		return
	}
	o.flush()
	o.line(f.Status, f.Step, f.Text)
	if f.Fix != "" {
		o.line("", "", "-> "+f.Fix)
	}
}

// flush prints the steps that were skipped.
func (o *findings) flush() {
	if len(o.skipped) > 0 {
		o.line(doctor.StatusSkipped, "", "an earlier step failed, so not examined: "+strings.Join(o.skipped, ", "))
		o.skipped = nil
	}
}

// line prints one line.
func (o *findings) line(status doctor.Status, step, text string) {
	mark := fmt.Sprintf("%-4s", status)
	if code, ok := map[doctor.Status]string{doctor.StatusOK: "32", doctor.StatusWarn: "33", doctor.StatusFail: "31;1"}[status]; ok && o.colour {
		mark = "\x1b[" + code + "m" + mark + "\x1b[0m"
	}
	_, err := fmt.Fprintf(o.env.out, "%s  %-11s  %s\n", mark, step, printable.Line(text, maxEventText))
	o.err = cmp.Or(o.err, err)
}
