package protobuf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// What the parts of a message that can hold any JSON cost.
const (
	anyScalar    = 96  // a google.protobuf.Value
	anyContainer = 256 // one with a Struct or a ListValue, or a message in an Any
)

// checkJSON fails if the message in JSON would take more memory than the zero
// [cbor.Limits] allow for its length.
//
// It reads the tokens without making anything of them.
func checkJSON(text []byte, p *plan) error {
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(text))}
	// A number stays text: its value does not matter here.
	r.dec.UseNumber()
	r.d.Reset(text, cbor.Limits{})
	r.d.Charge(len(text), 1)
	r.message(p, r.token(), 1)
	if err := r.d.Err(); errors.Is(err, cbor.ErrBudget) {
		return fmt.Errorf("%w: JSON of this length always has %d bytes, whatever the options", err, cbor.Limits{}.BudgetFor(len(text)))
	}
	return r.d.Err()
}

// A jsonReader charges the values of a message in JSON.
//
// It knows the names of fields only as far as plans do: the value of an unknown
// one is refused later, by protojson.
type jsonReader struct {
	dec *json.Decoder
	d   cbor.Decoder // the budget, and the first error
}

// token returns the next token; nil, as for null, after an error.
func (r *jsonReader) token() json.Token {
	if r.d.Err() != nil {
		return nil
	}
	t, err := r.dec.Token()
	// The text ends within the message.
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		r.d.Fail(err)
	}
	return t
}

// members calls f for each member of an object, or element of an array, that t
// has opened.
func (r *jsonReader) members(t json.Token, f func(name string)) {
	for r.d.Err() == nil && r.dec.More() {
		name := ""
		if t == json.Delim('{') {
			name, _ = r.token().(string)
		}
		f(name)
	}
	r.token() // the end
}

// message charges what a message, which begins with t, holds.
//
// The depth is that of messages, as in the wire form.
func (r *jsonReader) message(p *plan, t json.Token, depth int) {
	if depth > maxDepth {
		r.d.Fail(errDepth)
	}
	// Also a message with a form of its own, such as a Timestamp, which is
	// a string.
	if p.any || t != json.Delim('{') {
		r.any(t, depth)
		return
	}
	r.members(t, func(name string) { r.field(p.named(name), depth) })
}

// field charges a field; f is nil if it is unknown.
//
// A list has its cost for each element, a map for each entry.
func (r *jsonReader) field(f *field, depth int) {
	t := r.token()
	switch {
	case f != nil && f.list && t == json.Delim('['):
		r.members(t, func(string) { r.value(f, r.token(), depth) })
	// A map: it has a plan without a descriptor, for its entries.
	case f != nil && f.nested != nil && f.nested.desc == nil && t == json.Delim('{'):
		r.members(t, func(string) {
			r.d.Charge(1, f.cost)
			r.value(f.nested.field(mapValue), r.token(), depth)
		})
	default:
		r.value(f, t, depth)
	}
}

// value charges a value of a field.
func (r *jsonReader) value(f *field, t json.Token, depth int) {
	if f != nil {
		r.d.Charge(1, f.cost)
	}
	// A scalar costs what its field does.
	_, opens := t.(json.Delim)
	switch {
	case f != nil && f.nested != nil && f.nested.desc != nil:
		r.message(f.nested, t, depth+1)
	case opens:
		r.any(t, depth)
	}
}

// any charges a value of which nothing is known.
//
// It is what a google.protobuf.Value or Struct makes of it.
func (r *jsonReader) any(t json.Token, depth int) {
	if depth > maxDepth {
		r.d.Fail(errDepth)
	}
	// A string, a number, a word, or null after an error.
	if _, opens := t.(json.Delim); !opens {
		r.d.Charge(1, anyScalar)
		return
	}
	r.d.Charge(1, anyContainer)
	r.members(t, func(string) { r.any(r.token(), depth+1) })
}
