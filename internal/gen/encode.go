package gen

import (
	"fmt"
	"go/types"
	"strings"
)

func (e *emitter) v() string { e.tmp++; return fmt.Sprintf("x%d", e.tmp) }

// function writes a function whose body is written by f; what f finds it needs
// is declared first.
func (e *emitter) function(signature string, f func()) {
	outer := e.body
	e.body, e.tmp, e.usesOK = new(strings.Builder), 0, false
	f()
	body := e.body.String()
	e.body = outer
	e.p("\n%s {\n", signature)
	if e.usesOK {
		e.p("var ok bool\n")
	}
	e.p("%s}\n", body)
}

// structCodec writes the functions of a struct.
func (e *emitter) structCodec(n *types.Named) {
	fs := e.c.knownFields(n)
	T, wire := e.typ(n), e.cbor()
	e.guard(n)
	for _, f := range fs {
		e.guardKind(f.typ)
	}
	e.appendFunction(n, "*"+T, "(_ "+wire+".Buffer, err error)", func() { e.appendStruct(n, fs) })
	keys := "fieldsOf" + e.fn(n)
	e.p("\nvar %s = []string{", keys)
	for _, f := range fs {
		e.p("%s, ", quote(f.encodedKey()))
	}
	e.p("}\n")
	e.function(fmt.Sprintf("func %s(d *%s.Decoder, v *%s)", e.decodeFn(n), wire, T), func() { e.decodeStruct(keys, fs) })
}

func (e *emitter) appendStruct(n *types.Named, fs []*field) {
	pending := head(majorMap, len(fs)) // constant bytes not yet written
	optional := 0
	for _, f := range fs {
		if f.omit {
			optional++
		}
	}
	if optional > 0 {
		e.p("n := %d\n", len(fs))
		for _, f := range fs {
			if f.omit {
				e.p("if %s { n-- }\n", e.isZero(f.typ, "v."+f.path))
			}
		}
		e.p("b = b.AppendMap(n)\n")
		pending = ""
	}
	for _, f := range fs {
		expr := "v." + f.path
		where := n.Obj().Name() + "." + f.path
		if f.omit {
			e.p("if !(%s) {\n", e.isZero(f.typ, expr))
		}
		if f.max > 0 {
			e.p("if len(%s) > %d { return b.FailLength(%q, len(%s), %d) }\n", expr, f.max, where, expr, f.max)
		}
		e.p("b = append(b, %s...)\n", quote(pending+f.encodedKey()))
		pending = ""
		e.encode(f.typ, expr, where, f.packed)
		if f.omit {
			e.p("}\n")
		}
	}
	if pending != "" {
		e.p("b = append(b, %s...)\n", quote(pending))
	}
	e.p("return b, nil\n")
}

// addr returns the address of an addressable expression.
func addr(expr string) string {
	if p, ok := strings.CutPrefix(expr, "(*"); ok && strings.HasSuffix(p, ")") && !strings.ContainsAny(p[:len(p)-1], "()") {
		return p[:len(p)-1]
	}
	return "&" + expr
}

// encode writes statements that append the addressable expr of type t to b.
func (e *emitter) encode(t types.Type, expr, where string, packed bool) {
	wire := e.cbor()
	t = types.Unalias(t)
	try := func(call string) {
		e.p("if b, err = %s; err != nil { return b.Fail(%q, err) }\n", call, where)
	}
	switch special(t) {
	case specialTime:
		try(fmt.Sprintf("b.AppendTime(%s)", expr))
		return
	case specialRaw:
		try(fmt.Sprintf("b.AppendRaw(%s)", expr))
		return
	case specialProto:
		try(fmt.Sprintf("%s.AppendField(b, %s)", e.imp(protoPath, "protobuf"), addr(expr)))
		return
	case specialText:
		how := "AppendTextMarshaler"
		if implements(t, textAppender) {
			how = "AppendTextAppender"
		}
		try(fmt.Sprintf("b.%s(%s)", how, addr(expr)))
		return
	case specialBinary:
		how := "AppendBinaryMarshaler"
		if implements(t, binaryAppender) {
			how = "AppendBinaryAppender"
		}
		try(fmt.Sprintf("b.%s(%s)", how, addr(expr)))
		return
	}
	if n, ok := t.(*types.Named); ok {
		if types.IsInterface(n) {
			e.p("if %s == nil { b = b.AppendNil() } else if b, err = %s; err != nil { return b, err }\n", expr, e.appendCall(n, "b", expr))
			return
		}
		if _, ok := n.Underlying().(*types.Struct); ok {
			e.p("if b, err = %s; err != nil { return b, err }\n", e.appendCall(n, "b", addr(expr)))
			return
		}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		e.encodeBasic(t, u, expr, where)
	case *types.Pointer:
		e.p("if %s == nil { b = b.AppendNil() } else {\n", expr)
		e.encode(u.Elem(), "(*"+expr+")", where, packed)
		e.p("}\n")
	case *types.Slice:
		switch {
		case isByte(u.Elem()):
			e.p("b = b.AppendBytes(%s)\n", expr)
		case packed:
			e.p("b = %s.AppendNumbers(b, %s)\n", wire, expr)
		default:
			e.encodeItems(u.Elem(), expr, where)
		}
	case *types.Array:
		if isByte(u.Elem()) {
			e.p("b = b.AppendBytes(%s[:])\n", expr)
			return
		}
		e.encodeItems(u.Elem(), expr, where)
	case *types.Map:
		sorted := "SortedInts"
		if b := u.Key().Underlying().(*types.Basic); b.Info()&types.IsString != 0 {
			sorted = "SortedText"
		}
		space, k, v := e.v(), e.v(), e.v()
		e.p("b = b.AppendMap(len(%s))\n", expr)
		e.p("var %s [16]%s\nfor _, %s := range %s.%s(%s[:0], %s) {\n", space, e.typ(u.Key()), k, wire, sorted, space, expr)
		e.encodeBasic(u.Key(), u.Key().Underlying().(*types.Basic), k, where+" key")
		e.p("%s := %s[%s]\n", v, expr, k)
		e.encode(u.Elem(), v, where, false)
		e.p("}\n")
	}
}

func (e *emitter) encodeItems(elem types.Type, expr, where string) {
	i := e.v()
	e.p("b = b.AppendArray(len(%s))\nfor %s := range %s {\n", expr, i, expr)
	e.encode(elem, expr+"["+i+"]", where, false)
	e.p("}\n")
}

func (e *emitter) encodeBasic(t types.Type, u *types.Basic, expr, where string) {
	conv := func(to string) string {
		if b, ok := types.Unalias(t).(*types.Basic); ok && b.Name() == to {
			return expr
		}
		return to + "(" + expr + ")"
	}
	switch i := u.Info(); {
	case i&types.IsString != 0:
		e.usesOK = true
		e.p("if b, ok = b.AppendText(%s); !ok { return b.FailUTF8(%q) }\n", conv("string"), where)
	case i&types.IsBoolean != 0:
		e.p("b = b.AppendBool(%s)\n", conv("bool"))
	case u.Kind() == types.Float32:
		e.p("b = b.AppendFloat32(%s)\n", conv("float32"))
	case u.Kind() == types.Float64:
		e.p("b = b.AppendFloat64(%s)\n", conv("float64"))
	case i&types.IsUnsigned != 0:
		e.p("b = b.AppendUint(%s)\n", conv("uint64"))
	default:
		e.p("b = b.AppendInt(%s)\n", conv("int64"))
	}
}

// isZero returns the expression for "x need not be sent".
func (e *emitter) isZero(t types.Type, x string) string {
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
	return x + " == (" + e.typ(t) + "{})"
}
