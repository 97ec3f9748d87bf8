package gen

import (
	"fmt"
	"go/types"
)

// An encoder writes the body of one function that appends to b. It stops at the
// first error.
type encoder struct {
	*codecWriter
	tmp    temporaries
	usesOK bool // the body needs a variable ok
	depth  bool // the function has a parameter depth
}

// structOf writes the statements that append the struct v. Constant bytes, such
// as the head of the map and the keys, are put together where they meet.
//
// An example of what it writes, for a struct with a name and a list:
//
//	var ok bool
//	b = append(b, "\xa2dname"...) // a map of two entries, and the first key
//	if b, ok = b.AppendText(v.Name); !ok {
//		return b.FailUTF8("M.Name")
//	}
//	b = append(b, "elevel"...)
//	b = b.AppendArray(len(v.Level))
//	for x1 := range v.Level {
//		b = b.AppendInt(int64(v.Level[x1]))
//	}
//	return b, nil
func (e *encoder) structOf(n *types.Named, fs []*field) {
	pending := head(majorMap, len(fs)) // constant bytes not yet written
	if e.countOptional(fs) {
		pending = ""
	}
	for _, f := range fs {
		expr, where := "v."+f.path, n.Obj().Name()+"."+f.path
		if f.omit {
			e.p("if !(%s) {\n", e.isZero(f.typ, expr))
		}
		// A sender refuses what its receiver would refuse, with a name
		// in place of an offset.
		if f.max > 0 {
			e.p("if len(%s) > %d { return b.FailLength(%q, len(%[1]s), %[2]d) }\n", expr, f.max, where)
		}
		// The key and what stands before it are one append: the cost of
		// a field is mostly that of its calls.
		e.p("b = append(b, %s...)\n", quote(pending+f.encodedKey()))
		pending = ""
		e.value(f.typ, expr, where, f.packed)
		if f.omit {
			e.p("}\n")
		}
	}
	if pending != "" { // a struct without fields
		e.p("b = append(b, %s...)\n", quote(pending))
	}
	e.p("return b, nil\n")
}

// countOptional writes the head of a map whose number of entries depends on the
// fields that are empty; false if there are none of the sort.
func (e *encoder) countOptional(fs []*field) bool {
	optional := false
	for _, f := range fs {
		optional = optional || f.omit
	}
	if !optional {
		return false
	}
	// The number of entries comes first in a map, before any of them is
	// looked at. A field is tested twice, which costs less than to move
	// what was written.
	e.p("n := %d\n", len(fs))
	for _, f := range fs {
		if f.omit {
			e.p("if %s { n-- }\n", e.isZero(f.typ, "v."+f.path))
		}
	}
	e.p("b = b.AppendMap(n)\n")
	return true
}

// union writes the statements that append the union v.
func (e *encoder) union(n *types.Named, u *union) {
	name := n.Obj().Name()
	e.p("switch v := v.(type) {\n")
	// A variant is a map with one entry, from its name to its value:
	// {"created": {...}}.
	for _, v := range u.variants {
		start := "append(b, " + quote(head(majorMap, 1)+encodedText(v.wire)) + "...)"
		// A nil pointer in an interface is not a variant: it goes on to
		// the error below.
		e.p("case *%s:\n", v.obj.Name())
		e.p("if v != nil { return %s }\n", e.call(v.obj.Type(), start, "v"))
		if !v.ptr {
			e.p("case %s:\n", v.obj.Name())
			e.p("return %s\n", e.call(v.obj.Type(), start, "&v"))
		}
	}
	// What a newer peer has sent goes on as it came.
	e.p("case *Unknown%s:\n", name)
	e.p("if v != nil {\n")
	e.p("b, ok := b.AppendMap(1).AppendText(v.Name)\n")
	e.p("if !ok { return b.FailUTF8(%q) }\n", "Unknown"+name+".Name")
	e.p("return b.AppendRaw(v.Raw)\n}\n}\n")
	e.p("return b.FailVariant(%q, v)\n", name)
}

// call returns a call that appends value, of the struct or union t, to dst.
func (e *encoder) call(t types.Type, dst, value string) string {
	// Only within a function that counts: all types on a way back to it
	// count as well, since they contain themselves too.
	if e.depth && e.c.recursion.has(t) {
		return fmt.Sprintf("%s(%s, %s, depth+1)", e.innerFn(t), dst, value)
	}
	return fmt.Sprintf("%s(%s, %s)", e.appendFn(t), dst, value)
}

// value writes the statements that append the addressable expr of type t. where
// names it in errors. packed says that a list is a typed array.
func (e *encoder) value(t types.Type, expr, where string, packed bool) {
	// The order matters: a type with a wire form of its own can be a
	// struct, a slice or a number below it.
	t = types.Unalias(t)
	if call := e.special(t, expr); call != "" {
		e.p("if b, err = %s; err != nil { return b.Fail(%q, err) }\n", call, where)
		return
	}
	switch u := t.Underlying().(type) {
	// A union that is nil is null, as a nil pointer is.
	case *types.Interface:
		e.p("if %s == nil { b = b.AppendNil() } else ", expr)
		e.p("if b, err = %s; err != nil { return b, err }\n", e.call(t, "b", expr))
	// Errors of a struct have the name of its field already.
	case *types.Struct:
		e.p("if b, err = %s; err != nil { return b, err }\n", e.call(t, "b", addr(expr)))
	case *types.Basic:
		e.basic(t, u, expr, where)
	case *types.Pointer:
		e.p("if %s == nil { b = b.AppendNil() } else {\n", expr)
		e.value(u.Elem(), "(*"+expr+")", where, packed)
		e.p("}\n")
	case *types.Slice:
		switch {
		// Only byte itself: a slice of type Flag uint8 is a list of
		// numbers.
		case isByte(u.Elem()):
			e.p("b = b.AppendBytes(%s)\n", expr)
		case packed:
			e.p("b = %s.AppendNumbers(b, %s)\n", e.Cbor(), expr)
		default:
			e.items(u.Elem(), expr, where)
		}
	case *types.Array:
		if isByte(u.Elem()) {
			e.p("b = b.AppendBytes(%s[:])\n", expr)
			return
		}
		e.items(u.Elem(), expr, where)
	case *types.Map:
		e.entries(u, expr, where)
	}
}

// special returns a call that appends expr of a type with a wire form of its
// own, or "". Appenders save the allocation of marshalers.
func (e *encoder) special(t types.Type, expr string) string {
	switch special(t) {
	case specialTime:
		return fmt.Sprintf("b.AppendTime(%s)", expr)
	case specialRaw:
		return fmt.Sprintf("b.AppendRaw(%s)", expr)
	case specialProto:
		return fmt.Sprintf("%s.AppendField(b, %s)", e.Protobuf(), addr(expr))
	case specialText:
		if implements(t, textAppender) {
			return fmt.Sprintf("b.AppendTextAppender(%s)", addr(expr))
		}
		return fmt.Sprintf("b.AppendTextMarshaler(%s)", addr(expr))
	case specialBinary:
		if implements(t, binaryAppender) {
			return fmt.Sprintf("b.AppendBinaryAppender(%s)", addr(expr))
		}
		return fmt.Sprintf("b.AppendBinaryMarshaler(%s)", addr(expr))
	}
	return ""
}

// items appends the elements of a slice or an array.
func (e *encoder) items(elem types.Type, expr, where string) {
	i := e.tmp.next()
	e.p("b = b.AppendArray(len(%s))\n", expr)
	e.p("for %s := range %s {\n", i, expr)
	e.value(elem, expr+"["+i+"]", where, false)
	e.p("}\n")
}

// entries appends the entries of a map in the order of their encoded keys. The
// keys of a small one are sorted on the stack.
func (e *encoder) entries(u *types.Map, expr, where string) {
	sorted, key := "SortedInts", u.Key().Underlying().(*types.Basic)
	if key.Info()&types.IsString != 0 {
		sorted = "SortedText"
	}
	// The key is a variable of its type, so that its functions, if it has
	// any, are not asked:
	//
	//	var x1 [16]string
	//	for _, x2 := range cbor.SortedText(x1[:0], v.Tags) {
	//		...
	//		x3 := v.Tags[x2]
	space, k, v := e.tmp.next(), e.tmp.next(), e.tmp.next()
	e.p("b = b.AppendMap(len(%s))\n", expr)
	e.p("var %s [16]%s\n", space, e.typ(u.Key()))
	e.p("for _, %s := range %s.%s(%s[:0], %s) {\n", k, e.Cbor(), sorted, space, expr)
	e.basic(u.Key(), key, k, where+" key")
	e.p("%s := %s[%s]\n", v, expr, k)
	e.value(u.Elem(), v, where, false)
	e.p("}\n")
}

// basic appends a number, a text or a boolean. t is its type, u the one below.
func (e *encoder) basic(t types.Type, u *types.Basic, expr, where string) {
	// as converts a value of a named type, type Price int64, to the basic
	// type that a function takes.
	as := func(to string) string {
		if b, ok := types.Unalias(t).(*types.Basic); ok && b.Name() == to {
			return expr
		}
		return to + "(" + expr + ")"
	}
	switch i := u.Info(); {
	case i&types.IsString != 0:
		e.usesOK = true
		e.p("if b, ok = b.AppendText(%s); !ok { return b.FailUTF8(%q) }\n", as("string"), where)
	case i&types.IsBoolean != 0:
		e.p("b = b.AppendBool(%s)\n", as("bool"))
	case u.Kind() == types.Float32:
		e.p("b = b.AppendFloat32(%s)\n", as("float32"))
	case u.Kind() == types.Float64:
		e.p("b = b.AppendFloat64(%s)\n", as("float64"))
	case i&types.IsUnsigned != 0:
		e.p("b = b.AppendUint(%s)\n", as("uint64"))
	default:
		e.p("b = b.AppendInt(%s)\n", as("int64"))
	}
}

// isZero returns the expression for "x need not be sent".
func (e *encoder) isZero(t types.Type, x string) string {
	if special(t) == specialTime || implements(t, isZeroer) {
		return x + ".IsZero()"
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case u.Info()&types.IsString != 0:
			return x + ` == ""`
		case u.Info()&types.IsBoolean != 0:
			return "!bool(" + x + ")"
		}
		return x + " == 0"
	case *types.Slice, *types.Map:
		return "len(" + x + ") == 0"
	case *types.Pointer, *types.Interface:
		return x + " == nil"
	}
	// A struct or an array: the checker has seen that it can be compared.
	return x + " == (" + e.typ(t) + "{})"
}
