package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rpcnet-go/rpcnet"
	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/message"
	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A procedure is what calls of it need: its contract, and what turns its messages into
// JSON and back. It is safe for concurrent use.
type procedure struct {
	schema            *schema.Schema
	method            *schema.Method
	request, response *schema.Message
	spec              *rpcnet.Spec // with messages of bytes, which are CBOR
}

// findProcedure returns the procedure of that name from a catalog.
func findProcedure(ctx context.Context, c catalog, name string) (*procedure, error) {
	service, method, err := splitProcedure(name)
	if err != nil {
		return nil, err
	}
	s, err := c.schema(ctx, service)
	if err != nil {
		return nil, err
	}
	p := &procedure{schema: s}
	if p.method, err = s.Method(method); err != nil {
		return nil, usageError(err.Error())
	}
	if p.request, err = s.Message(p.method.Request); err != nil {
		return nil, err
	}
	if p.response, err = s.Message(p.method.Response); err != nil {
		return nil, err
	}
	p.spec, err = rawSpec(s.Service, p.method)
	return p, err
}

// rawSpec returns the spec of a method whose messages are sent and received as bytes.
func rawSpec(service string, m *schema.Method) (*rpcnet.Spec, error) {
	spec := &rpcnet.Spec{Procedure: "/" + service + "/" + m.Name, MaxMessageSize: int(m.MaxSize), Doc: m.Doc}
	switch m.Shape {
	case "unary":
		spec.Shape = codegen.ShapeUnary
	case "clientstream":
		spec.Shape = codegen.ShapeClientStream
	case "serverstream":
		spec.Shape = codegen.ShapeServerStream
	case "bidi":
		spec.Shape = codegen.ShapeBidi
	default:
		return nil, fmt.Errorf("%s/%s has the shape %.40q: this command knows unary, clientstream, serverstream and bidi; is it older than the service?",
			service, m.Name, m.Shape)
	}
	switch m.Idempotency {
	case "idempotent":
		spec.Idempotency = codegen.IdempotencyIdempotent
	case "nosideeffects":
		spec.Idempotency = codegen.IdempotencyNoSideEffects
	}
	if m.Timeout != "" {
		d, err := time.ParseDuration(m.Timeout)
		if err != nil {
			return nil, fmt.Errorf("%s/%s: its time-out: %w", service, m.Name, err)
		}
		spec.Timeout = d
	}
	return spec, nil
}

// encode returns the CBOR form of a request in JSON.
func (p *procedure) encode(text []byte) ([]byte, error) { return p.request.AppendCBOR(nil, text) }

// decode returns the JSON form of a response, on one line, with its empty fields.
func (p *procedure) decode(encoded []byte) ([]byte, error) {
	text, err := p.response.AppendJSON(nil, encoded)
	if err != nil {
		return nil, fmt.Errorf("the answer does not fit the contract: %w", err)
	}
	return message.Complete(p.schema, p.method.Response, text)
}

// A detail is a typed detail of an error, for people and programs.
type detail struct {
	Type  string `json:"type"`
	Value any    `json:"value"` // json.RawMessage, or the bytes of a type that is not known
}

// details returns the typed details of an error of a call.
func (p *procedure) details(err error) []detail {
	var d *codegen.Detail
	if !errors.As(err, &d) {
		return nil
	}
	if p.schema.Errors != "" && d.Name == p.schema.ErrorsName {
		if m, err := p.schema.Message(p.schema.Errors); err == nil {
			if text, err := m.AppendJSON(nil, d.Data); err == nil {
				return []detail{{d.Name, rawJSON(text)}}
			}
		}
	}
	return []detail{{d.Name, d.Data}}
}
