package schema

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// A span is an entry of a map within a buffer: its key begins at start, its
// value at value.
type span struct {
	name              string
	start, value, end int
}

// object reads a map, a struct or a union. The head of the map is put in front
// of its entries at the end, when their number is known.
//
// The order of members in JSON is free, that of CBOR is not: entries are
// written as they come, and sorted at the end if they must be.
func (r *reader) object(b cbor.Buffer, n *node, p *path, depth int) (cbor.Buffer, error) {
	if !r.take('{') {
		return b, r.wrong(n, p)
	}
	start := len(b)
	var spans []span
	// The names of JSON are the names of fields, the keys of a map, or the
	// one variant of a union.
	for first := true; !r.take('}'); first = false {
		if !first && !r.take(',') {
			return b, p.errorf("%v", r.syntax("a comma or a brace"))
		}
		name, err := r.text()
		if err != nil {
			return b, p.errorf("%v", err)
		}
		// A name, a colon, a value.
		if !r.take(':') {
			return b, p.errorf("%v", r.syntax("a colon"))
		}
		s := span{name: name, start: len(b)}
		e := &entry{}
		if b, e, err = n.appendKey(b, name, p); err != nil {
			return b, err
		}
		s.value = len(b)
		// A name of a peer can be long: errors show the beginning.
		here := &path{p, "." + name}
		if len(name) > maxShown {
			here.name = "." + short([]byte(name))
		}
		if n.kind == kindStruct && !e.node.nullable() && r.literal("null") {
			b = b[:s.start] // null for a field means that it is not there
			continue
		}
		// Length and packing are those of the field, and not of its
		// type.
		if b, err = r.value(b, e.node, here, depth+1); err != nil {
			return b, err
		}
		if b, err = e.finish(b, s.value, here); err != nil {
			return b, err
		}
		s.end = len(b)
		spans = append(spans, s)
	}
	// Null for a union is read by value.
	if n.kind == kindUnion && len(spans) != 1 {
		return b, p.errorf("a union wants exactly one of %s", n.names())
	}
	if name, twice := sortEntries(b, start, spans); twice {
		return b, p.errorf("the same name twice: %.80q", name)
	}
	return insert(b, start, cbor.Buffer(nil).AppendMap(len(spans))), nil
}

// sortEntries brings the entries of a map, which are all of b[start:], into the
// order of RFC 8949, section 4.2.1: JSON may have them in any. It returns the
// name of an entry that comes twice.
func sortEntries(b []byte, start int, spans []span) (name string, twice bool) {
	// Keys are compared by their bytes, which is the order of RFC 8949.
	key := func(s span) []byte { return b[s.start:s.value] }
	byKey := func(x, y span) int { return bytes.Compare(key(x), key(y)) }
	// What AppendJSON has written is in this order already.
	if !slices.IsSortedFunc(spans, byKey) {
		old := bytes.Clone(b[start:])
		slices.SortFunc(spans, byKey)
		at := start
		sorted := make([]byte, 0, len(old))
		for i, s := range spans {
			sorted = append(sorted, old[s.start-start:s.end-start]...)
			spans[i] = span{s.name, at, at + s.value - s.start, at + s.end - s.start}
			at = spans[i].end
		}
		copy(b[start:], sorted)
	}
	// Two entries with one key are side by side now.
	for i := 1; i < len(spans); i++ {
		if byKey(spans[i-1], spans[i]) == 0 {
			return spans[i].name, true
		}
	}
	return "", false
}

// appendKey appends the key for a member of an object and returns what its
// value must be.
//
// Fields and variants have theirs encoded already. The keys of a map are
// checked against its type.
func (n *node) appendKey(b cbor.Buffer, name string, p *path) (cbor.Buffer, *entry, error) {
	if n.kind != kindMap {
		f := n.field(name)
		if f == nil {
			// A name that is unknown is a mistake here: JSON is
			// written by hand. CBOR of a newer peer is another
			// matter.
			what := "no field"
			if n.kind == kindUnion {
				what = "no variant"
			}
			return b, nil, p.errorf("%s %.80q; it has %s", what, name, n.names())
		}
		return append(b, f.key...), f, nil
	}
	// A key of a map is text in JSON, also where it is an integer in CBOR.
	k := n.key
	// An enumeration as a key has the name of its constant, or the number
	// as text.
	if v, ok := k.constant(name); ok {
		name = v
	}
	switch k.kind {
	// An integer, or the name of a constant that has been replaced by one.
	case kindInt:
		i, err := strconv.ParseInt(name, 10, k.bits)
		if err != nil {
			return b, nil, p.errorf("key %.80q: want %s", name, k.describe())
		}
		b = b.AppendInt(i)
	case kindUint:
		u, err := strconv.ParseUint(name, 10, k.bits)
		if err != nil {
			return b, nil, p.errorf("key %.80q: want %s", name, k.describe())
		}
		b = b.AppendUint(u)
	// Text.
	default:
		b = b.AppendString(name)
	}
	return b, &entry{node: n.elem}, nil
}
