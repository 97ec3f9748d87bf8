package gen

import (
	"go/token"
	"go/types"
)

// A site says where a type is used, for error messages.
//
// The path is built while types are walked, and used for errors only.
type site struct {
	pos  token.Pos
	path string
}

// in returns the site of a field. Fields of other packages keep the position
// of the field of this package that leads to them.
func (s site) in(f *field) site {
	if f.local {
		s.pos = f.pos
	}
	s.path += "." + f.path
	return s
}

// A walker validates the types that messages are made of: after it, each has a
// codec. What the emitter meets has been walked.
type walker struct {
	*source
	unions  *unionSet
	walked  map[string]bool // named types, as text
	walking map[string]bool // named types without a codec of their own, on the way here
}

// newWalker returns a walker that has seen no type.
func newWalker(s *source, unions *unionSet) *walker {
	return &walker{source: s, unions: unions, walked: map[string]bool{}, walking: map[string]bool{}}
}

// walk validates t and everything reachable from it.
//
// An error has the way from the method to the type, as in S.M: request
// Req.Items.Price, and the position of the last field on it that is in this
// package.
func (w *walker) walk(t types.Type, s site) {
	switch u := types.Unalias(t).(type) {
	// An alias is what it stands for.
	case *types.Named:
		w.named(u, s)
	case *types.Pointer:
		w.pointer(t, u, s)
	case *types.Slice:
		w.walk(u.Elem(), s)
	case *types.Array:
		w.walk(u.Elem(), s)
	case *types.Map:
		w.mapOf(u, s)
	// A struct without a name has no function for its codec.
	case *types.Struct:
		w.errorf(s.pos, "%s: anonymous struct: give it a name", s.path)
	case *types.Basic:
		switch {
		case u.Kind() == types.Invalid: // the type checker has said so
		case u.Kind() == types.Uintptr, u.Kind() == types.UnsafePointer, u.Info()&types.IsComplex != 0:
			w.errorf(s.pos, "%s: type %s has no wire form", s.path, w.str(t))
		}
	// These three have no values that could be sent.
	case *types.Chan:
		w.errorf(s.pos, "%s: type %s has no wire form; streams are parameters and results of methods, not fields", s.path, w.str(t))
	case *types.Signature:
		w.errorf(s.pos, "%s: type %s has no wire form", s.path, w.str(t))
	case *types.Interface:
		// any could be everything: the receiver would not know what to
		// decode.
		if u.Empty() {
			w.errorf(s.pos, "%s: type any has no wire form: use a union, or cbor.Raw", s.path)
		} else {
			w.errorf(s.pos, "%s: anonymous interface has no wire form: use a union", s.path)
		}
	case *types.TypeParam:
		w.errorf(s.pos, "%s: type parameter %s is not instantiated", s.path, u)
	}
}

// pointer validates a pointer, which is an optional value: null, or the value.
// Two in a row would have two values for one null.
func (w *walker) pointer(t types.Type, u *types.Pointer, s site) {
	// Null would stand for either of the two pointers.
	if _, ok := types.Unalias(u.Elem()).Underlying().(*types.Pointer); ok {
		w.errorf(s.pos, "%s: pointer to pointer %s has no wire form", s.path, w.str(t))
		return
	}
	if types.IsInterface(u.Elem()) {
		w.errorf(s.pos, "%s: pointer to interface %s has no wire form: a union can be nil by itself", s.path, w.str(t))
		return
	}
	w.walk(u.Elem(), s)
}

// mapOf validates a map. Its keys are what JSON can have as a name.
func (w *walker) mapOf(u *types.Map, s site) {
	// Floats and booleans are not, since their text in JSON is not one for
	// each value.
	b, ok := u.Key().Underlying().(*types.Basic)
	if !ok || b.Info()&(types.IsString|types.IsInteger) == 0 || b.Kind() == types.Uintptr {
		w.errorf(s.pos, "%s: map key %s: want a string or an integer type", s.path, w.str(u.Key()))
	} else {
		w.walk(u.Key(), s)
	}
	w.walk(u.Elem(), s)
}

// named validates a named type.
func (w *walker) named(n *types.Named, s site) {
	key := types.TypeString(n, nil)
	if w.walked[key] || !w.canUse(n, s) {
		return
	}
	switch u := n.Underlying().(type) {
	case *types.Interface:
		w.iface(n, u, s)
	case *types.Struct:
		w.structOf(n, u, s)
	default:
		if special(n) != "" {
			return
		}
		// The codec of such a type is written out where it is used, so that one
		// that contains itself, type T []T, would have no end.
		if w.walking[key] {
			w.errorf(s.pos, "%s: type %s contains itself without a struct in between: make it a struct with one field", s.path, w.str(n))
			return
		}
		w.walking[key] = true
		defer delete(w.walking, key)
		w.walk(u, s)
	}
}

// canUse reports a named type that generated code of this package cannot name.
//
// What is generated is part of this package, and obeys the rules of Go.
func (w *walker) canUse(n *types.Named, s site) bool {
	p := n.Obj().Pkg()
	local := p == nil || p == w.pkg.types
	switch {
	// See locals.
	case p == w.pkg.types && isLocalName(n.Obj().Name()):
		w.errorf(s.pos, "%s: type %s has the name of a variable in generated code: rename it", s.path, n.Obj().Name())
	case !local && !n.Obj().Exported():
		w.errorf(s.pos, "%s: type %s is not exported by its package", s.path, w.str(n))
	case !local && !mayImport(w.pkg.path, p.Path()):
		w.errorf(s.pos, "%s: type %s is of the internal package %s, which this one may not import", s.path, w.str(n), p.Path())
	case nested(n) > maxTypeArgs:
		path := s.path[:min(len(s.path), 60)]
		w.errorf(s.pos, "%s...: type arguments of %s nest without end", path, n.Obj().Name())
	default:
		return true
	}
	return false
}

// iface validates a named interface, which must be a union. Its variants are
// walked with the union, or by the package that declares it.
//
// All other interfaces would need a way to tell the receiver which type comes:
// that is what a union is.
func (w *walker) iface(n *types.Named, u *types.Interface, s site) {
	un := w.unions.of(n)
	switch {
	// error is an interface without a mark: the message says what is meant
	// instead.
	case isError(n):
		w.errorf(s.pos, "%s: error has no wire form: use string, or return it as the method's error", s.path)
	case w.unions.broken[n.Obj()]:
	case un != nil && un.isError && un.foreign:
		w.errorf(s.pos, "%s: error union %s of another package cannot be a field", s.path, w.str(n))
	// A union of this package is walked by the checker, with its variants.
	case un != nil:
		// Its codec was, or will be, written there.
		if un.foreign {
			w.walked[types.TypeString(n, nil)] = true
		}
	case u.Empty():
		w.errorf(s.pos, "%s: type any has no wire form: use a union, or cbor.Raw", s.path)
	// An interface of another package may have a mark in a file that is not
	// read.
	case n.Obj().Pkg() != nil && n.Obj().Pkg() != w.pkg.types:
		w.errorf(s.pos, "%s: interface %s is not marked //rpcnet:union in a *%s file of its package", s.path, w.str(n), defSuffix)
	default:
		w.errorf(s.pos, "%s: interface %s is not marked //rpcnet:union", s.path, w.str(n))
	}
}

// structOf validates a named struct with its fields.
//
// A struct with a form of its own, such as time.Time, has no fields that are
// sent.
func (w *walker) structOf(n *types.Named, u *types.Struct, s site) {
	if special(n) != "" {
		// A method that is promoted from one field would send that field alone.
		if by := embeddedForm(n); by != "" && u.NumFields() > 1 && n.Obj().Pkg() == w.pkg.types {
			w.errorf(s.pos, "%s: type %s has the methods of %s, which it embeds, and would be sent as that alone, without its other fields: give the field a name",
				s.path, w.str(n), by)
		}
		return
	}
	w.walked[types.TypeString(n, nil)] = true
	// What a struct holds is reached through a function of its own: there a type
	// may contain itself.
	outer := w.walking
	w.walking = map[string]bool{}
	defer func() { w.walking = outer }()
	for _, f := range w.fields(n, s) {
		w.walk(f.typ, s.in(f))
	}
}

// maxTypeArgs is how deep type arguments may nest: a generic type that refers
// to itself with larger arguments has no end.
const maxTypeArgs = 20

// nested returns how deep the type arguments of t nest.
//
// type T[A any] struct{ Next *T[[]A] } has no end, though each instance is a
// type of its own that walked does not know.
func nested(t types.Type) int {
	switch u := types.Unalias(t).(type) {
	case *types.Named:
		deepest := 0
		for a := range u.TypeArgs().Types() {
			deepest = max(deepest, 1+nested(a))
		}
		return deepest
	case *types.Pointer:
		return 1 + nested(u.Elem())
	case *types.Slice:
		return 1 + nested(u.Elem())
	case *types.Array:
		return 1 + nested(u.Elem())
	case *types.Map:
		return 1 + max(nested(u.Key()), nested(u.Elem()))
	}
	return 0
}
