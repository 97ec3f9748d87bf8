package gen

import (
	"go/token"
	"go/types"
)

// A specialKind is a type with a wire form of its own. Its value is the name
// in descriptors.
type specialKind string

const (
	specialTime   specialKind = "time"     // time.Time
	specialRaw    specialKind = "raw"      // cbor.Raw
	specialProto  specialKind = "protobuf" // a struct whose pointer is a proto.Message
	specialText   specialKind = "text"     // encoding.TextMarshaler and TextUnmarshaler
	specialBinary specialKind = "binary"   // encoding.BinaryMarshaler and BinaryUnmarshaler
)

// special returns the special treatment of a type, or "".
//
// The order decides for a type that could be several: a time.Time is time,
// though it has MarshalText as well.
func special(t types.Type) specialKind {
	// A union may require the methods of encoding, and stays a union.
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || types.IsInterface(n) {
		return ""
	}
	switch typeName(n) {
	case "time.Time":
		return specialTime
	case cborPath + ".Raw":
		return specialRaw
	}
	_, isStruct := n.Underlying().(*types.Struct)
	switch {
	case isStruct && isProto(n):
		return specialProto
	// Both directions, or none: a type that can only be written would not
	// come back.
	case implements(n, textMarshaler) && implements(n, textUnmarshaler):
		return specialText
	case implements(n, binaryMarshaler) && implements(n, binaryUnmarshaler):
		return specialBinary
	}
	return ""
}

// embeddedForm returns the type that gives struct n its wire form, if n embeds
// it: the methods of a time.Time, say, are also those of a struct around it.
//
// An example is a struct with an embedded time.Time and a field Zone: its
// MarshalText is that of the time, without the zone.
func embeddedForm(n *types.Named) string {
	st, ok := n.Underlying().(*types.Struct)
	if !ok {
		return ""
	}
	// The method that gives the struct its form.
	name := map[specialKind]string{specialProto: "ProtoReflect", specialText: "MarshalText", specialBinary: "MarshalBinary"}[special(n)]
	o, index, _ := types.LookupFieldOrMethod(types.NewPointer(n), true, n.Obj().Pkg(), name)
	// A path of one step is a method of the struct itself.
	if _, ok := o.(*types.Func); !ok || len(index) < 2 {
		return ""
	}
	return types.TypeString(st.Field(index[0]).Type(), func(p *types.Package) string { return p.Name() })
}

// typeName returns "import/path.Name".
func typeName(n *types.Named) string {
	if n.Obj().Pkg() == nil {
		return n.Obj().Name()
	}
	return n.Obj().Pkg().Path() + "." + n.Obj().Name()
}

// isDuration reports whether t is time.Duration: an integer in CBOR, and text
// in JSON.
func isDuration(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && typeName(n) == "time.Duration"
}

// isProto reports whether *n is a proto.Message.
//
// The method is known by its result, so that the generator does not depend on
// protobuf.
func isProto(n *types.Named) bool {
	o, _, _ := types.LookupFieldOrMethod(types.NewPointer(n), true, nil, "ProtoReflect")
	f, ok := o.(*types.Func)
	if !ok {
		return false
	}
	res := f.Type().(*types.Signature).Results()
	if res.Len() != 1 {
		return false
	}
	r, ok := types.Unalias(res.At(0).Type()).(*types.Named)
	return ok && typeName(r) == "google.golang.org/protobuf/reflect/protoreflect.Message"
}

// The interfaces of package encoding, made here so that they exist whether or
// not the contract's package imports it.
var (
	textMarshaler     = oneMethod("MarshalText", nil, bytesType, errorType)
	textUnmarshaler   = oneMethod("UnmarshalText", []types.Type{bytesType}, errorType)
	textAppender      = oneMethod("AppendText", []types.Type{bytesType}, bytesType, errorType)
	binaryMarshaler   = oneMethod("MarshalBinary", nil, bytesType, errorType)
	binaryUnmarshaler = oneMethod("UnmarshalBinary", []types.Type{bytesType}, errorType)
	binaryAppender    = oneMethod("AppendBinary", []types.Type{bytesType}, bytesType, errorType)
	isZeroer          = oneMethod("IsZero", nil, types.Typ[types.Bool])

	bytesType = types.NewSlice(types.Universe.Lookup("byte").Type())
	errorType = types.Universe.Lookup("error").Type()
)

// oneMethod returns an interface with one method.
func oneMethod(name string, params []types.Type, results ...types.Type) *types.Interface {
	tuple := func(ts []types.Type) *types.Tuple {
		var vs []*types.Var
		for _, t := range ts {
			vs = append(vs, types.NewParam(token.NoPos, nil, "", t))
		}
		return types.NewTuple(vs...)
	}
	sig := types.NewSignatureType(nil, nil, nil, tuple(params), tuple(results), false)
	it := types.NewInterfaceType([]*types.Func{types.NewFunc(token.NoPos, nil, name, sig)}, nil)
	return it.Complete()
}

// implements reports whether *n has the method of it.
func implements(n types.Type, it *types.Interface) bool {
	// The pointer has all methods: fields and elements are addressable.
	return types.Implements(types.NewPointer(n), it)
}

// isByte reports whether t is byte itself: a slice of it is a byte string.
func isByte(t types.Type) bool {
	b, ok := types.Unalias(t).(*types.Basic)
	return ok && b.Kind() == types.Uint8
}

// isNumber reports whether t can be an element of a typed array of RFC 8746.
//
// Of the kinds of integers, int and uint have no fixed size, and uint8 is a
// byte.
func isNumber(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	if !ok || special(t) != "" {
		return false
	}
	switch b.Kind() {
	case types.Int8, types.Int16, types.Int32, types.Int64, types.Uint16, types.Uint32, types.Uint64,
		types.Float32, types.Float64:
		return true
	}
	return false
}
