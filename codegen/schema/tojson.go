package schema

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/internal/item"
)

// AppendJSON appends the JSON form of a message in CBOR to dst. Fields and
// variants that the descriptor does not have are written as they are. It is
// bounded as the zero [cbor.Limits] say. Errors name the field that is wrong and
// say what would be right. Of the zero Message it writes any item: byte strings
// become base64, tags are dropped.
func (m *Message) AppendJSON(dst, encoded []byte) ([]byte, error) {
	// The limits are the defaults, since JSON is for people and bridges;
	// its depth is fixed by them.
	w := writer{b: dst, int64String: m.int64String}
	w.d.Reset(encoded, cbor.Limits{})
	if m.node == nil {
		w.any()
		return w.b, w.finish("")
	}
	n, err := m.node()
	if err != nil {
		return dst, err
	}
	w.value(n)
	return w.b, w.finish(n.ref)
}

// A writer turns CBOR into JSON in one pass. Its decoder has a sticky error:
// after one, nothing that is written matters, and only the loops must end.
type writer struct {
	b           []byte
	d           cbor.Decoder
	int64String bool
	names       []piece // of the objects that are open
	path        string  // from the value that has been left last to the error
}

// A piece is a part of a writer's b.
//
// It stays valid when b grows.
type piece struct{ start, end int }

// finish returns the error, if there is one, with where it is.
//
// The path has been put together from the inside out, while the containers
// around the error were left.
//
// After this the writer is done.
func (w *writer) finish(root string) error {
	err := w.d.Finish()
	// The limit is that of JSON, so that the hint at an option for CBOR
	// would be wrong.
	if errors.Is(err, cbor.ErrDepth) {
		err = fmt.Errorf("%w: JSON nests at most %d levels, whatever the options", err, maxDepth)
	}
	if where := strings.TrimPrefix(root+w.path, "."); err != nil && where != "" {
		return fmt.Errorf("%s: %w", where, err)
	}
	return err
}

// in puts a member, as JSON has its name, in front of the path to an error.
//
// The name can be long, and comes from a peer: it is cut.
func (w *writer) in(name []byte) {
	w.path = "." + short(name[1:len(name)-1]) + w.path
}

// maxShown is how many bytes of a name errors show.
const maxShown = 64

// short returns the beginning of a name, for people.
//
// The cut can be within a letter, which is left out then.
func short(name []byte) string {
	if len(name) > maxShown {
		return strings.ToValidUTF8(string(name[:maxShown]), "") + "..."
	}
	return string(name)
}

// byte and string append to the output as it is.
func (w *writer) byte(c byte)     { w.b = append(w.b, c) }
func (w *writer) string(s string) { w.b = append(w.b, s...) }

// value writes the next item, which n describes. An item of another kind is an
// error of the decoder.
//
// Null is written for every type: a field that is not there, a nil pointer, a
// nil union.
func (w *writer) value(n *node) {
	d := &w.d
	// Null stands for everything that is not there, of any type.
	if d.Nil() {
		w.string("null")
		return
	}
	switch n.kind {
	case kindOptional:
		w.value(n.elem)
	case kindList:
		if d.Peek() == item.Tag {
			w.typedArray(n.elem)
			return
		}
		w.items(d.Array(), n.elem)
	// Its length is part of the type: another one is an error.
	case kindArray:
		d.ArrayOf(n.length)
		w.items(n.length, n.elem)
	// Integers as keys are text in JSON.
	case kindMap:
		w.entries(d.Map(), func() *node {
			w.key(n.key)
			return n.elem
		})
	case kindStruct:
		w.entries(d.Map(), func() *node { return w.field(n) })
	// A map with one entry, whose name says what the value is.
	case kindUnion:
		w.union(n)
	case kindRaw, kindProtobuf:
		w.any()
	default:
		w.scalar(n)
	}
}

// field reads the key of a field and writes its name. It returns the type of
// its value, nil if the field is unknown.
//
// A field of a newer peer is unknown, and written with the name, or the number,
// that it was sent with.
func (w *writer) field(n *node) *node {
	if w.d.Peek() == item.Uint {
		return w.numbered(n)
	}
	name := w.d.View()
	w.text(name)
	if f := n.field(name); f != nil {
		return f.node
	}
	return nil
}

// union writes an object with one member, the variant. One that is unknown is
// written as it is.
//
// As in CBOR, the name of the member is that of the variant.
func (w *writer) union(n *node) {
	name := w.d.Union()
	w.byte('{')
	start := len(w.b)
	w.text(name)
	end := len(w.b)
	// The index is in front of what has been put into the path within.
	if w.d.Err() != nil {
		return
	}
	w.byte(':')
	if f := n.field(name); f != nil {
		w.value(f.node)
	} else {
		w.any()
	}
	if w.d.Err() != nil {
		w.in(w.b[start:end])
		return
	}
	w.byte('}')
	w.d.Leave()
}

// numbered reads the number of a field and writes its name.
//
// The name of a field that is unknown is its number as text.
func (w *writer) numbered(n *node) *node {
	k := w.d.Uint64()
	var space [9]byte
	key := cbor.Buffer(space[:0]).AppendUint(k)
	// The shortest form of the number is what encoded keys have: the
	// message may have a longer one.
	for _, f := range n.fields {
		if string(f.key) == string(key) {
			w.text(f.name)
			return f.node
		}
	}
	w.text(strconv.FormatUint(k, 10))
	return nil
}

// items writes an array that has been entered.
//
// n is its length, and elem the type of its elements; nil if it is unknown.
func (w *writer) items(n int, elem *node) {
	w.byte('[')
	// The length is that of the message: an error ends the loop.
	for i := 0; i < n && w.d.Err() == nil; i++ {
		if i > 0 {
			w.byte(',')
		}
		if elem == nil {
			w.any()
		} else {
			w.value(elem)
		}
		if w.d.Err() != nil {
			w.path = "[" + strconv.Itoa(i) + "]" + w.path
		}
	}
	w.byte(']')
	w.d.Leave()
}

// entries writes a map that has been entered. key writes a key and returns the
// type of its value, nil if it is not known. The same name twice is an error,
// also of fields that are not known.
//
// key is called once for each entry, when its key is next in the message.
func (w *writer) entries(n int, key func() *node) {
	// The names of this object are behind those of the objects around it.
	mark := len(w.names)
	w.byte('{')
	for i := range n {
		if i > 0 {
			w.byte(',')
		}
		// The name is remembered as a part of the output, since that
		// may move.
		name := piece{start: len(w.b)}
		// A key of an unknown kind is an error: JSON could not have it.
		elem := key()
		name.end = len(w.b)
		if w.d.Err() != nil {
			return
		}
		w.names = append(w.names, name)
		w.byte(':')
		if elem == nil {
			w.any()
		} else {
			w.value(elem)
		}
		if w.d.Err() != nil {
			w.in(w.b[name.start:name.end])
			return
		}
	}
	w.unique(w.names[mark:])
	w.names = w.names[:mark]
	w.byte('}')
	w.d.Leave()
}

// unique fails if an object has a name twice. What an encoder writes is in the
// order it looks for, but for numbered fields.
//
// CBOR has rules against a key that comes twice. A decoder of generated code
// finds one among the fields it knows; here all are looked at, since a reader
// of JSON would take one or the other.
func (w *writer) unique(names []piece) {
	compare := func(x, y piece) int {
		return cmp.Or(cmp.Compare(x.end-x.start, y.end-y.start), bytes.Compare(w.b[x.start:x.end], w.b[y.start:y.end]))
	}
	// Names may come in any order: sorted, the same ones are side by side.
	if !slices.IsSortedFunc(names, compare) {
		slices.SortFunc(names, compare)
	}
	for i := 1; i < len(names); i++ {
		if compare(names[i-1], names[i]) == 0 {
			w.d.Fail(fmt.Errorf("the same key twice: %s", short(w.b[names[i].start:names[i].end])))
			return
		}
	}
}

// any writes an item of which nothing is known.
//
// Its JSON says less than one with a descriptor: there is no difference between
// bytes and text, and none between a number and a duration.
func (w *writer) any() {
	d := &w.d
	switch d.Peek() {
	case item.Uint:
		w.b = strconv.AppendUint(w.b, d.Uint64(), 10)
	case item.Nint:
		w.b = strconv.AppendInt(w.b, d.Int64(), 10)
	case item.Bytes:
		w.base64(d.Bytes())
	case item.Text:
		w.text(d.View())
	case item.Array:
		w.items(d.Array(), nil)
	// The keys are those of any map: text or integers.
	case item.Map:
		w.entries(d.Map(), func() *node {
			w.key(nil)
			return nil
		})
	// A typed array, or an item with a tag that means nothing here.
	case item.Tag:
		w.typedArray(nil)
	case item.Bool:
		w.b = strconv.AppendBool(w.b, d.Bool())
	case item.Float:
		w.float(d.Float64(), 64)
	default: // null, other simple values, and the end of the input
		d.Skip()
		w.string("null")
	}
}

// typedArray writes what a typed array holds (RFC 8746); of any other tagged
// item, the item. The elements are of type elem; nil if it is unknown.
//
// The tag of an array says what its elements are, so that this works without a
// descriptor, too.
func (w *writer) typedArray(elem *node) {
	wide := elem // of a number with 64 bits
	switch {
	case elem == nil:
		elem, wide = &node{}, &node{bits: 64}
	case elem.kind == kindDuration:
		numbers(w, func(v time.Duration) { w.text(v.String()) })
		return
	}
	// The tag is read on a copy, since Numbers wants to read it itself.
	probe := w.d
	tag := probe.Tag()
	switch tag {
	// The tags of RFC 8746, little endian, as Numbers writes them. Elements
	// have the form that the same numbers have in a list.
	case 69:
		numbers(w, func(v uint16) { w.uint(elem, uint64(v)) })
	case 70:
		numbers(w, func(v uint32) { w.uint(elem, uint64(v)) })
	case 71:
		numbers(w, func(v uint64) { w.uint(wide, v) })
	case 72:
		numbers(w, func(v int8) { w.int(elem, int64(v)) })
	case 77:
		numbers(w, func(v int16) { w.int(elem, int64(v)) })
	case 78:
		numbers(w, func(v int32) { w.int(elem, int64(v)) })
	case 79:
		numbers(w, func(v int64) { w.int(wide, v) })
	case 85:
		numbers(w, func(v float32) { w.float(float64(v), 32) })
	case 86:
		numbers(w, func(v float64) { w.float(v, 64) })
	default:
		// Any other tag is left out.
		w.d.Tag()
		w.any()
		w.d.Leave()
	}
}

// numbers writes the elements of a typed array, each by write.
func numbers[T cbor.Number](w *writer, write func(T)) {
	vs, _ := cbor.Numbers[T](&w.d)
	w.byte('[')
	for i, v := range vs {
		if i > 0 {
			w.byte(',')
		}
		write(v)
	}
	w.byte(']')
}
