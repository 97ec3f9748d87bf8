package gen

import (
	"fmt"
	"go/types"
)

// A decoder writes the body of one function that decodes from d into v, which is
// zero. Decoders have a sticky error: the body tests it where a loop must end or
// a name is added to the path, and nowhere else.
type decoder struct {
	*codecWriter
	tmp temporaries
}

// structOf writes the statements that decode a struct. Null for a field, and an
// unknown field, are read by Next.
//
// An example of what it writes, for a struct with a name and a list:
//
//	var f cbor.Fields
//	for n := d.Map(); n > 0; n-- {
//		k := f.Next(d, fieldsOfM)
//		switch k {
//		case 0:
//			v.Name = d.Text()
//		case 1:
//			x1 := d.Array()
//			x2 := cbor.Slice[int](d, x1)
//			for len(x2) < x1 {
//				x2 = cbor.Extend(d, x2, x1)
//				x2[len(x2)-1] = d.Int()
//				if d.Err() != nil {
//					break
//				}
//			}
//			d.Leave()
//			v.Level = x2
//		}
//		if d.Err() != nil {
//			d.InField(fieldsOfM, k)
//			return
//		}
//	}
//	d.Leave()
func (d *decoder) structOf(keys string, fs []*field) {
	d.p("var f %s.Fields\n", d.Cbor())
	d.p("for n := d.Map(); n > 0; n-- {\n")
	d.p("k := f.Next(d, %s)\n", keys)
	d.p("switch k {\n")
	// The cases are the indices in the list of keys.
	for i, f := range fs {
		d.p("case %d:\n", i)
		d.value(f.typ, "v."+f.path, f.max, true)
	}
	d.p("}\n")
	// The error is tested for each field, since only here its name is
	// known, and the loop must end: the number of entries comes from the
	// message.
	d.p("if d.Err() != nil {\nd.InField(%s, k)\nreturn\n}\n", keys)
	d.p("}\nd.Leave()\n")
}

// union writes the statements that decode a union. A variant that is not known
// is kept as it is.
func (d *decoder) union(n *types.Named, u *union) {
	d.p("name := d.Union()\n")
	d.p("if d.Err() != nil { return }\n")
	d.p("switch name {\n")
	for _, v := range u.variants {
		d.p("case %q:\n", v.wire)
		// A variant that *T implements is a pointer in the interface,
		// any other is a value.
		if v.ptr {
			d.p("x := %s.New[%s](d)\n", d.Cbor(), v.obj.Name())
			d.p("%s(d, x)\n", d.decodeFn(v.obj.Type()))
		} else {
			d.p("var x %s\n", v.obj.Name())
			d.p("%s.ChargeFor(d, &x)\n", d.Cbor()) // the interface puts it on the heap
			d.p("%s(d, &x)\n", d.decodeFn(v.obj.Type()))
		}
		d.p("*v = x\n")
	}
	// The name is part of the message, which the caller may use again: Own
	// copies it.
	d.p("default:\n")
	d.p("*v = &Unknown%s{Name: d.Own(name), Raw: d.RawCopy()}\n}\n", n.Obj().Name())
	d.p("if d.Err() != nil {\nd.In(name)\nreturn\n}\nd.Leave()\n")
}

// value writes the statements that decode into the addressable expr of type t,
// which is zero. max is the limit of its length, or 0. notNull says that the
// value is known not to be null.
func (d *decoder) value(t types.Type, expr string, max int, notNull bool) {
	t = types.Unalias(t)
	if call := d.special(t, expr); call != "" {
		d.p("%s\n", call)
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Interface:
		// Next has read null for a field. An element of a list, or a
		// value of a map, may still be null.
		if notNull {
			d.p("%s(d, &%s)\n", d.decodeFn(t), expr)
		} else {
			d.p("if !d.Nil() { %s(d, &%s) }\n", d.decodeFn(t), expr)
		}
	case *types.Struct:
		d.p("%s(d, %s)\n", d.decodeFn(t), addr(expr))
	case *types.Basic:
		d.basic(t, u, expr, max)
	case *types.Pointer:
		if !notNull {
			d.p("if !d.Nil() {\n")
		}
		d.p("%s = %s.New[%s](d)\n", expr, d.Cbor(), d.typ(u.Elem()))
		// The pointer is new, so that what it points to is zero, as
		// value wants it.
		d.value(u.Elem(), "(*"+expr+")", max, true)
		if !notNull {
			d.p("}\n")
		}
	case *types.Slice:
		d.slice(u, expr, max)
	case *types.Array:
		if isByte(u.Elem()) {
			d.p("d.BytesInto(%s[:])\n", expr)
			return
		}
		// An array has a fixed length: any other in the message is an
		// error.
		i := d.tmp.next()
		d.p("d.ArrayOf(%d)\n", u.Len())
		d.p("for %s := range %s {\n", i, expr)
		d.value(u.Elem(), expr+"["+i+"]", 0, false)
		d.p("if d.Err() != nil { break }\n}\nd.Leave()\n")
	case *types.Map:
		d.mapOf(t, u, expr, max)
	}
}

// special returns the statement that decodes into expr of a type with a wire
// form of its own, or "".
func (d *decoder) special(t types.Type, expr string) string {
	switch special(t) {
	case specialTime:
		return expr + " = d.Time()"
	case specialRaw:
		return expr + " = d.RawCopy()"
	case specialProto:
		return fmt.Sprintf("%s.DecodeField(d, %s)", d.Protobuf(), addr(expr))
	case specialText:
		return fmt.Sprintf("d.UnmarshalText(%s)", addr(expr))
	case specialBinary:
		return fmt.Sprintf("d.UnmarshalBinary(%s)", addr(expr))
	}
	return ""
}

// length returns call, which returns a length, with a limit.
func (d *decoder) length(call string, max int) string {
	if max == 0 {
		return call
	}
	return fmt.Sprintf("d.AtMost(%s, %d)", call, max)
}

// slice decodes a slice. One of numbers may come as a typed array, packed or
// not: the tag of the field may change without breaking readers.
func (d *decoder) slice(u *types.Slice, expr string, max int) {
	if isByte(u.Elem()) {
		if max > 0 {
			d.p("%s = d.BytesAtMost(%d)\n", expr, max)
		} else {
			d.p("%s = d.Bytes()\n", expr)
		}
		return
	}
	n, s := d.tmp.next(), d.tmp.next()
	if !isNumber(u.Elem()) {
		d.items(u, n, s, expr, max)
		return
	}
	x := d.tmp.next()
	d.p("if %s, ok := %s.Numbers[%s](d); ok {\n", x, d.Cbor(), d.typ(u.Elem()))
	d.p("%s = %s\n", expr, x)
	if max > 0 {
		d.p("d.AtMost(len(%s), %d)\n", x, max)
	}
	d.p("} else {\n")
	d.items(u, n, s, expr, max)
	d.p("}\n")
}

// items decodes the elements of an array into the variable s, which grows as
// they arrive, and n is their number.
func (d *decoder) items(u *types.Slice, n, s, expr string, max int) {
	cbor := d.Cbor()
	d.p("%s := %s\n", n, d.length("d.Array()", max))
	// Room is made as elements arrive, and not for the length that the
	// message declares.
	d.p("%s := %s.Slice[%s](d, %s)\n", s, cbor, d.typ(u.Elem()), n)
	d.p("for len(%s) < %s {\n", s, n)
	d.p("%s = %s.Extend(d, %[1]s, %[3]s)\n", s, cbor, n)
	d.value(u.Elem(), fmt.Sprintf("%s[len(%[1]s)-1]", s), 0, false)
	d.p("if d.Err() != nil { break }\n}\nd.Leave()\n")
	d.p("%s = %s\n", expr, s)
}

// mapOf decodes a map.
func (d *decoder) mapOf(t types.Type, u *types.Map, expr string, max int) {
	n, m, k, v := d.tmp.next(), d.tmp.next(), d.tmp.next(), d.tmp.next()
	d.p("%s := %s\n", n, d.length("d.Map()", max))
	d.p("%s := %s.MakeMap[%s](d, %s)\n", m, d.Cbor(), d.typ(t), n)
	d.p("for range %s {\n", n)
	d.p("var %s %s\n", k, d.typ(u.Key()))
	d.p("var %s %s\n", v, d.typ(u.Elem()))
	// A key that comes twice makes the map shorter than it was declared,
	// which LeaveMap finds.
	d.basic(u.Key(), u.Key().Underlying().(*types.Basic), k, 0)
	d.value(u.Elem(), v, 0, false)
	d.p("if d.Err() != nil { break }\n")
	d.p("%s[%s] = %s\n}\n", m, k, v)
	d.p("d.LeaveMap(len(%s), %s)\n", m, n)
	d.p("%s = %s\n", expr, m)
}

// intBits are the sizes of integers that are smaller than those on the wire.
var intBits = map[types.BasicKind]int{
	types.Int8: 8, types.Int16: 16, types.Int32: 32, types.Uint8: 8, types.Uint16: 16, types.Uint32: 32,
}

// basic decodes a number, a text or a boolean. t is its type, u the one below.
func (d *decoder) basic(t types.Type, u *types.Basic, expr string, max int) {
	// read is a call that returns the type is.
	// A call that returns the very type of the value needs no conversion;
	// "" stands for a call whose result always does.
	set := func(is, read string) {
		if b, ok := types.Unalias(t).(*types.Basic); ok && b.Name() == is {
			d.p("%s = %s\n", expr, read)
			return
		}
		d.p("%s = %s(%s)\n", expr, d.typ(t), read)
	}
	bits := intBits[u.Kind()]
	switch i := u.Info(); {
	case i&types.IsString != 0 && max > 0:
		set("string", fmt.Sprintf("d.TextAtMost(%d)", max))
	case i&types.IsString != 0:
		set("string", "d.Text()")
	case i&types.IsBoolean != 0:
		set("bool", "d.Bool()")
	case u.Kind() == types.Float32:
		set("float32", "d.Float32()")
	case u.Kind() == types.Float64:
		set("float64", "d.Float64()")
	case u.Kind() == types.Uint:
		set("uint", "d.Uint()")
	case u.Kind() == types.Int:
		set("int", "d.Int()")
	case i&types.IsUnsigned != 0 && bits > 0:
		set("", fmt.Sprintf("d.UintN(%d)", bits))
	case i&types.IsUnsigned != 0:
		set("uint64", "d.Uint64()")
	case bits > 0:
		set("", fmt.Sprintf("d.IntN(%d)", bits))
	default:
		set("int64", "d.Int64()")
	}
}
