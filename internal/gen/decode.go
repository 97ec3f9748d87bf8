package gen

import (
	"fmt"
	"go/types"
)

func (e *emitter) decodeStruct(keys string, fs []*field) {
	wire := e.cbor()
	e.p("var f %s.Fields\nfor n := d.Map(); n > 0; n-- {\nk := f.Next(d, %s)\nswitch k {\n", wire, keys)
	for i, f := range fs {
		e.p("case %d:\n", i)
		e.decode(f.typ, "v."+f.path, f.max, true)
	}
	e.p("}\nif d.Err() != nil {\nd.InField(%s, k)\nreturn\n}\n}\nd.Leave()\n", keys)
}

// decode writes statements that decode into the addressable expr of type t,
// which is zero. max is the limit of its length, or 0. notNull says that the
// value is known not to be null.
func (e *emitter) decode(t types.Type, expr string, max int, notNull bool) {
	wire := e.cbor()
	t = types.Unalias(t)
	switch special(t) {
	case specialTime:
		e.p("%s = d.Time()\n", expr)
		return
	case specialRaw:
		e.p("%s = d.RawCopy()\n", expr)
		return
	case specialProto:
		e.p("%s.DecodeField(d, %s)\n", e.imp(protoPath, "protobuf"), addr(expr))
		return
	case specialText:
		e.p("d.UnmarshalText(%s)\n", addr(expr))
		return
	case specialBinary:
		e.p("d.UnmarshalBinary(%s)\n", addr(expr))
		return
	}
	if n, ok := t.(*types.Named); ok {
		if types.IsInterface(n) {
			if notNull {
				e.p("%s(d, &%s)\n", e.decodeFn(n), expr)
			} else {
				e.p("if !d.Nil() { %s(d, &%s) }\n", e.decodeFn(n), expr)
			}
			return
		}
		if _, ok := n.Underlying().(*types.Struct); ok {
			e.p("%s(d, %s)\n", e.decodeFn(n), addr(expr))
			return
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		e.decodeBasic(t, u, expr, max)
	case *types.Pointer:
		if !notNull {
			e.p("if !d.Nil() {\n")
		}
		e.p("%s = %s.New[%s](d)\n", expr, wire, e.typ(u.Elem()))
		e.decode(u.Elem(), "(*"+expr+")", max, true)
		if !notNull {
			e.p("}\n")
		}
	case *types.Slice:
		e.decodeSlice(u, expr, max)
	case *types.Array:
		if isByte(u.Elem()) {
			e.p("d.BytesInto(%s[:])\n", expr)
			return
		}
		i := e.v()
		e.p("d.ArrayOf(%d)\nfor %s := range %s {\n", u.Len(), i, expr)
		e.decode(u.Elem(), expr+"["+i+"]", 0, false)
		e.p("if d.Err() != nil { break }\n}\nd.Leave()\n")
	case *types.Map:
		n, m, k, v := e.v(), e.v(), e.v(), e.v()
		e.p("%s := %s\n", n, e.length("d.Map()", max))
		e.p("%s := %s.MakeMap[%s](d, %s)\nfor range %s {\nvar %s %s\nvar %s %s\n", m, wire, e.typ(t), n, n, k, e.typ(u.Key()), v, e.typ(u.Elem()))
		e.decodeBasic(u.Key(), u.Key().Underlying().(*types.Basic), k, 0)
		e.decode(u.Elem(), v, 0, false)
		e.p("if d.Err() != nil { break }\n%s[%s] = %s\n}\nd.LeaveMap(len(%s), %s)\n%s = %s\n", m, k, v, m, n, expr, m)
	}
}

// length returns call, which returns a length, with a limit.
func (e *emitter) length(call string, max int) string {
	if max == 0 {
		return call
	}
	return fmt.Sprintf("d.AtMost(%s, %d)", call, max)
}

func (e *emitter) decodeSlice(u *types.Slice, expr string, max int) {
	wire := e.cbor()
	if isByte(u.Elem()) {
		if max > 0 {
			e.p("%s = d.BytesAtMost(%d)\n", expr, max)
		} else {
			e.p("%s = d.Bytes()\n", expr)
		}
		return
	}
	elem := e.typ(u.Elem())
	n, s := e.v(), e.v()
	items := func() {
		e.p("%s := %s\n%s := %s.Slice[%s](d, %s)\n", n, e.length("d.Array()", max), s, wire, elem, n)
		e.p("for len(%s) < %s {\n%s = %s.Extend(d, %s, %s)\n", s, n, s, wire, s, n)
		e.decode(u.Elem(), fmt.Sprintf("%s[len(%s)-1]", s, s), 0, false)
		e.p("if d.Err() != nil { break }\n}\nd.Leave()\n%s = %s\n", expr, s)
	}
	if !isNumber(u.Elem()) {
		items()
		return
	}
	x := e.v()
	e.p("if %s, ok := %s.Numbers[%s](d); ok {\n%s = %s\n", x, wire, elem, expr, x)
	if max > 0 {
		e.p("d.AtMost(len(%s), %d)\n", x, max)
	}
	e.p("} else {\n")
	items()
	e.p("}\n")
}

func (e *emitter) decodeBasic(t types.Type, u *types.Basic, expr string, max int) {
	set := func(is, call string) {
		if b, ok := types.Unalias(t).(*types.Basic); ok && b.Name() == is {
			e.p("%s = %s\n", expr, call)
			return
		}
		e.p("%s = %s(%s)\n", expr, e.typ(t), call)
	}
	bits := map[types.BasicKind]int{
		types.Int8: 8, types.Int16: 16, types.Int32: 32, types.Uint8: 8, types.Uint16: 16, types.Uint32: 32,
	}[u.Kind()]
	word := u.Kind() == types.Int || u.Kind() == types.Uint
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
	case i&types.IsUnsigned != 0 && bits > 0:
		set("", fmt.Sprintf("d.UintN(%d)", bits))
	case i&types.IsUnsigned != 0 && word:
		set("uint", "d.Uint()")
	case i&types.IsUnsigned != 0:
		set("uint64", "d.Uint64()")
	case bits > 0:
		set("", fmt.Sprintf("d.IntN(%d)", bits))
	case word:
		set("int", "d.Int()")
	default:
		set("int64", "d.Int64()")
	}
}

// union writes the functions of a union of this package, and its variant for
// what a newer peer sends.
func (e *emitter) union(n *types.Named, u *union) {
	wire := e.cbor()
	T := n.Obj().Name()
	e.p("\n// Unknown%s is a variant of [%s] that a peer with a newer contract\n// sent. It can be sent on as it is.\n", T, T)
	e.p("type Unknown%s struct {\n// Name is the wire name of the variant.\nName string\n// Raw is its value.\nRaw %s.Raw\n}\n", T, wire)
	it := n.Underlying().(*types.Interface)
	for i := range it.NumMethods() {
		if m := it.Method(i); m.Name() == "Error" && u.isError {
			e.p("\n// Error returns a text that says no more than the name.\nfunc (u *Unknown%s) Error() string { return %q + u.Name }\n", T, "unknown "+T+" ")
		} else {
			e.p("\nfunc (*Unknown%s) %s() {}\n", T, m.Name())
		}
	}
	e.p("\n// %s appends the encoding of v, for generated code that\n// uses the union.", e.appendFn(n))
	e.appendFunction(n, T, "("+wire+".Buffer, error)", func() {
		e.p("switch v := v.(type) {\n")
		for _, v := range u.variants {
			start := "append(b, " + quote(head(majorMap, 1)+encodedText(v.wire)) + "...)"
			e.p("case *%s:\nif v != nil { return %s }\n", v.obj.Name(), e.appendCall(v.obj.Type(), start, "v"))
			if !v.ptr {
				e.p("case %s:\nreturn %s\n", v.obj.Name(), e.appendCall(v.obj.Type(), start, "&v"))
			}
		}
		e.p("case *Unknown%s:\nif v != nil {\nb, ok := b.AppendMap(1).AppendText(v.Name)\n", T)
		e.p("if !ok { return b.FailUTF8(%q) }\nreturn b.AppendRaw(v.Raw)\n}\n}\n", "Unknown"+T+".Name")
		e.p("return b.FailVariant(%q, v)\n", T)
	})
	e.p("\nvar _ = %s.RegisterVariants[%s](", wire, T)
	for _, v := range u.variants {
		if v.ptr {
			e.p("(*%s)(nil), ", v.obj.Name())
		} else {
			e.p("%s{}, ", v.obj.Name())
		}
	}
	e.p(")\n")
	e.p("\n// %s decodes into v, a [%s], for generated code that\n// uses the union.", e.decodeFn(n), T)
	e.function(fmt.Sprintf("func %s(d *%s.Decoder, v *%s)", e.decodeFn(n), wire, T), func() {
		e.p("name := d.Union()\nif d.Err() != nil { return }\nswitch name {\n")
		for _, v := range u.variants {
			e.p("case %q:\n", v.wire)
			if v.ptr {
				e.p("x := %s.New[%s](d)\n%s(d, x)\n*v = x\n", wire, v.obj.Name(), e.decodeFn(v.obj.Type()))
			} else {
				e.p("var x %s\n%s.ChargeFor(d, &x)\n%s(d, &x)\n*v = x\n", v.obj.Name(), wire, e.decodeFn(v.obj.Type()))
			}
		}
		e.p("default:\n*v = &Unknown%s{Name: d.Own(name), Raw: d.RawCopy()}\n}\n", T)
		e.p("if d.Err() != nil {\nd.In(name)\nreturn\n}\nd.Leave()\n")
	})
}
