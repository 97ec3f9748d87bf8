// Package schema turns messages into JSON and back with nothing but the
// descriptor that generated code carries, so that command lines and HTTP
// bridges need no Go types.
//
// The JSON form of a message: a struct is an object with the names that are on
// the wire, a union an object with one member, time.Time RFC 3339 text, a
// duration text such as "1.5s", bytes and binary forms standard base64, typed
// arrays arrays, NaN and the infinities the strings "NaN", "Infinity" and
// "-Infinity", and 64-bit integers numbers, or strings if asked for
// ([Message.WithInt64Strings]). An enumeration of integers is the name of its
// constant as Go spells it, or the number if no constant has it. Reading takes
// 64-bit integers and enumerations in both forms, and null for "not there".
//
// # Programs without generated code
//
// A server gives its descriptors to who calls [codegen.DescribeProcedure], which
// [ParseDescription] reads. [Schema.Spec] makes of a method what a client calls:
//
//	answer, err := rpcnet.CallRaw(ctx, t, codegen.DescribeProcedure, nil)
//	services, _, err := schema.ParseDescription(answer)
//	spec, err := services[0].Spec("Hello", false)
//	err = rpcnet.NewClient(t, nil).Unary(ctx, spec, []byte(`{"name":"Ada"}`), &response)
//
// # How it works
//
// A descriptor is parsed into a [Schema], whose types are resolved into nodes
// (node.go). A reader goes through JSON and writes CBOR (scan.go, fromjson.go,
// object.go, pack.go), a writer goes through CBOR and writes JSON (tojson.go,
// writer.go). Both need one pass, and neither trusts its input: descriptors,
// JSON and CBOR can all come from a peer.
package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A Schema is a parsed descriptor: one service with its messages. It must not
// be changed once used.
//
// An example, with one method and one message:
//
//	{"version":1, "service":"greeting.v1.Greeting",
//	 "methods":[{"name":"Hello", "shape":"unary", "request":"Note", "response":"Note"}],
//	 "types":{"Note":{"kind":"struct", "fields":[{"name":"text", "type":"string"}]}}}
type Schema struct {
	Version    int              `json:"version"`
	Service    string           `json:"service"`
	Doc        string           `json:"doc,omitempty"`
	Errors     string           `json:"errors,omitempty"`      // type of the error union
	ErrorsName string           `json:"errors_name,omitempty"` // its wire name
	Methods    []*Method        `json:"methods"`
	Types      map[string]*Type `json:"types"`

	mu    sync.Mutex
	nodes map[string]*node // by reference
	open  []*node          // structs and unions whose fields are not resolved yet; empty when mu is free
}

// A Method is one procedure of a service.
type Method struct {
	Name        string `json:"name"`
	Shape       string `json:"shape"` // unary, clientstream, serverstream or bidi
	Doc         string `json:"doc,omitempty"`
	Request     string `json:"request"`
	Response    string `json:"response"`
	Idempotency string `json:"idempotency,omitempty"` // "", idempotent or nosideeffects
	Timeout     string `json:"timeout,omitempty"`
	MaxSize     int64  `json:"max_size,omitempty"`    // bytes; 0: as the server and the client say
	Depth       int64  `json:"depth,omitempty"`       // levels; 0: the same
	Budget      int64  `json:"budget,omitempty"`      // bytes; 0: the same
	Route       string `json:"route,omitempty"`       // field of the request
	ResumeFrom  string `json:"resume_from,omitempty"` // field of the request
	Sequence    string `json:"sequence,omitempty"`    // field of the response, or of its variants
	Accepted    string `json:"accepted,omitempty"`    // field of the request with the responses so far
	// AcceptedVariant is the variant whose values Accepted holds; "": whole responses.
	AcceptedVariant string `json:"accepted_variant,omitempty"`
}

// A Type is a named type.
//
// References to types, in fields and methods, are the name of a type of the
// schema or: bool, int to int64, uint to uint64, float32, float64, string,
// bytes, [N]byte, time, duration, text, binary, raw, protobuf, ?T for what may
// be null, []T, [N]T, map[K]T.
type Type struct {
	Kind     string  `json:"kind"` // struct, union or enum
	Doc      string  `json:"doc,omitempty"`
	Fields   []Field `json:"fields,omitempty"`   // of a struct, in the order of encoding
	Variants []Field `json:"variants,omitempty"` // of a union
	Base     string  `json:"base,omitempty"`     // of an enum
	Values   []Value `json:"values,omitempty"`   // of an enum
}

// A Field is an entry of a struct, or a variant.
type Field struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	Doc       string `json:"doc,omitempty"`
	Key       int    `json:"key,omitempty"` // number in place of the name; 0: none
	Max       int    `json:"max,omitempty"` // length; 0: no limit
	Packed    bool   `json:"packed,omitempty"`
	OmitEmpty bool   `json:"omit_empty,omitempty"`
}

// A Value is a constant of an enum. Two constants may have one value: then JSON
// has the first.
type Value struct {
	Name  string `json:"name"`  // as Go spells it, the type's name in front included
	Value string `json:"value"` // decimal, or text without quotes
}

// Parse reads a descriptor and checks that it is complete.
func Parse(descriptor string) (*Schema, error) {
	s := new(Schema)
	if err := json.Unmarshal([]byte(descriptor), s); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	// A descriptor of another version may mean something else by the same
	// words.
	if s.Version != 1 {
		return nil, fmt.Errorf("schema: descriptor of version %d; this program reads version 1", s.Version)
	}
	s.nodes = map[string]*node{}
	// Everything is resolved now, so that an error is one of the descriptor
	// and not of the first call that meets it. Types that no method uses
	// are checked as well.
	refs := []string{}
	for _, m := range s.Methods {
		// JSON has null for any pointer.
		if m == nil {
			return nil, fmt.Errorf("schema: service %s: a method is null", s.Service)
		}
		refs = append(refs, m.Request, m.Response)
	}
	if s.Errors != "" {
		refs = append(refs, s.Errors)
	}
	refs = append(refs, slices.Sorted(maps.Keys(s.Types))...)
	for _, r := range refs {
		if _, err := s.node(r); err != nil {
			return nil, fmt.Errorf("schema: service %s: %w", s.Service, err)
		}
	}
	return s, nil
}

// Method returns the method with the given name.
//
// The error lists the methods that there are.
func (s *Schema) Method(name string) (*Method, error) {
	var names []string
	for _, m := range s.Methods {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return nil, fmt.Errorf("%s: no method %q; it has %s", s.Service, name, strings.Join(names, ", "))
}

// Message returns the transcoder of a type, by its reference.
//
// The reference is one of a method or a field, such as "HelloRequest" or
// "[]string". It is safe for concurrent use.
func (s *Schema) Message(ref string) (*Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A Schema that was put together by a program is resolved as it is
	// used.
	if s.nodes == nil { // not from Parse
		s.nodes = map[string]*node{}
	}
	n, err := s.node(ref)
	if err != nil {
		clear(s.nodes) // some may refer to what was not resolved
		return nil, err
	}
	// The node is complete, and is not changed any more: the message needs
	// no lock.
	return &Message{node: func() (*node, error) { return n, nil }}, nil
}

// Lazy returns the transcoders of the types of a descriptor, by their reference.
// The descriptor is parsed when the first of them is used, since generated code
// calls Lazy when the program starts. An unknown type fails when it is used.
func Lazy(descriptor string) func(ref string) *Message {
	// Parsing is not cheap, and most programs never convert a message to
	// JSON.
	load := sync.OnceValues(func() (*Schema, error) { return Parse(descriptor) })
	return func(ref string) *Message {
		return &Message{node: sync.OnceValues(func() (*node, error) {
			s, err := load()
			if err != nil {
				return nil, err
			}
			m, err := s.Message(ref)
			if err != nil {
				return nil, err
			}
			return m.node()
		})}
	}
}

// A Message converts one type of message between CBOR and JSON. The zero Message
// writes any CBOR item as JSON. It is safe for concurrent use.
type Message struct {
	node        func() (*node, error) // nil: any type
	int64String bool
}

// WithInt64Strings returns a copy of m that writes 64-bit integers as strings,
// for readers such as browsers whose numbers end at 2^53.
//
// Reading accepts both forms in any case.
func (m *Message) WithInt64Strings() *Message {
	c := *m
	c.int64String = true
	return &c
}
