package schema

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
)

// AppendJSON appends the JSON form of a message in CBOR to dst. Fields and
// variants that the descriptor does not have are written as they are. It is
// bounded as the zero [cbor.Limits] say. Errors name the field that is wrong and
// say what would be right.
func (m *Message) AppendJSON(dst, encoded []byte) ([]byte, error) {
	n, err := m.node()
	if err != nil {
		return dst, err
	}
	w := writer{b: dst, int64String: m.int64String}
	w.d.Reset(encoded, cbor.Limits{})
	w.value(n)
	return w.b, w.finish(n.ref)
}

// AppendJSON appends the JSON form of any CBOR item to dst, without a
// descriptor: byte strings become base64, tags are dropped.
func AppendJSON(dst, encoded []byte) ([]byte, error) {
	w := writer{b: dst}
	w.d.Reset(encoded, cbor.Limits{})
	w.any()
	return w.b, w.finish("")
}

type writer struct {
	b           []byte
	d           cbor.Decoder
	int64String bool
	names       []piece // of the objects that are open
	path        string  // from the value that has been left last to the error
}

// A piece is a part of a writer's b.
type piece struct{ start, end int }

// finish returns the error, if there is one, with where it is.
func (w *writer) finish(root string) error {
	err := w.d.Finish()
	if errors.Is(err, cbor.ErrDepth) {
		err = fmt.Errorf("%w: JSON nests at most %d levels, whatever the options", err, maxDepth)
	}
	if where := strings.TrimPrefix(root+w.path, "."); err != nil && where != "" {
		return fmt.Errorf("%s: %w", where, err)
	}
	return err
}

// in puts a member, as JSON has its name, in front of the path to an error.
func (w *writer) in(name []byte) {
	w.path = "." + short(name[1:len(name)-1]) + w.path
}

// maxShown is how many bytes of a name errors show.
const maxShown = 64

// short returns the beginning of a name, for people.
func short(name []byte) string {
	if len(name) > maxShown {
		return strings.ToValidUTF8(string(name[:maxShown]), "") + "..."
	}
	return string(name)
}

func (w *writer) byte(c byte)     { w.b = append(w.b, c) }
func (w *writer) string(s string) { w.b = append(w.b, s...) }

func (w *writer) value(n *node) {
	d := &w.d
	if d.Nil() {
		w.string("null")
		return
	}
	switch n.kind {
	case kindOptional:
		w.value(n.elem)
	case kindBool:
		w.b = strconv.AppendBool(w.b, d.Bool())
	case kindInt:
		v := d.IntN(n.bits)
		w.integer(n.bits, func(b []byte) []byte { return strconv.AppendInt(b, v, 10) })
	case kindUint:
		v := d.UintN(n.bits)
		w.integer(n.bits, func(b []byte) []byte { return strconv.AppendUint(b, v, 10) })
	case kindFloat:
		w.float(d.Float64(), n.bits)
	case kindString:
		w.text(d.View())
	case kindBytes:
		w.base64(d.Bytes())
	case kindFixedBytes:
		p := make([]byte, 0, min(n.length, 64))
		if p = append(p, d.Bytes()...); len(p) != n.length && d.Err() == nil {
			d.Fail(errLength(n.length, len(p)))
		}
		w.base64(p)
	case kindTime:
		w.time(d.Time())
	case kindDuration:
		w.text(time.Duration(d.Int64()).String())
	case kindList:
		if d.Peek() == cbor.KindTag {
			if n.elem.kind == kindDuration {
				numbers(w, func(v time.Duration) { w.text(v.String()) })
				return
			}
			w.typedArray()
			return
		}
		w.items(d.Array(), n.elem)
	case kindArray:
		d.ArrayOf(n.length)
		w.items(n.length, n.elem)
	case kindMap:
		w.entries(d.Map(), func() *node {
			w.key()
			return n.elem
		})
	case kindStruct:
		w.entries(d.Map(), func() *node {
			if d.Peek() == cbor.KindUint {
				return w.numbered(n)
			}
			name := d.View()
			w.text(name)
			if f := n.field(name); f != nil {
				return f.node
			}
			return nil
		})
	case kindUnion:
		name := d.Union()
		w.byte('{')
		start := len(w.b)
		w.text(name)
		end := len(w.b)
		if d.Err() != nil {
			return
		}
		w.byte(':')
		if f := n.field(name); f != nil {
			w.value(f.node)
		} else {
			w.any()
		}
		if d.Err() != nil {
			w.in(w.b[start:end])
			return
		}
		w.byte('}')
		d.Leave()
	default:
		w.any()
	}
}

// numbered reads the number of a field and writes its name.
func (w *writer) numbered(n *node) *node {
	k := w.d.Uint64()
	var space [9]byte
	key := cbor.Buffer(space[:0]).AppendUint(k)
	for _, f := range n.fields {
		if string(f.key) == string(key) {
			w.text(f.name)
			return f.node
		}
	}
	w.text(strconv.FormatUint(k, 10))
	return nil
}

func (w *writer) integer(bits int, write func([]byte) []byte) {
	quote := bits == 64 && w.int64String
	if quote {
		w.byte('"')
	}
	w.b = write(w.b)
	if quote {
		w.byte('"')
	}
}

func (w *writer) float(f float64, bits int) {
	switch {
	case math.IsNaN(f):
		w.string(`"NaN"`)
	case math.IsInf(f, 1):
		w.string(`"Infinity"`)
	case math.IsInf(f, -1):
		w.string(`"-Infinity"`)
	default:
		w.b = strconv.AppendFloat(w.b, f, 'g', -1, bits)
	}
}

func (w *writer) time(t time.Time) {
	w.byte('"')
	w.b = t.AppendFormat(w.b, time.RFC3339Nano)
	w.byte('"')
}

func (w *writer) base64(p []byte) {
	w.byte('"')
	w.b = base64.StdEncoding.AppendEncode(w.b, p)
	w.byte('"')
}

// items writes an array that has been entered.
func (w *writer) items(n int, elem *node) {
	w.byte('[')
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
func (w *writer) entries(n int, key func() *node) {
	mark := len(w.names)
	w.byte('{')
	for i := range n {
		if i > 0 {
			w.byte(',')
		}
		name := piece{start: len(w.b)}
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
func (w *writer) unique(names []piece) {
	compare := func(x, y piece) int {
		return cmp.Or(cmp.Compare(x.end-x.start, y.end-y.start), bytes.Compare(w.b[x.start:x.end], w.b[y.start:y.end]))
	}
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

// key writes the key of a map as text.
func (w *writer) key() {
	switch d := &w.d; d.Peek() {
	case cbor.KindText:
		w.text(d.View())
	case cbor.KindUint:
		w.byte('"')
		w.b = strconv.AppendUint(w.b, d.Uint64(), 10)
		w.byte('"')
	case cbor.KindNint:
		w.byte('"')
		w.b = strconv.AppendInt(w.b, d.Int64(), 10)
		w.byte('"')
	default:
		if d.Err() == nil {
			d.Fail(errKey)
		}
	}
}

// any writes an item of which nothing is known.
func (w *writer) any() {
	d := &w.d
	switch d.Peek() {
	case cbor.KindUint:
		w.b = strconv.AppendUint(w.b, d.Uint64(), 10)
	case cbor.KindNint:
		w.b = strconv.AppendInt(w.b, d.Int64(), 10)
	case cbor.KindBytes:
		w.base64(d.Bytes())
	case cbor.KindText:
		w.text(d.View())
	case cbor.KindArray:
		w.items(d.Array(), nil)
	case cbor.KindMap:
		w.entries(d.Map(), func() *node {
			w.key()
			return nil
		})
	case cbor.KindTag:
		w.typedArray()
	case cbor.KindBool:
		w.b = strconv.AppendBool(w.b, d.Bool())
	case cbor.KindFloat:
		w.float(d.Float64(), 64)
	default: // null, other simple values, and the end of the input
		d.Skip()
		w.string("null")
	}
}

// typedArray writes what a typed array holds (RFC 8746); of any other tagged
// item, the item.
func (w *writer) typedArray() {
	probe := w.d
	tag := probe.Tag()
	switch tag {
	case 69:
		numbers(w, func(v uint16) { w.b = strconv.AppendUint(w.b, uint64(v), 10) })
	case 70:
		numbers(w, func(v uint32) { w.b = strconv.AppendUint(w.b, uint64(v), 10) })
	case 71:
		numbers(w, func(v uint64) { w.integer(64, func(b []byte) []byte { return strconv.AppendUint(b, v, 10) }) })
	case 72:
		numbers(w, func(v int8) { w.b = strconv.AppendInt(w.b, int64(v), 10) })
	case 77:
		numbers(w, func(v int16) { w.b = strconv.AppendInt(w.b, int64(v), 10) })
	case 78:
		numbers(w, func(v int32) { w.b = strconv.AppendInt(w.b, int64(v), 10) })
	case 79:
		numbers(w, func(v int64) { w.integer(64, func(b []byte) []byte { return strconv.AppendInt(b, v, 10) }) })
	case 85:
		numbers(w, func(v float32) { w.float(float64(v), 32) })
	case 86:
		numbers(w, func(v float64) { w.float(v, 64) })
	default:
		w.d.Tag()
		w.any()
		w.d.Leave()
	}
}

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

const hex = "0123456789abcdef"

// text writes a JSON string. s is UTF-8.
func (w *writer) text(s string) {
	w.byte('"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf || c >= utf8.RuneSelf {
			continue
		}
		w.string(s[start:i])
		start = i + 1
		switch c {
		case '"', '\\':
			w.b = append(w.b, '\\', c)
		case '\n':
			w.string(`\n`)
		case '\t':
			w.string(`\t`)
		case '\r':
			w.string(`\r`)
		default:
			w.b = append(w.b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	w.string(s[start:])
	w.byte('"')
}
