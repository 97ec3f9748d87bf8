package schema

import (
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
	n := anyValue
	if m.node != nil {
		var err error
		if n, err = m.node(); err != nil {
			return dst, err
		}
	}
	// The text is copied once: what is read of it are parts of a string.
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

// A reader turns JSON into CBOR in one pass. Containers are written without
// their heads, which are put in front when the number of their parts is known.
type reader struct{ scanner }

// A path is where a value stands; it becomes text only for errors.
//
// Paths are a list on the stack of calls, so that a message without an error
// costs nothing for them.
type path struct {
	up   *path
	name string
}

// String returns the way from the message to the value, as in
// Page.items[1].price.
func (p *path) String() string {
	if p.up == nil {
		return p.name
	}
	return p.up.String() + p.name
}

// errorf returns an error with the path in front.
func (p *path) errorf(format string, a ...any) error {
	return fmt.Errorf("%s: %s", p, fmt.Sprintf(format, a...))
}

// wrong is the error for a value of another kind than wanted.
//
// It has what is wanted and what came, so that a reader need not look up the
// contract.
func (r *reader) wrong(n *node, p *path) error {
	got := "nothing"
	switch c := r.peek(); {
	case r.end():
	case c == '{':
		got = "an object"
	case c == '[':
		got = "an array"
	default:
		// What came is shown as it is written, but not all of a long
		// text.
		start := r.pos
		// It is not even JSON.
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
//
// It is the type as the contract has it, or what JSON has for it if that is not
// the same.
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
	// All names of an enumeration are listed.
	if len(n.values) > 0 {
		var names []string
		for _, v := range n.values {
			names = append(names, v.Name)
		}
		enum := n.ref + ", which is one of " + strings.Join(names, ", ")
		if n.kind != kindString {
			enum += ", or a number"
		}
		return enum
	}
	return n.ref
}

// skipScalar passes over a string, a number or a word.
//
// It is used for errors only.
func (r *reader) skipScalar() (string, error) {
	switch c := r.peek(); {
	case c == '"':
		return r.text()
	case r.literal("true"), r.literal("false"), r.literal("null"):
		return "", nil
	}
	return r.number()
}

// value reads a value of the type n at path p and appends its CBOR to b. depth
// counts the containers around it.
//
// The kinds with parts read themselves what comes; all others are one token.
func (r *reader) value(b cbor.Buffer, n *node, p *path, depth int) (cbor.Buffer, error) {
	// Each level is a call: the limit keeps the stack small.
	if depth > maxDepth {
		return b, p.errorf("%v", errDepth)
	}
	// Null for any other type is an error, but for a field of a struct,
	// which is then left out.
	if n.nullable() && r.literal("null") {
		return b.AppendNil(), nil
	}
	switch n.kind {
	// Null has been read above.
	case kindOptional:
		return r.value(b, n.elem, p, depth)
	// The two words, and nothing that stands for them.
	case kindBool:
		switch {
		case r.literal("true"):
			return b.AppendBool(true), nil
		case r.literal("false"):
			return b.AppendBool(false), nil
		}
	case kindInt, kindUint:
		return r.integer(b, n, p)
	// The shortest form that keeps the value: which of the two sizes the
	// type has does not matter in CBOR.
	case kindFloat:
		f, err := r.float(n, p)
		return b.AppendFloat64(f), err
	// A list has any number of items, an array a fixed one.
	case kindList:
		return r.list(b, n, p, depth, -1)
	case kindArray:
		return r.list(b, n, p, depth, n.length)
	// All three are objects.
	case kindMap, kindStruct, kindUnion:
		return r.object(b, n, p, depth)
	case kindRaw:
		return r.any(b, p, depth)
	// A message within a message would need its descriptor.
	case kindProtobuf:
		return b, p.errorf("protobuf messages have no JSON form here")
	// What JSON has as a string.
	default:
		if r.peek() == '"' {
			return r.stringValue(b, n, p)
		}
	}
	return b, r.wrong(n, p)
}

// stringValue reads a value that JSON has as a string.
//
// An error shows the string: what is wrong with base64 or a time is best seen.
func (r *reader) stringValue(b cbor.Buffer, n *node, p *path) (cbor.Buffer, error) {
	start := r.pos
	s, err := r.text()
	if err != nil {
		return b, p.errorf("%v", err)
	}
	// wrong goes back to the value, to show it in the error.
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
	// An enumeration of texts takes the name of a constant for its value.
	if v, ok := n.constant(s); ok {
		s = v
	}
	return b.AppendString(s), nil
}

// constant returns the value of an enumeration constant.
//
// Names are compared exactly: there is no other form of them.
func (n *node) constant(name string) (string, bool) {
	i := slices.IndexFunc(n.values, func(v Value) bool { return v.Name == name })
	if i < 0 {
		return "", false
	}
	return n.values[i].Value, true
}

// integer reads a number, a string with one, or the name of a constant.
//
// A number with a fraction, or with an exponent, is none, even if it is 1.0: an
// encoder that writes such a thing has a float where the contract has an
// integer.
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
		// A name is replaced by its number. Other strings are taken for
		// 64-bit integers only, which JSON in browsers cannot write as
		// a number.
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
	// Parsing with the size of the type finds what does not fit.
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

// notNumbers are the floats that JSON has no number for.
var notNumbers = map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}

// float reads a float, or the name of one that is not a number.
func (r *reader) float(n *node, p *path) (float64, error) {
	start := r.pos
	c := r.peek()
	if c == '"' {
		s, err := r.text()
		// The three names are the only strings.
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
//
// Elements are written as they come. The head of the array needs their number,
// and is inserted at the end.
func (r *reader) list(b cbor.Buffer, n *node, p *path, depth, want int) (cbor.Buffer, error) {
	if !r.take('[') {
		return b, r.wrong(n, p)
	}
	start := len(b)
	count := 0
	var err error
	for !r.take(']') {
		// A comma stands between two items, and nowhere else.
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
	// The head has one to nine bytes: what was written moves by so many.
	return insert(b, start, cbor.Buffer(nil).AppendArray(count)), nil
}

// insert puts head in front of b[at:].
func insert(b cbor.Buffer, at int, head []byte) cbor.Buffer { return slices.Insert(b, at, head...) }

// any reads a value without a type.
//
// Objects become maps with text for their keys, in the order of deterministic
// encoding.
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
	// An integer stays one if 64 bits can hold it; anything else is a
	// float.
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
//
// They are nodes that a descriptor could not have: a list of anything, and a
// map to anything.
var (
	anyValue = &node{ref: "raw", kind: kindRaw}
	anyMap   = &node{ref: "raw", kind: kindMap, key: &node{kind: kindString}, elem: anyValue}
	anyList  = &node{ref: "raw", kind: kindList, elem: anyValue}
)
