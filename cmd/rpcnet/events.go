package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"

	"github.com/rpcnet-go/rpcnet/cluster"
)

var eventsCommand = command{
	name:    "events",
	args:    "[host:port]",
	summary: "print what happens in a cluster as one of its nodes sees it, until interrupted; it does not join",
	setup: func(fs *flag.FlagSet) runFunc {
		t := targetFlags(fs)
		form := formatFlag(fs, "text")
		initial := fs.Bool("initial", true, "begin with the members as they are")
		return func(ctx context.Context, args []string, out io.Writer) error {
			if err := t.address(args); err != nil {
				return err
			}
			conn, err := t.dial(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			admin := cluster.Admin{Transport: conn}
			for e, err := range admin.Events(ctx) {
				switch {
				case ctx.Err() != nil:
					return nil
				case err != nil:
					return err
				case e.Initial && !*initial:
					continue
				}
				if err := showEvent(e, *form, out); err != nil {
					return err
				}
			}
			return nil
		}
	},
}

// showEvent prints an event on one line.
func showEvent(e cluster.Event, form format, out io.Writer) error {
	if form == "json" {
		return json.NewEncoder(out).Encode(e)
	}
	mark := ""
	if e.Initial {
		mark = " (present)"
	}
	_, err := fmt.Fprintf(out, "%s %6d %v%s\n", e.Time.Format("15:04:05.000"), e.Seq, e, mark)
	return err
}
