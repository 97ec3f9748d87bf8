package schema

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// maxDepth is how deep JSON may nest, in both directions: what a decoder takes
// by default. It does not follow the limits that are chosen for CBOR.
const maxDepth = 64

// AppendCBOR appends the CBOR form of a message in JSON to dst, in the
// deterministic encoding. Errors name the field that is wrong and say what
// would be right.
func (m *Message) AppendCBOR(dst, json []byte) ([]byte, error) {
	n, err := m.node()
	if err != nil {
		return dst, err
	}
	r := reader{scanner{src: string(json)}}
	out, err := r.value(dst, n, &path{name: n.ref}, 0)
	if err == nil && !r.end() {
		err = fmt.Errorf("%s: %w", n.ref, r.syntax("the end"))
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

type reader struct{ scanner }

// A path is where a value stands; it becomes text only for errors.
type path struct {
	up   *path
	name string
}

func (p *path) String() string {
	if p.up == nil {
		return p.name
	}
	return p.up.String() + p.name
}

func (p *path) errorf(format string, a ...any) error {
	return fmt.Errorf("%s: %s", p, fmt.Sprintf(format, a...))
}

// wrong is the error for a value of another kind than wanted.
func (r *reader) wrong(n *node, p *path) error {
	got := "nothing"
	switch c := r.peek(); {
	case r.end():
	case c == '{':
		got = "an object"
	case c == '[':
		got = "an array"
	default:
		start := r.pos
		if _, err := r.skipScalar(); err != nil {
			return p.errorf("%v", err)
		}
		got = r.src[start:r.pos]
		if len(got) > 40 {
			got = strings.ToValidUTF8(got[:40], "") + "..."
		}
	}
	return p.errorf("want %s, got %s", n.describe(), got)
}

// describe says what n wants, for people.
func (n *node) describe() string {
	switch n.kind {
	case kindBytes:
		return "a string with base64"
	case kindFixedBytes:
		return fmt.Sprintf("a string with base64 of %d bytes", n.length)
	case kindTime:
		return "a string with a time such as \"2006-01-02T15:04:05Z\""
	case kindDuration:
		return "a string with a duration such as \"1.5s\""
	case kindStruct:
		return "an object with the fields of " + n.ref
	case kindUnion:
		return "an object with exactly one of " + n.names()
	case kindMap:
		return "an object (" + n.ref + ")"
	case kindList, kindArray:
		return "an array (" + n.ref + ")"
	}
	if len(n.values) > 0 {
		var names []string
		for _, v := range n.values {
			names = append(names, v.Name)
		}
		return n.ref + ", which is one of " + strings.Join(names, ", ")
	}
	return n.ref
}

// skipScalar passes over a string, a number or a word.
func (r *reader) skipScalar() (string, error) {
	switch c := r.peek(); {
	case c == '"':
		return r.text()
	case r.literal("true"), r.literal("false"), r.literal("null"):
		return "", nil
	}
	return r.number()
}

func (r *reader) value(b cbor.Buffer, n *node, p *path, depth int) (cbor.Buffer, error) {
	if depth > maxDepth {
		return b, p.errorf("%v", errDepth)
	}
	if n.nullable() && r.literal("null") {
		return b.AppendNil(), nil
	}
	switch n.kind {
	case kindOptional:
		return r.value(b, n.elem, p, depth)
	case kindBool:
		switch {
		case r.literal("true"):
			return b.AppendBool(true), nil
		case r.literal("false"):
			return b.AppendBool(false), nil
		}
	case kindInt, kindUint:
		return r.integer(b, n, p)
	case kindFloat:
		f, err := r.float(n, p)
		return b.AppendFloat64(f), err
	case kindList:
		return r.list(b, n, p, depth, -1)
	case kindArray:
		return r.list(b, n, p, depth, n.length)
	case kindMap, kindStruct, kindUnion:
		return r.object(b, n, p, depth)
	case kindRaw:
		return r.any(b, p, depth)
	case kindProtobuf:
		return b, p.errorf("protobuf messages have no JSON form here")
	default:
		if r.peek() == '"' {
			return r.stringValue(b, n, p)
		}
	}
	return b, r.wrong(n, p)
}

// stringValue reads a value that JSON has as a string.
func (r *reader) stringValue(b cbor.Buffer, n *node, p *path) (cbor.Buffer, error) {
	start := r.pos
	s, err := r.text()
	if err != nil {
		return b, p.errorf("%v", err)
	}
	wrong := func() (cbor.Buffer, error) {
		r.pos = start
		return b, r.wrong(n, p)
	}
	switch n.kind {
	case kindBytes, kindFixedBytes:
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil || n.kind == kindFixedBytes && len(raw) != n.length {
			return wrong()
		}
		return b.AppendBytes(raw), nil
	case kindTime:
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return wrong()
		}
		if b, err = b.AppendTime(t); err != nil {
			return wrong()
		}
		return b, nil
	case kindDuration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return wrong()
		}
		return b.AppendInt(int64(d)), nil
	}
	if v, ok := n.constant(s); ok {
		s = v
	}
	return b.AppendString(s), nil
}

// constant returns the value of an enumeration constant.
func (n *node) constant(name string) (string, bool) {
	i := slices.IndexFunc(n.values, func(v Value) bool { return v.Name == name })
	if i < 0 {
		return "", false
	}
	return n.values[i].Value, true
}

// integer reads a number, a string with one, or the name of a constant.
func (r *reader) integer(b cbor.Buffer, n *node, p *path) (cbor.Buffer, error) {
	start := r.pos
	wrong := func() (cbor.Buffer, error) {
		r.pos = start
		return b, r.wrong(n, p)
	}
	var s string
	var err error
	if r.peek() == '"' {
		s, err = r.text()
		if v, ok := n.constant(s); ok {
			s = v
		} else if n.bits != 64 {
			return wrong()
		}
	} else if c := r.peek(); c == '-' || c >= '0' && c <= '9' {
		s, err = r.number()
	} else {
		return wrong()
	}
	if err != nil {
		return b, p.errorf("%v", err)
	}
	if n.kind == kindUint {
		u, err := strconv.ParseUint(s, 10, n.bits)
		if err != nil {
			return wrong()
		}
		return b.AppendUint(u), nil
	}
	i, err := strconv.ParseInt(s, 10, n.bits)
	if err != nil {
		return wrong()
	}
	return b.AppendInt(i), nil
}

var notNumbers = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

func (r *reader) float(n *node, p *path) (float64, error) {
	start := r.pos
	c := r.peek()
	if c == '"' {
		s, err := r.text()
		if f, ok := notNumbers[s]; ok && err == nil {
			return f, nil
		}
	} else if c == '-' || c >= '0' && c <= '9' {
		s, err := r.number()
		if err != nil {
			return 0, p.errorf("%v", err)
		}
		if f, err := strconv.ParseFloat(s, n.bits); err == nil {
			return f, nil
		}
	}
	r.pos = start
	return 0, r.wrong(n, p)
}

// list reads an array of want items, of any number if want is negative.
func (r *reader) list(b cbor.Buffer, n *node, p *path, depth, want int) (cbor.Buffer, error) {
	if !r.take('[') {
		return b, r.wrong(n, p)
	}
	start := len(b)
	count := 0
	var err error
	for !r.take(']') {
		if count > 0 && !r.take(',') {
			return b, p.errorf("%v", r.syntax("a comma or a bracket"))
		}
		if b, err = r.value(b, n.elem, &path{p, "[" + strconv.Itoa(count) + "]"}, depth+1); err != nil {
			return b, err
		}
		count++
	}
	if want >= 0 && count != want {
		return b, p.errorf("want %d items, got %d", want, count)
	}
	return insert(b, start, cbor.Buffer(nil).AppendArray(count)), nil
}

// insert puts head in front of b[at:].
func insert(b cbor.Buffer, at int, head []byte) cbor.Buffer { return slices.Insert(b, at, head...) }

// A span is an entry of a map within a buffer.
type span struct {
	name              string
	start, value, end int
}

// object reads a map, a struct or a union.
func (r *reader) object(b cbor.Buffer, n *node, p *path, depth int) (cbor.Buffer, error) {
	if !r.take('{') {
		return b, r.wrong(n, p)
	}
	start := len(b)
	var spans []span
	for first := true; !r.take('}'); first = false {
		if !first && !r.take(',') {
			return b, p.errorf("%v", r.syntax("a comma or a brace"))
		}
		name, err := r.text()
		if err != nil {
			return b, p.errorf("%v", err)
		}
		if !r.take(':') {
			return b, p.errorf("%v", r.syntax("a colon"))
		}
		s := span{name: name, start: len(b)}
		e := &entry{}
		if b, e, err = n.appendKey(b, name, p); err != nil {
			return b, err
		}
		s.value = len(b)
		here := &path{p, "." + name}
		if len(name) > maxShown {
			here.name = "." + short([]byte(name))
		}
		if n.kind == kindStruct && !e.node.nullable() && r.literal("null") {
			b = b[:s.start] // not there
			continue
		}
		if b, err = r.value(b, e.node, here, depth+1); err != nil {
			return b, err
		}
		if b, err = e.finish(b, s.value, here); err != nil {
			return b, err
		}
		s.end = len(b)
		spans = append(spans, s)
	}
	if n.kind == kindUnion && len(spans) != 1 {
		return b, p.errorf("a union wants exactly one of %s", n.names())
	}
	key := func(s span) []byte { return b[s.start:s.value] }
	byKey := func(x, y span) int { return bytes.Compare(key(x), key(y)) }
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
	for i := 1; i < len(spans); i++ {
		if byKey(spans[i-1], spans[i]) == 0 {
			return b, p.errorf("the same name twice: %.80q", spans[i].name)
		}
	}
	return insert(b, start, cbor.Buffer(nil).AppendMap(len(spans))), nil
}

// appendKey appends the key for a member of an object and returns what its
// value must be.
func (n *node) appendKey(b cbor.Buffer, name string, p *path) (cbor.Buffer, *entry, error) {
	if n.kind != kindMap {
		f := n.field(name)
		if f == nil {
			what := "no field"
			if n.kind == kindUnion {
				what = "no variant"
			}
			return b, nil, p.errorf("%s %.80q; it has %s", what, name, n.names())
		}
		return append(b, f.key...), f, nil
	}
	k := n.key
	if v, ok := k.constant(name); ok {
		name = v
	}
	switch k.kind {
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
	default:
		b = b.AppendString(name)
	}
	return b, &entry{node: n.elem}, nil
}

// finish applies the options of a field to its value, which is b[at:].
func (e *entry) finish(b cbor.Buffer, at int, p *path) (cbor.Buffer, error) {
	if e.max > 0 {
		if n := length(b[at:]); n > e.max {
			return b, p.errorf("longer than the contract allows: %d, at most %d", n, e.max)
		}
	}
	if !e.packed {
		return b, nil
	}
	elem := e.node.elem
	switch {
	case elem.kind == kindFloat && elem.bits == 32:
		return pack(b, at, func(d *cbor.Decoder) float32 { return d.Float32() })
	case elem.kind == kindFloat:
		return pack(b, at, func(d *cbor.Decoder) float64 { return d.Float64() })
	case elem.kind == kindInt && elem.bits == 8:
		return pack(b, at, func(d *cbor.Decoder) int8 { return int8(d.Int64()) })
	case elem.kind == kindInt && elem.bits == 16:
		return pack(b, at, func(d *cbor.Decoder) int16 { return int16(d.Int64()) })
	case elem.kind == kindInt && elem.bits == 32:
		return pack(b, at, func(d *cbor.Decoder) int32 { return int32(d.Int64()) })
	case elem.kind == kindInt, elem.kind == kindDuration:
		return pack(b, at, func(d *cbor.Decoder) int64 { return d.Int64() })
	case elem.bits == 16:
		return pack(b, at, func(d *cbor.Decoder) uint16 { return uint16(d.Uint64()) })
	case elem.bits == 32:
		return pack(b, at, func(d *cbor.Decoder) uint32 { return uint32(d.Uint64()) })
	}
	return pack(b, at, func(d *cbor.Decoder) uint64 { return d.Uint64() })
}

// pack turns the array b[at:], which this package wrote, into a typed array.
func pack[T cbor.Number](b cbor.Buffer, at int, read func(*cbor.Decoder) T) (cbor.Buffer, error) {
	var d cbor.Decoder
	d.Reset(b[at:], cbor.Limits{Budget: -1})
	vs := make([]T, d.Array())
	for i := range vs {
		vs[i] = read(&d)
	}
	return cbor.AppendNumbers(b[:at], vs), d.Err()
}

// length returns the length of a string, an array or a map.
func length(encoded []byte) int {
	var d cbor.Decoder
	d.Reset(encoded, cbor.Limits{Budget: -1})
	switch d.Peek() {
	case cbor.KindText:
		return len(d.View())
	case cbor.KindBytes:
		return len(d.Bytes())
	case cbor.KindArray:
		return d.Array()
	case cbor.KindMap:
		return d.Map()
	}
	return 0
}

// any reads a value without a type.
func (r *reader) any(b cbor.Buffer, p *path, depth int) (cbor.Buffer, error) {
	switch c := r.peek(); {
	case c == '{':
		return r.value(b, anyMap, p, depth)
	case c == '[':
		return r.value(b, anyList, p, depth)
	case c == '"':
		return r.stringValue(b, &node{kind: kindString}, p)
	case r.literal("true"):
		return b.AppendBool(true), nil
	case r.literal("false"):
		return b.AppendBool(false), nil
	case r.literal("null"):
		return b.AppendNil(), nil
	}
	s, err := r.number()
	if err != nil {
		return b, p.errorf("%v", err)
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return b.AppendUint(u), nil
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return b.AppendInt(i), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return b, p.errorf("number %.40s is too large", s)
	}
	return b.AppendFloat64(f), nil
}

// Values under raw: any JSON.
var (
	anyValue = &node{ref: "raw", kind: kindRaw}
	anyMap   = &node{ref: "raw", kind: kindMap, key: &node{kind: kindString}, elem: anyValue}
	anyList  = &node{ref: "raw", kind: kindList, elem: anyValue}
)
