package gen

import (
	"go/types"
	"slices"
	"strings"
)

// guard makes the package fail to compile when a struct, or one embedded in it,
// has changed since generation: a conversion between struct types looks at
// fields, not at tags.
func (e *emitter) guard(n *types.Named) {
	if !e.guards(n) {
		return
	}
	fields := slices.Collect(n.Underlying().(*types.Struct).Fields())
	hidden := func(v *types.Var) bool { return !v.Exported() || !e.c.canName(v.Type()) }
	if n.Obj().Pkg() == e.c.pkg.types || !slices.ContainsFunc(fields, hidden) {
		var b strings.Builder
		for _, v := range fields {
			if !v.Embedded() {
				b.WriteString(v.Name() + " ")
			}
			b.WriteString(e.typ(v.Type()) + "\n")
		}
		name := e.typ(n)
		e.p("\n// An error here means that %s has changed: run go generate.\nvar _ = struct {\n%s}(%s{})\n", name, b.String(), name)
	}
	for _, v := range fields {
		if in, ok := types.Unalias(v.Type()).(*types.Named); ok && v.Embedded() && isStruct(in) {
			e.guard(in)
		}
	}
}

// isStruct reports whether n is sent as a struct.
func isStruct(n *types.Named) bool {
	_, ok := n.Underlying().(*types.Struct)
	return ok && special(n) == ""
}

// guardKind does the same for types such as type Price int64 within a field,
// since the codec converts them: int64(v.Price) compiles for floats as well.
// Pointers can be converted only if what they point to has the same form.
func (e *emitter) guardKind(t types.Type) {
	t = types.Unalias(t)
	if special(t) != "" {
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Struct, *types.Interface:
		return
	case *types.Pointer:
		e.guardKind(u.Elem())
	case *types.Slice:
		e.guardKind(u.Elem())
	case *types.Array:
		e.guardKind(u.Elem())
	case *types.Map:
		e.guardKind(u.Key())
		e.guardKind(u.Elem())
	}
	n, ok := t.(*types.Named)
	if !ok || !e.guards(n) {
		return
	}
	e.p("\n// An error here means that %s has changed: run go generate.\nvar _ = (*%s)((*%s)(nil))\n", e.typ(n), e.typ(n.Underlying()), e.typ(n))
}

// guards reports whether a guard is to be written for a type: one, and only for
// types of this module, since who depends on two could not generate again.
func (e *emitter) guards(n *types.Named) bool {
	key := types.TypeString(n, nil)
	if e.names.guarded[key] || !e.c.canName(n) {
		return false
	}
	e.names.guarded[key] = true
	p := n.Obj().Pkg()
	if p == e.c.pkg.types {
		return true
	}
	r := e.c.l.byPath[p.Path()]
	return r != nil && r.module() != "" && r.module() == e.c.pkg.module
}
