package rpcnet

import (
	"context"
	"encoding/json"
	"strings"
)

// describeAll is how many bytes of descriptors the answer for all services has at most.
// Those of further services are asked for by name.
const describeAll = 1 << 20

// A description is the answer of codegen.DescribeProcedure in JSON. Package schema
// reads it.
type description struct {
	// Services are descriptors, in the order of the names of their services.
	Services []json.RawMessage `json:"services"`
	// Omitted are the names of services whose descriptors did not fit.
	Omitted []string `json:"omitted,omitempty"`
}

// describe serves codegen.DescribeProcedure: the service that in names, or all.
func (s *Server) describe(_ context.Context, in []byte) ([]byte, error) {
	d, size, last := description{Services: []json.RawMessage{}}, 0, ""
	for spec := range s.Specs() { // sorted, so that the methods of a service are together
		name, ok := serviceOf(spec.Procedure)
		if !ok || name == last || spec.Descriptor == "" || len(in) > 0 && string(in) != name {
			continue
		}
		last = name
		if size += len(spec.Descriptor); len(in) == 0 && size > describeAll {
			size -= len(spec.Descriptor)
			d.Omitted = append(d.Omitted, name)
			continue
		}
		d.Services = append(d.Services, json.RawMessage(spec.Descriptor))
	}
	if len(in) > 0 && len(d.Services) == 0 {
		return nil, Errorf(CodeNotFound, "the server has no service %.80q with a description", in)
	}
	return json.Marshal(d)
}

// serviceOf returns the service in the name of a procedure, "/package.Service/Method".
func serviceOf(procedure string) (service string, ok bool) {
	rest, ok := strings.CutPrefix(procedure, "/")
	if !ok {
		return "", false
	}
	service, _, ok = strings.Cut(rest, "/")
	return service, ok
}
