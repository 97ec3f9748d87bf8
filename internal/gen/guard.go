package gen

import (
	"go/types"
	"slices"
	"strings"
)

// guards writes declarations that do not compile when a type has changed since
// its codec was generated.
//
// For a struct it writes a conversion that compiles only while the fields are
// the same, in name, type and order:
//
//	// An error here means that M has changed: run go generate.
//	var _ = struct {
//		Name  string
//		Level []int
//	}(M{})
//
// and for another named type one of a pointer to what it is made of:
//
//	// An error here means that Price has changed: run go generate.
//	var _ = (*int64)((*Price)(nil))
type guards struct {
	*output
	names *namespace
}

// structOf makes the package fail to compile when a struct, or one embedded in it,
// has changed since generation: a conversion between struct types looks at
// fields, not at tags.
func (w guards) structOf(n *types.Named) {
	if !w.wanted(n) {
		return
	}
	fields := slices.Collect(n.Underlying().(*types.Struct).Fields())
	// The fields of a struct of another package can be written down only if
	// all of them are exported, and their types as well.
	hidden := func(v *types.Var) bool { return !v.Exported() || !w.c.canName(v.Type()) }
	if n.Obj().Pkg() == w.c.pkg.types || !slices.ContainsFunc(fields, hidden) {
		var b strings.Builder
		for _, v := range fields {
			if !v.Embedded() {
				b.WriteString(v.Name() + " ")
			}
			b.WriteString(w.typ(v.Type()) + "\n")
		}
		name := w.typ(n)
		w.p("\n// An error here means that %s has changed: run go generate.\n", name)
		w.p("var _ = struct {\n%s}(%s{})\n", b.String(), name)
	}
	// Embedded structs are part of the message without being part of the
	// conversion above.
	for _, v := range fields {
		if in, ok := types.Unalias(v.Type()).(*types.Named); ok && v.Embedded() && isStruct(in) {
			w.structOf(in)
		}
	}
}

// isStruct reports whether n is sent as a struct.
func isStruct(n *types.Named) bool {
	_, ok := n.Underlying().(*types.Struct)
	return ok && special(n) == ""
}

// kindOf does the same for types such as type Price int64 within a field,
// since the codec converts them: int64(v.Price) compiles for floats as well.
// Pointers can be converted only if what they point to has the same form.
func (w guards) kindOf(t types.Type) {
	t = types.Unalias(t)
	if special(t) != "" {
		return
	}
	// The parts come before the type itself. A struct or a union has a
	// guard of its own, with its codec.
	switch u := t.Underlying().(type) {
	case *types.Struct, *types.Interface:
		return
	case *types.Pointer:
		w.kindOf(u.Elem())
	case *types.Slice:
		w.kindOf(u.Elem())
	case *types.Array:
		w.kindOf(u.Elem())
	case *types.Map:
		w.kindOf(u.Key())
		w.kindOf(u.Elem())
	}
	n, ok := t.(*types.Named)
	if !ok || !w.wanted(n) {
		return
	}
	w.p("\n// An error here means that %s has changed: run go generate.\n", w.typ(n))
	w.p("var _ = (*%s)((*%s)(nil))\n", w.typ(n.Underlying()), w.typ(n))
}

// wanted reports whether a guard is to be written for a type: one, and only for
// types of this module, since who depends on two could not generate again.
func (w guards) wanted(n *types.Named) bool {
	key := types.TypeString(n, nil)
	if w.names.guarded[key] || !w.c.canName(n) {
		return false
	}
	w.names.guarded[key] = true
	// A package of another module may change without this one: its users
	// could not mend that.
	p := n.Obj().Pkg()
	if p == w.c.pkg.types {
		return true
	}
	r := w.c.l.byPath[p.Path()]
	return r != nil && r.module() != "" && r.module() == w.c.pkg.module
}
