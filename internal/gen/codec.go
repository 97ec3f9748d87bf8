package gen

import (
	"fmt"
	"go/types"
	"strings"
)

// A codecWriter writes the functions of a file that encode and decode: two for
// each struct and each union that its messages are made of. Asking for the name
// of one queues it.
type codecWriter struct {
	*output
	names  *namespace            // of this file
	spaces map[string]*namespace // of all definition files
	queue  []types.Type          // types whose functions are to be written
}

// write writes the functions queued so far, and those that these queue.
//
// For a struct M it writes, with the guards of its type:
//
//	func appendMCBOR(b cbor.Buffer, v *M) (_ cbor.Buffer, err error)
//	var fieldsOfM = []string{...}  // the encoded keys, in the order of encoding
//	func decodeMCBOR(d *cbor.Decoder, v *M)
//
// For a union U it writes the type UnknownU and:
//
//	func AppendUCBOR(b cbor.Buffer, v U) (cbor.Buffer, error)
//	var _ = cbor.RegisterVariants[U](...)
//	func DecodeUCBOR(d *cbor.Decoder, v *U)
//
// They are functions and not methods, so that a message can be of any package,
// and an instantiated generic type.
func (w *codecWriter) write() {
	for len(w.queue) > 0 {
		n := w.queue[0].(*types.Named)
		w.queue = w.queue[1:]
		if u := w.c.unions.byType[n.Obj()]; u != nil {
			w.unionCodec(n, u)
			continue
		}
		w.structCodec(n)
	}
}

// structCodec writes the functions of a struct.
func (w *codecWriter) structCodec(n *types.Named) {
	fs := w.c.knownFields(n)
	// The guards come first: when a type has changed, the compiler reports
	// the guard, with its comment, before the code below it.
	guards := guards{w.output, w.names}
	guards.structOf(n)
	for _, f := range fs {
		guards.kindOf(f.typ)
	}
	w.appendFunction(n, "*"+w.typ(n), "err", func(e *encoder) { e.structOf(n, fs) })
	// The keys are constants of the package, and not of the function, so
	// that a call does not make them again.
	keys := "fieldsOf" + w.fn(n)
	w.p("\nvar %s = []string{", keys)
	for _, f := range fs {
		w.p("%s, ", quote(f.encodedKey()))
	}
	w.p("}\n")
	w.decodeFunction(n, func(d *decoder) { d.structOf(keys, fs) })
}

// unionCodec writes the functions of a union of this package, and its variant
// for what a newer peer sends.
func (w *codecWriter) unionCodec(n *types.Named, u *union) {
	w.unknownVariant(n, u)
	w.p("\n// %s appends the encoding of v, for generated code that\n// uses the union.", w.appendFn(n))
	w.appendFunction(n, n.Obj().Name(), "", func(e *encoder) { e.union(n, u) })
	// A sender computes what a value costs its receiver: for that it must
	// know the size of each variant.
	w.p("\nvar _ = %s.RegisterVariants[%s](", w.Cbor(), n.Obj().Name())
	// A value of a variant that only *T implements is a pointer.
	for _, v := range u.variants {
		if v.ptr {
			w.p("(*%s)(nil), ", v.obj.Name())
		} else {
			w.p("%s{}, ", v.obj.Name())
		}
	}
	w.p(")\n")
	w.p("\n// %s decodes into v, a [%s], for generated code that\n// uses the union.", w.decodeFn(n), n.Obj().Name())
	w.decodeFunction(n, func(d *decoder) { d.union(n, u) })
}

// unknownTemplate writes the variant for what is not known. It has every marker
// method, so that it implements the union, and a value that its package alone
// can name.
var unknownTemplate = parse(`
// Unknown{{.Union}} is a variant of [{{.Union}}] that a peer with a newer contract
// sent. It can be sent on as it is.
type Unknown{{.Union}} struct {
	// Name is the wire name of the variant.
	Name string
	// Raw is its value.
	Raw {{.Cbor}}.Raw
}
{{if .IsError}}
// Error returns a text that says no more than the name.
func (u *Unknown{{.Union}}) Error() string { return {{quote .Text}} + u.Name }
{{end}}
{{- range .Markers}}
func (*Unknown{{$.Union}}) {{.}}() {}
{{end}}`)

// unknownVariant writes the variant of a union that stands for all that are not
// known.
func (w *codecWriter) unknownVariant(n *types.Named, u *union) {
	view := struct {
		*output
		Union, Text string
		IsError     bool
		Markers     []string // methods that every variant has
	}{output: w.output, Union: n.Obj().Name(), Text: "unknown " + n.Obj().Name() + " ", IsError: u.isError}
	it := n.Underlying().(*types.Interface)
	for i := range it.NumMethods() {
		// Error has a body; all other methods only mark the variants.
		if m := it.Method(i).Name(); m != "Error" || !u.isError {
			view.Markers = append(view.Markers, m)
		}
	}
	w.add(unknownTemplate, view)
}

// appendFunction writes the append function of t, whose parameter v has type T,
// and for a recursive type the one that counts its depth. err is the name of the
// second result, if the body needs one.
func (w *codecWriter) appendFunction(t types.Type, T, err string, body func(*encoder)) {
	buffer := w.Cbor() + ".Buffer"
	results := "(" + buffer + ", error)"
	if err != "" {
		results = "(_ " + buffer + ", " + err + " error)"
	}
	// A type that cannot contain itself has an end by its declaration
	// alone. A value of any other type can be its own part, by a pointer,
	// and would be encoded until the stack is full.
	if !w.c.recursion.has(t) {
		w.encodeFunction(fmt.Sprintf("func %s(b %s, v %s) %s", w.appendFn(t), buffer, T, results), false, body)
		return
	}
	// The exported function has the signature of all others and starts to
	// count at 0.
	w.p("\nfunc %s(b %s, v %s) (%[2]s, error) {\n", w.appendFn(t), buffer, T)
	w.p("return %s(b, v, 0)\n}\n", w.innerFn(t))
	w.encodeFunction(fmt.Sprintf("func %s(b %s, v %s, depth int) %s", w.innerFn(t), buffer, T, results), true, func(e *encoder) {
		e.p("if depth > %s.MaxDepth { return b, %[1]s.ErrDepth }\n", w.Cbor())
		body(e)
	})
}

// encodeFunction writes a function whose body is written by body. What the body
// turns out to need is declared in front of it.
//
// depth says that the function has a parameter with its depth.
func (w *codecWriter) encodeFunction(signature string, depth bool, body func(*encoder)) {
	// The body is written before the signature, since only then is it known
	// whether it uses ok.
	outer := w.body
	w.body = new(strings.Builder)
	e := &encoder{codecWriter: w, depth: depth}
	body(e)
	written := w.body.String()
	w.body = outer
	w.p("\n%s {\n", signature)
	if e.usesOK {
		w.p("var ok bool\n")
	}
	w.p("%s}\n", written)
}

// decodeFunction writes the decode function of t.
func (w *codecWriter) decodeFunction(t types.Type, body func(*decoder)) {
	w.p("\nfunc %s(d *%s.Decoder, v *%s) {\n", w.decodeFn(t), w.Cbor(), w.typ(t))
	body(&decoder{codecWriter: w})
	w.p("}\n")
}

// appendFn and decodeFn return the names of the codec functions of a struct or
// a union; those of a union are exported for the packages that use it.
func (w *codecWriter) appendFn(t types.Type) string { return w.codecFn("append", t) }
func (w *codecWriter) decodeFn(t types.Type) string { return w.codecFn("decode", t) }

// codecFn returns the name of a codec function and queues the type. verb is
// append or decode.
func (w *codecWriter) codecFn(verb string, t types.Type) string {
	// The type is a struct or a union, and has been walked: it has a name.
	n, _ := types.Unalias(t).(*types.Named)
	u := w.c.unions.byType[n.Obj()]
	// A struct has its codec in each package that uses it: its functions
	// stay unexported. A union is sealed, so that only its own package
	// knows its variants.
	if u == nil || !n.Obj().Exported() {
		return verb + w.fn(t) + "CBOR"
	}
	name := upperFirst(verb) + n.Obj().Name() + "CBOR"
	if u.foreign {
		return w.imp(n.Obj().Pkg().Path(), n.Obj().Pkg().Name()) + "." + name
	}
	w.fn(t)
	return name
}

// innerFn returns the name of the append function of a recursive type that
// counts its depth.
func (w *codecWriter) innerFn(t types.Type) string { return "append" + w.fn(t) + "CBORAt" }

// temporaries gives the temporary variables of a function their names.
type temporaries int

// next returns a name that no variable of the function has yet.
func (t *temporaries) next() string {
	*t++
	return fmt.Sprintf("x%d", int(*t))
}

// addr returns the address of an addressable expression.
//
// The expressions that codecs are written with are addressable: a field of v,
// an element of a slice, a variable. A pointer that has been followed,
// "(*v.Next)", has the address "v.Next".
func addr(expr string) string {
	if p, ok := strings.CutPrefix(expr, "(*"); ok && strings.HasSuffix(p, ")") && !strings.ContainsAny(p[:len(p)-1], "()") {
		return p[:len(p)-1]
	}
	return "&" + expr
}

// The major types of CBOR that constant parts of messages have.
const (
	majorUint = 0 << 5
	majorText = 3 << 5
	majorMap  = 5 << 5
)

// head returns the first bytes of a CBOR item of fewer than 65536.
func head(major byte, n int) string {
	switch {
	case n < 24:
		return string([]byte{major | byte(n)})
	case n < 256:
		return string([]byte{major | 24, byte(n)})
	}
	// The length of a name and the number of fields are far below 65536.
	return string([]byte{major | 25, byte(n >> 8), byte(n)})
}

// encodedText returns s as CBOR text.
func encodedText(s string) string { return head(majorText, len(s)) + s }

// encodedKey returns the key of a field as it is sent.
func (f *field) encodedKey() string {
	if f.key > 0 {
		return head(majorUint, f.key)
	}
	return encodedText(f.name)
}
