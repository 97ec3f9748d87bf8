package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen"
	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// maxServices is how many services a description may have.
const maxServices = 1000

// ParseDescription reads the answer of
// [codegen.DescribeProcedure]. omitted are the names of services
// whose descriptors did not fit in the answer: ask for each of
// them by its name. The answer may come from a peer: it is
// bounded by its own size.
func ParseDescription(answer []byte) (services []*Schema, omitted []string, err error) {
	var d struct {
		Services []json.RawMessage `json:"services"`
		Omitted  []string          `json:"omitted"`
	}
	if err := json.Unmarshal(answer, &d); err != nil {
		return nil, nil, fmt.Errorf("schema: description: %w", err)
	}
	if n := len(d.Services) + len(d.Omitted); n > maxServices {
		return nil, nil, fmt.Errorf("schema: description of %d services: at most %d are read", n, maxServices)
	}
	// One descriptor that is wrong is an error of all: a server
	// has made them with one generator, and to leave one out
	// would look as if its service were gone.
	for _, text := range d.Services {
		s, err := Parse(string(text))
		if err != nil {
			return nil, nil, err
		}
		services = append(services, s)
	}
	return services, d.Omitted, nil
}

// Spec returns a specification of the method called name with
// which a program without generated code calls it, or serves it.
// Its messages are JSON: Send takes []byte or *[]byte, Recv
// *[]byte. A message that does not fit the contract is an error
// that says which field is wrong.
//
// With int64Strings, 64-bit integers of what Recv returns are
// strings, for readers such as browsers whose numbers end at
// 2^53. Messages of protobuf have the JSON form that their server
// gives them, and 64-bit integers as that says.
//
// A typed error of the contract stays a [codegen.Detail], which
// [Schema.DetailJSON] converts. A resumable stream is one. The
// result is immutable.
func (s *Schema) Spec(name string, int64Strings bool) (*codegen.Spec, error) {
	m, err := s.Method(name)
	if err != nil {
		return nil, err
	}
	// Numbers of a descriptor may come from a peer, and are of 64
	// bits: what is beyond the limits of this library is the
	// limit.
	spec := &codegen.Spec{
		Procedure: "/" + s.Service + "/" + m.Name, MaxMessageSize: int(max(min(m.MaxSize, maxMessage), 0)), Doc: m.Doc,
		Limits: cbor.Limits{Depth: int(max(min(m.Depth, maxMessage), 0)), Budget: max(m.Budget, 0)},
	}
	if spec.Shape, err = shapeOf(m.Shape); err != nil {
		return nil, fmt.Errorf("schema: %s: %w", spec.Procedure, err)
	}
	// A level that is not known is none: then no call is made
	// twice.
	switch m.Idempotency {
	case "idempotent":
		spec.Idempotency = codegen.IdempotencyIdempotent
	case "nosideeffects":
		spec.Idempotency = codegen.IdempotencyNoSideEffects
	}
	if m.Timeout != "" {
		if spec.Timeout, err = time.ParseDuration(m.Timeout); err != nil || spec.Timeout < 0 {
			return nil, fmt.Errorf("schema: %s: timeout %.40q: want a duration such as 2s", spec.Procedure, m.Timeout)
		}
	}
	// The encoding of a call is one for both directions. A
	// message of protobuf has no type here. Its server knows it,
	// and converts it.
	if strings.HasPrefix(m.Request, "protobuf") || strings.HasPrefix(m.Response, "protobuf") {
		spec.Request, spec.Response = plainJSON, plainJSON
		return spec, nil
	}
	req, err := s.Message(m.Request)
	if err != nil {
		return nil, err
	}
	res, err := s.Message(m.Response)
	if err != nil {
		return nil, err
	}
	if int64Strings {
		res = res.WithInt64Strings()
	}
	// What is sent is checked here, so that a mistake costs no
	// call.
	spec.Request, spec.Response = textMessage(req), textMessage(res)
	spec.Resume = s.resume(m)
	if m.Route != "" {
		spec.Route = func(req any) string { return routeKey(req, m.Route) }
	}
	return spec, nil
}

// maxMessage is the largest limit of a message, in bytes.
const maxMessage = 1 << 30

// shapeOf returns the shape with a name of the descriptor.
func shapeOf(name string) (codegen.Shape, error) {
	// The order is that of the numbers of codegen.Shape.
	i := slices.Index([]string{"unary", "clientstream", "serverstream", "bidi"}, name)
	if i < 0 {
		return 0, fmt.Errorf("shape %.40q: want unary, clientstream, serverstream or bidi", name)
	}
	return codegen.Shape(i), nil
}

// textOf returns the JSON of a message that is sent.
func textOf(msg any) ([]byte, error) {
	switch msg := msg.(type) {
	case []byte:
		return msg, nil
	case *[]byte:
		if msg != nil {
			return *msg, nil
		}
	case *resumed:
		return msg.text()
	}
	return nil, fmt.Errorf("message is %T, want JSON in a []byte", msg)
}

// textMessage returns the codec of a message that programs have
// in JSON.
//
// The JSON is read and written once, on this side. The peer sees
// the same bytes as from a program with the Go type.
func textMessage(m *Message) codegen.Message {
	return codegen.Message{
		Append: func(dst []byte, msg any) ([]byte, error) {
			text, err := textOf(msg)
			if err != nil {
				return dst, err
			}
			return m.AppendCBOR(dst, text)
		},
		Decode: func(d *cbor.Decoder, msg any) {
			// The item is checked as a whole, and so is its end.
			out, ok := msg.(*[]byte)
			item := d.Raw()
			if d.Err() != nil {
				return
			}
			if !ok || out == nil {
				d.Fail(fmt.Errorf("message goes into %T, want a non-nil *[]byte", msg))
				return
			}
			var err error
			if *out, err = m.AppendJSON((*out)[:0], item); err != nil {
				d.Fail(err)
			}
		},
		JSON: m,
	}
}

// plainJSON is the codec of a message whose server converts it.
//
// The call says that its encoding is JSON, which every server
// with generated code speaks. What is sent is not looked at; what
// comes must be JSON, since programs pass it on as such.
var plainJSON = codegen.Message{
	Encoding: codegen.EncodingJSON,
	Append: func(dst []byte, msg any) ([]byte, error) {
		text, err := textOf(msg)
		return append(dst, text...), err
	},
	Decode: func(d *cbor.Decoder, msg any) {
		out, ok := msg.(*[]byte)
		text := d.Rest()
		switch {
		case !ok || out == nil:
			d.Fail(fmt.Errorf("message goes into %T, want a non-nil *[]byte", msg))
		case !json.Valid(text):
			d.Fail(fmt.Errorf("the response is no JSON"))
		default:
			*out = append((*out)[:0], text...)
		}
	},
}

// routeKey returns the affinity key in the field of a request, ""
// if it has none.
func routeKey(req any, field string) string {
	text, err := textOf(req)
	if err != nil {
		return ""
	}
	raw := member(text, field)
	var key string
	// A key is text; a number or another value stands for itself
	// as it is written.
	if json.Unmarshal(raw, &key) == nil {
		return key
	}
	return string(raw)
}

// DetailJSON returns the JSON form of a typed error of the
// contract, which a call returns as a [codegen.Detail]. It fails
// for the detail of another contract.
func (s *Schema) DetailJSON(d *codegen.Detail) ([]byte, error) {
	if s.Errors == "" || d.Name != s.ErrorsName {
		return nil, fmt.Errorf("schema: %s declares no errors %.80q", s.Service, d.Name)
	}
	m, err := s.Message(s.Errors)
	if err != nil {
		return nil, err
	}
	return m.AppendJSON(nil, d.Data)
}
