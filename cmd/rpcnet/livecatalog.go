package main

import (
	"context"
	"errors"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A liveCatalog asks the servers themselves for their contracts.
type liveCatalog struct {
	transport rpcnet.Transport
	options   rpcnet.CallOptions
}

// errNoContract is what a node is answered for that does not describe its services.
var errNoContract = errors.New("the node does not describe its services: give the contract with -schema, " +
	"the Go file that rpcnet-gen has written or what \"rpcnet describe -o json\" prints elsewhere")

func (c *liveCatalog) services(context.Context) ([]string, error) { return nil, errNoContract }

func (c *liveCatalog) schema(context.Context, string) (*schema.Schema, error) {
	return nil, errNoContract
}
