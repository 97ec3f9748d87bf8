package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A kind is how a value is converted.
//
// Several types of Go can have one kind: text is a string, or a type with
// MarshalText.
type kind uint8

const (
	kindBool kind = iota
	kindOptional
	kindInt
	kindUint
	kindFloat
	kindString
	kindBytes
	kindFixedBytes
	kindTime
	kindDuration
	kindRaw
	kindProtobuf
	kindList
	kindArray
	kindMap
	kindStruct
	kindUnion
)

// A node is a resolved reference.
//
// Nodes of one schema are shared by all that refer to the type, and refer to
// one another: the types can be recursive. They are not changed once they are
// resolved.
type node struct {
	ref    string
	kind   kind
	bits   int // of numbers
	length int // of arrays
	elem   *node
	key    *node             // of maps
	fields []*entry          // of structs and unions
	values []Value           // of enums
	byText map[string]string // of enums of integers: the constant of a number in decimal
}

// An entry is a field or a variant.
//
// Of a union it has only a name and a type; the key is that of a map with text
// for its keys.
type entry struct {
	name   string
	key    []byte // encoded
	node   *node
	packed bool // a list that is sent as a typed array
	max    int  // length; 0: no limit
}

// nullable reports whether null is a value of n.
//
// Null for anything else means that a field is not there.
func (n *node) nullable() bool {
	return n.kind == kindOptional || n.kind == kindUnion || n.kind == kindRaw
}

// field returns the field or the variant with a name, or nil. Structs have few
// fields: a search is as quick as a map.
func (n *node) field(name string) *entry {
	for _, f := range n.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// packs reports whether n is a list that can be sent as a typed array. An
// element that is being resolved is no number.
//
// Numbers of a fixed size can be: a byte is one of a byte string, and a pointer
// to a number is none.
func (n *node) packs() bool {
	if n.kind != kindList || n.elem == nil {
		return false
	}
	switch n.elem.kind {
	case kindInt, kindFloat, kindDuration:
		return true
	case kindUint:
		return n.elem.bits > 8 // those are bytes
	}
	return false
}

// names lists the fields or the variants, for errors.
func (n *node) names() string {
	var names []string
	for _, f := range n.fields {
		names = append(names, f.name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// scalars are the types without parts, by their reference. int and uint have 64
// bits: what a sender has, a receiver of 32 bits may have to refuse.
var scalars = map[string]node{
	"bool": {kind: kindBool},
	"int":  {kind: kindInt, bits: 64}, "int8": {kind: kindInt, bits: 8}, "int16": {kind: kindInt, bits: 16},
	"int32": {kind: kindInt, bits: 32}, "int64": {kind: kindInt, bits: 64},
	"uint": {kind: kindUint, bits: 64}, "uint8": {kind: kindUint, bits: 8}, "uint16": {kind: kindUint, bits: 16},
	"uint32": {kind: kindUint, bits: 32}, "uint64": {kind: kindUint, bits: 64},
	"float32": {kind: kindFloat, bits: 32}, "float64": {kind: kindFloat, bits: 64},
	"string": {kind: kindString}, "text": {kind: kindString},
	"bytes": {kind: kindBytes}, "binary": {kind: kindBytes},
	"time": {kind: kindTime}, "duration": {kind: kindDuration}, "raw": {kind: kindRaw},
}

// maxRef bounds how deep a single reference such as [][]?T nests, since a
// descriptor may come from a peer. How many named types lead to one another is
// bounded by the descriptor alone.
//
// Each level is a call of outline.
const maxRef = 64

// node resolves a reference and all that it leads to. The caller holds s.mu, or
// is [Parse].
func (s *Schema) node(ref string) (*node, error) {
	n, err := s.outline(ref, 0)
	// Structs are resolved from a list and not by recursion, since a
	// descriptor chooses how many of them lead to one another.
	for err == nil && len(s.open) > 0 {
		last := len(s.open) - 1
		next := s.open[last]
		s.open = s.open[:last]
		err = s.resolveFields(next)
	}
	if err != nil {
		// What is left open refers to the type that failed.
		s.open = nil
		return nil, err
	}
	return n, nil
}

// outline resolves a reference up to the fields of its structs and unions, which
// it adds to s.open.
//
// A reference that was resolved before is the same node.
func (s *Schema) outline(ref string, depth int) (*node, error) {
	if n := s.nodes[ref]; n != nil {
		return n, nil
	}
	// The depth counts within one reference, and starts anew in each field.
	if depth > maxRef {
		return nil, fmt.Errorf("type %.80s... nests too deep: a reference nests at most %d levels", ref, maxRef)
	}
	n := &node{ref: ref}
	// It is there before it is resolved: what is within may refer to it.
	s.nodes[ref] = n
	if err := s.resolve(n, depth); err != nil {
		// Else the next one to ask would get a node that is not
		// complete.
		delete(s.nodes, ref)
		return nil, err
	}
	return n, nil
}

// resolve fills in a node. Named types come first: a name cannot be that of a
// scalar, since generated ones are exported or have a package.
//
// The reference is read from the left: what stands in front says what is made
// of the rest.
func (s *Schema) resolve(n *node, depth int) (err error) {
	ref := n.ref
	if t := s.Types[ref]; t != nil {
		return s.resolveNamed(n, t)
	}
	if sc, ok := scalars[ref]; ok {
		*n = sc
		n.ref = ref
		return nil
	}
	switch {
	// The name of the message behind it is for people.
	case strings.HasPrefix(ref, "protobuf"):
		n.kind = kindProtobuf
		return nil
	case strings.HasPrefix(ref, "?"):
		n.kind = kindOptional
		n.elem, err = s.outline(ref[1:], depth+1)
		return err
	case strings.HasPrefix(ref, "map["):
		// The key is a scalar or an enumeration, and has no bracket in
		// its name.
		k, v, _ := strings.Cut(ref[len("map["):], "]")
		n.kind = kindMap
		if n.key, err = s.outline(k, depth+1); err != nil {
			return err
		}
		if n.key.kind != kindString && n.key.kind != kindInt && n.key.kind != kindUint {
			return fmt.Errorf("type %s: the key must be text or an integer", ref)
		}
		n.elem, err = s.outline(v, depth+1)
		return err
	case strings.HasPrefix(ref, "[]"):
		n.kind = kindList
		n.elem, err = s.outline(ref[2:], depth+1)
		return err
	case strings.HasPrefix(ref, "["):
		// [N]T, and [N]byte for a byte string of a fixed length.
		size, elem, _ := strings.Cut(ref[1:], "]")
		if n.length, err = strconv.Atoi(size); err != nil || n.length < 0 {
			return fmt.Errorf("type %q: bad length", ref)
		}
		if elem == "byte" {
			n.kind = kindFixedBytes
			return nil
		}
		n.kind = kindArray
		n.elem, err = s.outline(elem, depth+1)
		return err
	}
	return fmt.Errorf("no type %q", ref)
}

// resolveNamed fills in the node of a named type. Fields are resolved later.
func (s *Schema) resolveNamed(n *node, t *Type) error {
	// A kind that is unknown is an error and not passed over: a newer
	// descriptor has another version.
	switch t.Kind {
	case "enum":
		base, ok := scalars[t.Base]
		if !ok {
			return fmt.Errorf("enum %s: no type %q", n.ref, t.Base)
		}
		// An enumeration is its base with names for some values.
		base.ref, base.values = n.ref, t.Values
		if base.kind == kindInt || base.kind == kindUint {
			base.byText = constantNames(t.Values)
		}
		*n = base
		return nil
	case "struct":
		n.kind = kindStruct
	case "union":
		n.kind = kindUnion
	default:
		return fmt.Errorf("type %s has kind %q: want struct, union or enum", n.ref, t.Kind)
	}
	s.open = append(s.open, n)
	return nil
}

// constantNames returns the names of constants by their value. Of several with
// one value the first is written; all are read.
//
// The order is that of the descriptor, which is that of the source among
// constants of one value.
func constantNames(values []Value) map[string]string {
	names := map[string]string{}
	for _, v := range values {
		if _, taken := names[v.Value]; !taken {
			names[v.Value] = v.Name
		}
	}
	return names
}

// resolveFields resolves the fields of a struct or the variants of a union.
//
// What they refer to is outlined, and its own fields come later.
func (s *Schema) resolveFields(n *node) error {
	t := s.Types[n.ref]
	fields := t.Fields
	if n.kind == kindUnion {
		fields = t.Variants
	}
	for _, f := range fields {
		e := &entry{name: f.Name, key: cbor.Buffer(nil).AppendString(f.Name), packed: f.Packed, max: f.Max}
		// Keys are compared in their encoded form, when messages are
		// read and when they are sorted.
		if f.Key > 0 {
			e.key = cbor.Buffer(nil).AppendUint(uint64(f.Key))
		}
		var err error
		if e.node, err = s.outline(f.Type, 0); err != nil {
			return fmt.Errorf("%s.%s: %w", n.ref, f.Name, err)
		}
		// An encoder for this would not exist: it is found now, and not
		// in the middle of a message.
		if e.packed && !e.node.packs() {
			return fmt.Errorf("%s.%s: packed wants a list of numbers, got %s", n.ref, f.Name, f.Type)
		}
		n.fields = append(n.fields, e)
	}
	return nil
}
