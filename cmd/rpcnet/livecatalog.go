package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A liveCatalog asks the servers themselves for their contracts. With a director that
// is one of the workers.
type liveCatalog struct {
	transport rpcnet.Transport
	options   rpcnet.CallOptions
	timeout   time.Duration
	known     map[string]*schema.Schema
}

// ask asks for the contract of a service, or of all for "".
func (c *liveCatalog) ask(ctx context.Context, service string) (omitted []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	opts := c.options
	opts.Idempotent = true // another worker may answer as well
	ctx, _ = rpcnet.NewCall(ctx, opts)
	b, err := rpcnet.CallRaw(ctx, c.transport, codegen.DescribeProcedure, []byte(service))
	switch rpcnet.CodeOf(err) {
	case 0:
	case rpcnet.CodeUnimplemented, rpcnet.CodePermissionDenied:
		return nil, fmt.Errorf("the server does not describe its services: %w; give the contract with -schema FILE, the Go that rpcnet-gen has written "+
			"or what \"rpcnet describe -o json\" prints elsewhere", err)
	case rpcnet.CodeNotFound:
		names, other := c.services(ctx)
		if other != nil {
			return nil, err
		}
		return nil, usagef("no service %q: the server describes %s", service, strings.Join(names, ", "))
	default:
		return nil, fmt.Errorf("asking for the services: %w", err)
	}
	services, omitted, err := schema.ParseDescription(b)
	if err != nil {
		return nil, err
	}
	if c.known == nil {
		c.known = map[string]*schema.Schema{}
	}
	for _, s := range services {
		c.known[s.Service] = s
	}
	return omitted, nil
}

func (c *liveCatalog) services(ctx context.Context) ([]string, error) {
	names, err := c.ask(ctx, "")
	if err != nil {
		return nil, err
	}
	for name := range c.known {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (c *liveCatalog) schema(ctx context.Context, service string) (*schema.Schema, error) {
	if s, ok := c.known[service]; ok {
		return s, nil
	}
	if _, err := c.ask(ctx, service); err != nil {
		return nil, err
	}
	s, ok := c.known[service]
	if !ok {
		return nil, fmt.Errorf("the server was asked for the service %q and described another", service)
	}
	return s, nil
}
