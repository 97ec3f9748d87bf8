package main

import (
	"context"
	"log/slog"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cluster"
	"github.com/rpcnet-go/rpcnet/director"
	"github.com/rpcnet-go/rpcnet/workers"
	"github.com/spf13/cobra"
)

// A route is how calls reach who serves them: the node of the target itself, or
// workers that a director chooses.
type route struct {
	*target
	routed             bool
	selector, affinity string
	schemaFile         string
	onEvent            func(context.Context, workers.Event) // nil: nothing
}

// routeFlags declares the flags of a target and of a route.
func routeFlags(env *environment, cmd *cobra.Command) *route {
	r := &route{target: targetFlags(env, cmd)}
	f := cmd.Flags()
	f.BoolVar(&r.routed, "route", false, "the node is a director: call a worker that it chooses, and another one if that fails")
	f.StringVar(&r.selector, "select", "", "with -route, only workers that match this `selector`, such as gpu=h100,zone in (a,b)")
	f.StringVar(&r.affinity, "affinity", "", "with -route, the `key` of a session: calls with the same one go to the same worker")
	f.StringVar(&r.schemaFile, "schema", "", "the `file` with the contract, if the node does not describe its services: "+
		"what \"rpcnet describe -o json\" prints, or Go that rpcnet-gen has written")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("select", r.completeSelector))
	return r
}

// check refuses flags that do not go together.
func (r *route) check() error {
	if _, err := cluster.ParseSelector(r.selector); err != nil {
		return usageError(err.Error())
	}
	if !r.routed && (r.selector != "" || r.affinity != "") {
		return usageError("-select and -affinity need -route: without it the node itself is called")
	}
	return nil
}

// A link is an open way to who serves the calls.
type link struct {
	rpcnet.Transport
	conn  *rpcnet.Conn // to the node itself, nil with -route
	close func() error
}

// open connects. The caller closes the link. The error is a connectError or a
// usageError.
func (r *route) open(ctx context.Context) (*link, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	conn, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	if !r.routed {
		return &link{Transport: conn, conn: conn, close: conn.Close}, nil
	}
	// It has answered. The client of directors makes connections of its own.
	conn.Close()
	creds, err := r.credentials()
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler) // what goes wrong is in the error, or has been mended by another attempt
	cfg := &director.ClientConfig{Credentials: creds, Logger: quiet}
	cfg.OnEvent = r.onEvent
	c, err := director.Dial(ctx, cfg, r.node.Addr)
	if err != nil {
		return nil, connectError{err}
	}
	return &link{Transport: c, close: c.Close}, nil
}

// catalog returns the contracts: those of a file, or what the services say of
// themselves.
func (r *route) catalog(l *link) (catalog, error) {
	if r.schemaFile != "" {
		c, err := readCatalog(r.schemaFile)
		if err != nil {
			return nil, usageError(err.Error())
		}
		return c, nil
	}
	return &liveCatalog{transport: l.Transport, options: r.options(), timeout: r.timeout}, nil
}

// options returns what goes with each call.
func (r *route) options() rpcnet.CallOptions {
	return rpcnet.CallOptions{Selector: r.selector, AffinityKey: r.affinity}
}
