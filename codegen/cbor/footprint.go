package cbor

import (
	"encoding"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"sync"
	"time"

	"github.com/rpcnet-go/rpcnet/internal/protocost"
)

// This file lets a sender find out whether the receiver of a message would take
// it: what an encoder makes under some limits, a decoder takes under the same
// ones. It is not on the way of most messages: those whose type cannot be deep,
// and cannot cost more than the budget for their length, are not looked at.

// A Footprint says what decoding the messages of one type may cost. It is safe
// for concurrent use.
//
// Two numbers are computed once for each type: how many levels a value of it
// can have, and what its most expensive part costs. If a message of its length
// cannot be over the limits by these, which is so for nearly all, there is
// nothing more to do. Else the value is walked.
type Footprint struct {
	once  sync.Once
	typ   reflect.Type
	shape *shape
	worst int64 // the largest cost of one part

	levels int  // at most, of a value
	fits   int  // every message of at most so many bytes is within the default limits
	text   bool // a value can have text or bytes
}

// unknownCost stands for the cost of a part of which nothing is known before
// there is a value.
const unknownCost = math.MaxInt32

// FootprintOf returns the footprint of T, a struct or a union.
func FootprintOf[T any]() *Footprint { return &Footprint{typ: reflect.TypeFor[T]()} }

// Check says whether a decoder with limits l takes encoded, the encoding of v:
// a *T for a struct T, a variant for a union. The error wraps [ErrDepth] or
// [ErrBudget].
func (f *Footprint) Check(v any, encoded []byte, l Limits) error {
	f.once.Do(f.measure)
	n := len(encoded)
	// Nearly every message ends here.
	if n <= f.fits && l == (Limits{}) {
		return nil
	}
	depth := l.DepthLimit()
	// A level has one byte at least.
	if f.levels > depth && n > depth && !withinDepth(encoded, depth) {
		return ErrDepth
	}
	// Strings take no more than they have bytes; a byte is the first of at most
	// two parts, as that of a struct in a list of pointers.
	budget := l.BudgetFor(n) - int64(n)
	if budget < 0 {
		return fmt.Errorf("%w: its encoding alone has %d bytes", ErrBudget, n)
	}
	if f.worst == 0 {
		return nil
	}
	// A product in place of a division, which would take as long as all the rest.
	if hi, lo := bits.Mul64(uint64(2*f.worst), uint64(n)); hi == 0 && lo <= uint64(budget) {
		return nil
	}
	// A union comes as its variant, a struct as a pointer.
	x := reflect.ValueOf(v)
	if f.typ.Kind() != reflect.Interface {
		x = x.Elem()
	}
	if cost := f.shape.costOf(x); cost > budget {
		return fmt.Errorf("%w: it takes %d bytes when it is decoded", ErrBudget, cost+int64(n))
	}
	return nil
}

// measure computes what is known of the type alone, once.
func (f *Footprint) measure() {
	shapes.Lock()
	defer shapes.Unlock()
	f.shape = shapeLocked(f.typ)
	f.levels = levelsOf(f.typ, map[reflect.Type]int{})
	f.text = hasText(f.typ, map[reflect.Type]bool{})
	seen := map[*shape]bool{}
	var visit func(*shape)
	visit = func(s *shape) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		// Every shape within the type, once.
		f.worst = max(f.worst, s.size)
		visit(s.elem)
		for _, p := range s.parts {
			visit(p.shape)
		}
	}
	visit(f.shape)
	// The same as Check computes, solved for the length, for the default limits.
	switch {
	case f.levels > defaultDepth:
		f.fits = 0
	case f.worst == 0:
		f.fits = math.MaxInt
	default:
		f.fits = int(min(defaultBudget/(2*f.worst), math.MaxInt32))
	}
}

// anyDepth is the number of levels of a type whose values have no limit.
const anyDepth = MaxDepth + 1

// levelsOf returns how many levels a value of type t has at most. known holds
// what is known of other types: that one that is being looked at may contain
// itself.
//
// A level is an array, a map or a tag, as a decoder counts them.
func levelsOf(t reflect.Type, known map[reflect.Type]int) int {
	if n, ok := known[t]; ok {
		return n
	}
	// Until it is known, a type has no limit: that of one that contains
	// itself stays so.
	known[t] = anyDepth
	n := 0
	switch {
	case t == timeType:
		n = 1 // a tag
	case t == rawType, t.Kind() == reflect.Interface: // which may be a variant that is not known
		n = anyDepth
	// Text or bytes: no level.
	case isSpecial(t):
	case t.Kind() == reflect.Pointer:
		n = levelsOf(t.Elem(), known)
	case t.Kind() == reflect.Slice && t.Elem() != reflect.TypeFor[byte](), t.Kind() == reflect.Array, t.Kind() == reflect.Map:
		n = 1 + levelsOf(t.Elem(), known)
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); sent(f) {
				n = max(n, levelsOf(f.Type, known))
			}
		}
		n++
	}
	n = min(n, anyDepth)
	known[t] = n
	return n
}

// A shape says what the value of a type costs a decoder beside the bytes of
// strings. The nil shape costs nothing.
//
// Shapes of recursive types refer to themselves. They are shared by all types
// that contain the type, and not changed once they are made.
type shape struct {
	kind  shapeKind
	size  int64  // of what a pointer points to, an element, an entry
	elem  *shape // of the same
	parts []part // fields of a struct, or variants of a union
}

// A shapeKind says how the value of a shape is walked.
type shapeKind uint8

const (
	aPointer shapeKind = iota
	aSlice
	anArray
	aMap
	aStruct
	aUnion
	aProto
)

// A part is a field, or a variant without its pointer.
type part struct {
	index int
	typ   reflect.Type
	shape *shape
}

// shapes holds what has been made so far, and the variants of unions.
var shapes = struct {
	sync.Mutex
	of       map[reflect.Type]*shape
	variants map[reflect.Type][]reflect.Type
}{of: map[reflect.Type]*shape{}, variants: map[reflect.Type][]reflect.Type{}}

// RegisterVariants tells the variants of union U, for [Footprint]. Generated
// code calls it when the program starts.
func RegisterVariants[U any](variants ...U) bool {
	shapes.Lock()
	defer shapes.Unlock()
	var ts []reflect.Type
	for _, v := range variants {
		t := reflect.TypeOf(v)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		ts = append(ts, t)
	}
	shapes.variants[reflect.TypeFor[U]()] = ts
	return true
}

var (
	timeType          = reflect.TypeFor[time.Time]()
	rawType           = reflect.TypeFor[Raw]()
	textMarshaler     = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler   = reflect.TypeFor[encoding.TextUnmarshaler]()
	binaryMarshaler   = reflect.TypeFor[encoding.BinaryMarshaler]()
	binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
)

// shapeLocked returns the shape of t. shapes is locked. What types are special
// is what the generator takes for it.
//
// The sizes are those of Go on a machine of 64 bits, which is what decoders
// charge.
func shapeLocked(t reflect.Type) *shape {
	if s, ok := shapes.of[t]; ok {
		return s
	}
	s := &shape{}
	shapes.of[t] = s // before what is in it: types may be recursive
	switch {
	// What it costs is known only of a value: see protocost.
	case isProto(t):
		s.kind, s.size = aProto, unknownCost
	case isSpecial(t), !s.fill(t):
		s = nil
		shapes.of[t] = nil
	}
	return s
}

// isSpecial reports whether t has a wire form of its own: a string, or an item
// that is not read.
func isSpecial(t reflect.Type) bool {
	if t.Kind() == reflect.Interface || t.PkgPath() == "" {
		return false
	}
	// Methods may have a pointer receiver: values are addressable where
	// they are decoded.
	p := reflect.PointerTo(t)
	return t == timeType || t == rawType || isProto(t) ||
		p.Implements(textMarshaler) && p.Implements(textUnmarshaler) ||
		p.Implements(binaryMarshaler) && p.Implements(binaryUnmarshaler)
}

// isProto reports whether *t is a proto.Message.
func isProto(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.PkgPath() == "" {
		return false
	}
	m, ok := reflect.PointerTo(t).MethodByName("ProtoReflect")
	return ok && m.Type.NumOut() == 1 && m.Type.Out(0).Name() == "Message" &&
		m.Type.Out(0).PkgPath() == "google.golang.org/protobuf/reflect/protoreflect"
}

// fill fills in s for any other type; false if it costs nothing.
//
// What costs nothing beside its bytes has no shape: numbers, text, bytes, and
// structs of these.
func (s *shape) fill(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer:
		s.kind, s.size, s.elem = aPointer, sizeOf(t.Elem()), shapeLocked(t.Elem())
	case reflect.Slice:
		if t.Elem() == reflect.TypeFor[byte]() {
			return false
		}
		s.kind, s.size, s.elem = aSlice, sizeOf(t.Elem()), shapeLocked(t.Elem())
	// An array is a part of what is around it, and costs only what its
	// elements point to.
	case reflect.Array:
		s.kind, s.elem = anArray, shapeLocked(t.Elem())
		return s.elem != nil
	case reflect.Map:
		s.kind, s.elem = aMap, shapeLocked(t.Elem())
		s.size = entryCost(sizeOf(t.Key()), sizeOf(t.Elem()))
	case reflect.Interface:
		s.kind = aUnion
		variants, ok := shapes.variants[t]
		if !ok {
			s.size = unknownCost
		}
		for _, v := range variants {
			s.size = max(s.size, sizeOf(v))
			s.parts = append(s.parts, part{typ: v, shape: shapeLocked(v)})
		}
	case reflect.Struct:
		s.kind = aStruct
		for i := range t.NumField() {
			f := t.Field(i)
			if !sent(f) {
				continue
			}
			if in := shapeLocked(f.Type); in != nil {
				s.parts = append(s.parts, part{i, f.Type, in})
			}
		}
		return len(s.parts) > 0
	default:
		return false
	}
	return true
}

// sent reports whether a field, or some of an embedded struct, is sent.
//
// It reads tags as the generator does, since both must agree on what a message
// is.
func sent(f reflect.StructField) bool {
	// As the generator reads tags.
	rpc, ok := f.Tag.Lookup("rpc")
	if !ok {
		rpc = f.Tag.Get("json")
		if rpc == "-," { // a field with the name -
			rpc = ""
		}
	}
	return rpc != "-" && !(len(rpc) > 1 && rpc[:2] == "-,") &&
		(f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct)
}

// sizeOf returns the size of a value of type t on a machine of 64 bits, or
// more: the receiver can be one.
func sizeOf(t reflect.Type) int64 { return int64(t.Size()) * (64 / bits.UintSize) }

// costOf returns what v, of the type of s, costs.
func (s *shape) costOf(v reflect.Value) (cost int64) {
	if s == nil {
		return 0
	}
	switch s.kind {
	case aPointer:
		if !v.IsNil() {
			cost = s.size + s.elem.costOf(v.Elem())
		}
	case aSlice, anArray:
		cost = int64(v.Len()) * s.size
		// Elements that cost nothing themselves are not looked at.
		for i := 0; s.elem != nil && i < v.Len(); i++ {
			cost += s.elem.costOf(v.Index(i))
		}
	case aMap:
		cost = int64(v.Len()) * s.size
		if s.elem == nil {
			break
		}
		// Keys are text and integers, whose bytes are counted
		// elsewhere.
		for i := v.MapRange(); i.Next(); {
			cost += s.elem.costOf(i.Value())
		}
	case aStruct:
		for _, p := range s.parts {
			cost += p.shape.costOf(v.Field(p.index))
		}
	case aUnion:
		cost = s.variant(v)
	case aProto:
		// A proto.Message is a pointer: a value that has no address is
		// copied.
		p := reflect.New(v.Type())
		if v.CanAddr() {
			p = v.Addr()
		} else {
			p.Elem().Set(v)
		}
		cost = protocost.Of(p.Interface())
	}
	return cost
}

// variant returns what a variant costs: v is it, or an interface with it.
//
// The interface itself is part of what is around it.
func (s *shape) variant(v reflect.Value) int64 {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() { // nil
		return 0
	}
	for _, p := range s.parts {
		if p.typ == v.Type() {
			return sizeOf(p.typ) + p.shape.costOf(v)
		}
	}
	shapes.Lock()
	// A variant that was not registered: the one for unknown ones, or of a
	// type that has more.
	in := shapeLocked(v.Type())
	shapes.Unlock()
	return sizeOf(v.Type()) + in.costOf(v)
}

// withinDepth reports whether b, an encoded item, nests at most depth levels of
// arrays, maps and tags.
//
// It is Skip without its checks: an encoder has written what it reads. It ends
// at the first level that is too deep.
func withinDepth(b []byte, depth int) bool {
	var d Decoder
	d.Reset(b, Limits{Depth: depth})
	var space [defaultDepth]int
	open, left := space[:0], 1
	for {
		for left == 0 {
			if len(open) == 0 {
				return true
			}
			left = open[len(open)-1]
			open = open[:len(open)-1]
		}
		left--
		// An encoder has written it: no length is wrong.
		major, n, ok := d.head()
		if !ok {
			return true // not for its depth
		}
		switch major {
		case majBytes, majText:
			d.pos += int(min(n, uint64(d.remaining())))
			continue
		case majMap:
			n *= 2
		case majTag:
			n = 1
		case majArray:
		default:
			continue
		}
		if len(open) >= depth {
			return false
		}
		open = append(open, left)
		left = int(n)
	}
}
