package gen

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A describer makes the descriptors of the services of a file, one after the
// other.
//
// It follows the types from the methods on, and describes each that has a name
// once.
type describer struct {
	c       *checker
	refs    refNames
	places  places // of all of them
	service *service
	types   map[string]*schema.Type // of the service, those described so far
}

// place records where a part of the contract is, and its type if it has one.
//
// Places are for -breaking: the descriptor itself has no positions, since it is
// part of a program.
func (d *describer) place(part string, pos token.Pos, t types.Type) {
	p := place{pos: d.c.fset.Position(pos)}
	if t != nil {
		p.typ = d.c.str(t)
	}
	d.places[part] = p
}

// descriptor returns the JSON description of a service, one method and one
// type a line.
//
// It is written by hand around the parts, so that a change of one method or
// type is a change of one line for who reads a diff. An example:
//
//	{"version":1,
//	"service":"greeting.v1.Greeting",
//	"methods":[
//	{"name":"Hello","shape":"unary","request":"HelloRequest","response":"HelloResponse"}],
//	"types":{
//	"HelloRequest":{"kind":"struct","fields":[{"name":"name","type":"string"}]},
//	"HelloResponse":{"kind":"struct","fields":[{"name":"text","type":"string"}]}}}
func (d *describer) descriptor(s *service) string {
	d.service, d.types = s, map[string]*schema.Type{}
	d.place(s.wire, s.pos, nil)
	var b strings.Builder
	b.WriteString("{\"version\":1,\n\"service\":" + compact(s.wire))
	if s.doc != "" {
		b.WriteString(",\n\"doc\":" + compact(s.doc))
	}
	if s.errors != nil {
		b.WriteString(",\n\"errors\":" + compact(d.ref(s.errors.obj.Type())) + ",\n\"errors_name\":" + compact(s.errors.wire))
	}
	b.WriteString(",\n\"methods\":[")
	for i, m := range s.methods {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n" + compact(d.method(m)))
	}
	b.WriteString("],\n\"types\":{")
	// Types are found in the order in which methods and fields use them; a
	// descriptor has them in the order of their names.
	for i, name := range slices.Sorted(maps.Keys(d.types)) {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n" + compact(name) + ":" + compact(d.types[name]))
	}
	b.WriteString("}}")
	// The descriptor is a raw string of Go, which cannot have a backquote
	// in it. JSON can write it in another way.
	return strings.ReplaceAll(b.String(), "`", `\u0060`)
}

// compact writes v as JSON on one line.
func compact(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	// Comments are read by people: < stays <.
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // strings and structs of strings
	}
	return strings.TrimSpace(b.String())
}

// refNames gives named types their names in descriptors. The files of a package
// share one.
type refNames struct {
	pkg  *types.Package
	full map[string]string // the type that has a name, with its import path
}

// of returns the name of a named type: with that of its package in front, or
// with the path if two packages have one name.
func (r refNames) of(t types.Type) string {
	t = types.Unalias(t)
	ref := types.TypeString(t, func(p *types.Package) string {
		if p == r.pkg {
			return ""
		}
		return p.Name()
	})
	full := types.TypeString(t, nil)
	// The first of two packages with one name has the short form. The order
	// is that of the source, so that it is the same every time.
	if other, taken := r.full[ref]; taken && other != full {
		return full
	}
	r.full[ref] = full
	return ref
}

// method describes a method. What is zero is left out of the JSON.
func (d *describer) method(m *method) *schema.Method {
	out := &schema.Method{
		Name: m.wire, Shape: strings.ToLower(m.shape()), Doc: m.doc,
		Request: d.message(m.req), Response: d.message(m.res),
		Idempotency: strings.ToLower(m.idempotency), MaxSize: m.maxSize, Depth: m.depth, Budget: m.budget,
	}
	d.place(d.service.wire+"/"+m.wire, m.pos, nil)
	if m.timeout > 0 {
		out.Timeout = m.timeout.String()
	}
	if m.route != nil {
		out.Route = m.route.name
	}
	if m.resume != nil {
		out.ResumeFrom, out.Sequence = m.resume.from.name, d.sequence(m.resume)
		if m.resume.accepted != nil {
			out.Accepted = m.resume.accepted.name
			if v := m.resume.acceptedVariant; v != nil {
				out.AcceptedVariant = v.wire
			}
		}
	}
	return out
}

// sequence returns the name of the field with the number of a response, "" if the
// variants of a union have it under several names: then only a program with the Go
// types can resume.
func (d *describer) sequence(r *resume) string {
	if r.seq != nil {
		return r.seq.name
	}
	name := ""
	for i, v := range r.sequence {
		f := d.c.fieldOf(v.obj.Type(), r.goName).name
		if i > 0 && f != name {
			return ""
		}
		name = f
	}
	return name
}

// message returns the reference to a message. A protobuf message has its Go
// name, for people: its JSON is protobuf's own.
func (d *describer) message(m message) string {
	if m.kind == protoMessage {
		return string(specialProto) + " " + typeName(m.typ.(*types.Named))
	}
	return d.ref(m.typ)
}

// ref returns the reference to a type and describes it if it has a name.
//
// References are described at schema.Type.
func (d *describer) ref(t types.Type) string {
	t = types.Unalias(t)
	switch {
	// A duration is an integer in CBOR and text in JSON. All other types
	// with a form of their own are named by that form.
	case isDuration(t):
		return "duration"
	case special(t) != "":
		return string(special(t))
	}
	// Structs, unions and enumerations have a description of their own. Any
	// other named type is what it is made of: type Price int64 is int64.
	if n, ok := t.(*types.Named); ok {
		switch u := n.Underlying().(type) {
		case *types.Interface, *types.Struct:
			return d.named(n)
		case *types.Basic:
			if key := d.enum(n, u); key != "" {
				return key
			}
		}
	}
	switch u := t.Underlying().(type) {
	// References nest as types do: ?[]map[string]int.
	case *types.Pointer:
		return "?" + d.ref(u.Elem())
	case *types.Slice:
		if isByte(u.Elem()) {
			return "bytes"
		}
		return "[]" + d.ref(u.Elem())
	case *types.Array:
		if isByte(u.Elem()) {
			return fmt.Sprintf("[%d]byte", u.Len())
		}
		return fmt.Sprintf("[%d]%s", u.Len(), d.ref(u.Elem()))
	case *types.Map:
		return "map[" + d.keyRef(u.Key()) + "]" + d.ref(u.Elem())
	case *types.Basic:
		// Not the name of u, which can be that of an alias.
		return types.Typ[u.Kind()].Name() // byte is uint8
	}
	return t.String()
}

// keyRef returns the reference to the type of a map's key, which is sent as the
// text or the integer that it is, without a look at its methods.
func (d *describer) keyRef(t types.Type) string {
	base := t.Underlying().(*types.Basic)
	if n, ok := types.Unalias(t).(*types.Named); ok && special(n) == "" && !isDuration(n) {
		if key := d.enum(n, base); key != "" {
			return key
		}
	}
	return types.Typ[base.Kind()].Name()
}

// enum describes a type that has constants. It returns its reference, or "" if
// it has none.
//
// Constants of any sort make an enumeration: whether they are meant as one, Go
// does not say.
func (d *describer) enum(n *types.Named, base *types.Basic) string {
	values := d.enumValues(n, base)
	if len(values) == 0 {
		return ""
	}
	key := d.refs.of(n)
	d.place(key, n.Obj().Pos(), nil)
	d.types[key] = &schema.Type{Kind: "enum", Doc: d.doc(n.Obj()), Base: types.Typ[base.Kind()].Name(), Values: values}
	return key
}

// named describes a struct or a union and returns its reference.
//
// The reference to a type of another package begins with the name of that.
func (d *describer) named(n *types.Named) string {
	key := d.refs.of(n)
	// A type may contain itself: it is there before its fields are
	// described.
	if d.types[key] != nil {
		return key
	}
	out := &schema.Type{Doc: d.doc(n.Obj())}
	d.types[key] = out
	d.place(key, n.Obj().Pos(), nil)
	// Variants have no number and no options: a union is a map with one of
	// their names.
	if u := d.c.unions.byType[n.Obj()]; u != nil {
		out.Kind, out.Doc = "union", u.doc
		for _, v := range u.variants {
			d.place(key+"."+v.wire, v.pos, nil)
			out.Variants = append(out.Variants, schema.Field{Name: v.wire, Type: d.ref(v.obj.Type())})
		}
		return key
	}
	out.Kind = "struct"
	for _, f := range d.c.knownFields(n) {
		d.place(key+"."+f.name, f.obj.Pos(), f.typ)
		out.Fields = append(out.Fields, schema.Field{
			Name: f.name, Type: d.ref(f.typ), Doc: d.fieldDoc(f), Key: f.key, Max: f.max, Packed: f.packed, OmitEmpty: f.omit,
		})
	}
	return key
}

// doc returns the comment of a type of this package.
func (d *describer) doc(obj *types.TypeName) string {
	if dc := d.c.decl(obj); dc != nil {
		return dc.doc
	}
	return ""
}

// fieldDoc returns the comment of a field of this package.
//
// A field that comes from another package has none: comments are not part of
// export data.
func (d *describer) fieldDoc(f *field) string {
	return d.c.fieldDoc(f.obj.Pos())
}

// enumValues returns the exported constants of a named type: integers by their
// value and then in source order, texts by their name.
func (d *describer) enumValues(n *types.Named, base *types.Basic) (out []schema.Value) {
	p := n.Obj().Pkg()
	if p == nil || n.TypeArgs().Len() > 0 || base.Info()&(types.IsInteger|types.IsString) == 0 {
		return nil
	}
	var consts []*types.Const
	for _, name := range p.Scope().Names() {
		k, ok := p.Scope().Lookup(name).(*types.Const)
		if ok && k.Exported() && types.Identical(k.Type(), n) {
			consts = append(consts, k)
		}
	}
	slices.SortStableFunc(consts, func(a, b *types.Const) int {
		if a.Val().Kind() != constant.Int {
			return 0
		}
		pa, pb := d.c.fset.Position(a.Pos()), d.c.fset.Position(b.Pos())
		return cmp.Or(constantOrder(a.Val(), b.Val()), cmp.Compare(pa.Filename, pb.Filename), cmp.Compare(pa.Offset, pb.Offset))
	})
	for _, k := range consts {
		// An integer is written in decimal, of any size.
		v := k.Val().ExactString()
		if k.Val().Kind() == constant.String {
			v = constant.StringVal(k.Val())
		}
		d.place(d.refs.of(n)+"."+k.Name(), k.Pos(), nil)
		out = append(out, schema.Value{Name: k.Name(), Value: v})
	}
	return out
}

// constantOrder compares two integers.
//
// Constants have any size: those of uint64 are no int64.
func constantOrder(a, b constant.Value) int {
	switch {
	case constant.Compare(a, token.LSS, b):
		return -1
	case constant.Compare(a, token.GTR, b):
		return 1
	}
	return 0
}
