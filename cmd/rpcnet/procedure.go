package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/message"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A procedure is what calls of it need. It is safe for concurrent use.
type procedure struct {
	schema *schema.Schema
	method *schema.Method
	spec   *rpcnet.Spec // with messages in JSON
}

// findProcedure returns the procedure of that name from a catalog.
func findProcedure(ctx context.Context, c catalog, name string) (*procedure, error) {
	service, method, err := splitProcedure(name)
	if err != nil {
		return nil, err
	}
	p := new(procedure)
	if p.schema, err = c.schema(ctx, service); err != nil {
		return nil, err
	}
	if p.method, err = p.schema.Method(method); err != nil {
		return nil, usageError(err.Error())
	}
	p.spec, err = p.schema.Spec(method, false)
	return p, err
}

// check returns an error of usage if a request in JSON does not fit the contract.
func (p *procedure) check(request []byte) error {
	m, err := p.schema.Message(p.method.Request)
	if err != nil {
		return err
	}
	if strings.HasPrefix(p.method.Request, "protobuf") {
		return nil // its server knows
	}
	if _, err := m.AppendCBOR(nil, request); err != nil {
		return usagef("request: %v; an example: %s", err, message.Example(p.schema, p.method.Request))
	}
	return nil
}

// complete returns a response, on one line, with the fields that its sender left out
// because they are empty.
func (p *procedure) complete(response []byte) ([]byte, error) {
	text, err := message.Complete(p.schema, p.method.Response, response)
	if err != nil {
		return nil, fmt.Errorf("the answer does not fit the contract: %w", err)
	}
	return text, nil
}

// A detail is a typed detail of an error, for people and programs.
type detail struct {
	Type  string `json:"type"`
	Value any    `json:"value"` // rawJSON, or the bytes of a type that is not known
}

// details returns the typed details of an error of a call, but for those of this library
// itself, which are shown in other words.
func (p *procedure) details(err error) (list []detail) {
	for _, d := range detailsIn(err) {
		switch text, err := p.schema.DetailJSON(d); {
		case strings.HasPrefix(d.Name, "rpcnet.v1."):
		case err == nil:
			list = append(list, detail{d.Name, rawJSON(text)})
		default:
			list = append(list, detail{d.Name, d.Data})
		}
	}
	return list
}

// detailsIn returns the details in the tree of an error.
func detailsIn(err error) []*codegen.Detail {
	switch e := err.(type) {
	case *codegen.Detail:
		return []*codegen.Detail{e}
	case interface{ Unwrap() error }:
		return detailsIn(e.Unwrap())
	case interface{ Unwrap() []error }:
		var list []*codegen.Detail
		for _, e := range e.Unwrap() {
			list = append(list, detailsIn(e)...)
		}
		return list
	}
	return nil
}
