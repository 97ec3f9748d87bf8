package cbor

import (
	"reflect"

	"github.com/rpcnet-go/rpcnet/internal/reuse"
)

// This file finds out what memory the messages of a type need and have.

// Parts returns the parts of *v, a struct of the type of f, that can be used again: of its
// own fields and of structs among these, byte slices, texts, slices and maps. What is
// behind pointers and in unions is not used again, nor what types with methods of their
// own have made.
//
// Values of a type that are moved to *v later have the same parts.
func (f *Footprint) Parts(v any) *reuse.Parts {
	p := &reuse.Parts{Value: v}
	addParts(p, reflect.ValueOf(v).Elem())
	return p
}

// addParts adds the parts of v, which is addressable.
//
// It walks the type as the generator does, and finds what generated decoders fill in: by
// the type of the elements for slices, not of the slice, and by the type
// itself for maps.
func addParts(p *reuse.Parts, v reflect.Value) {
	t := v.Type()
	// What a method of the program has made can share memory with something else in
	// the program, which must not change.
	if isSpecial(t) {
		return
	}
	// A named type has the memory of the type below it, so that a pointer to the one can
	// be used as a pointer to the other.
	as := func(t reflect.Type) any { return v.Addr().Convert(reflect.PointerTo(t)).Interface() }
	switch t.Kind() {
	case reflect.String:
		p.AddText(as(reflect.TypeFor[string]()).(*string))
	case reflect.Slice:
		if t.Elem() == reflect.TypeFor[byte]() {
			p.AddBytes(as(reflect.TypeFor[[]byte]()).(*[]byte))
		} else {
			p.AddSlice(as(reflect.SliceOf(t.Elem())))
		}
	case reflect.Map:
		p.AddMap(v.Addr().Interface())
	case reflect.Struct:
		for i := range t.NumField() {
			if sent(t.Field(i)) {
				addParts(p, v.Field(i))
			}
		}
	}
}

// HasText reports whether a message of the type of f can have text or bytes in it, for
// which room beside it is of use. Safe for concurrent use.
func (f *Footprint) HasText() bool {
	f.once.Do(f.measure)
	return f.text
}

// hasText reports whether a value of type t can have text or bytes in it. seen has the
// types that were looked at.
func hasText(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	// A union can have a variant with text, and what is behind a pointer counts as well: it
	// is decoded with the same message.
	switch t.Kind() {
	case reflect.String, reflect.Interface:
		return true
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8 || hasText(t.Elem(), seen)
	case reflect.Pointer, reflect.Array:
		return hasText(t.Elem(), seen)
	case reflect.Map:
		return hasText(t.Key(), seen) || hasText(t.Elem(), seen)
	case reflect.Struct:
		if isSpecial(t) {
			return false // its own methods copy what they keep
		}
		for i := range t.NumField() {
			if f := t.Field(i); sent(f) && hasText(f.Type, seen) {
				return true
			}
		}
	}
	return false
}
