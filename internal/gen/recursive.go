package gen

import "go/types"

// A recursion finds out which types can contain themselves.
//
// An example is type Node struct{ Next *Node }: a value that is its own Next
// has no end. Most types are not recursive, and their functions do not count.
type recursion struct {
	unions *unionSet
	known  map[string]bool // by type, as text
}

// has reports whether a struct or a union can contain itself. The
// functions that encode such a type count their depth, since a value that
// contains itself would take all of the stack, which cannot be recovered from.
func (r *recursion) has(t types.Type) bool {
	key := types.TypeString(t, nil)
	if known, ok := r.known[key]; ok {
		return known
	}
	// The types within t, and within those, until t comes again or nothing
	// new comes. seen keeps a cycle that does not lead to t from being
	// walked forever.
	found := false
	seen := map[string]bool{}
	var visit func(types.Type)
	visit = func(t types.Type) {
		for _, in := range r.contains(t) {
			k := types.TypeString(in, nil)
			found = found || k == key
			if !found && !seen[k] {
				seen[k] = true
				visit(in)
			}
		}
	}
	visit(t)
	r.known[key] = found
	return found
}

// contains returns the structs and unions directly within a struct or union
// that have functions in this package.
func (r *recursion) contains(t types.Type) (out []types.Type) {
	n := types.Unalias(t).(*types.Named)
	if u := r.unions.byType[n.Obj()]; u != nil {
		// The variants of a union of another package are encoded by
		// that package, which counts for itself. They cannot lead back
		// here: packages do not import each other.
		if !u.foreign {
			for _, v := range u.variants {
				out = append(out, v.obj.Type())
			}
		}
		return out
	}
	// add goes through what has no function of its own: pointers, lists,
	// maps, and named types of them.
	var add func(types.Type)
	add = func(t types.Type) {
		t = types.Unalias(t)
		// Its own methods encode it, without its fields.
		if special(t) != "" {
			return
		}
		if n, ok := t.(*types.Named); ok {
			switch n.Underlying().(type) {
			case *types.Struct, *types.Interface:
				out = append(out, n)
				return
			}
		}
		switch u := t.Underlying().(type) {
		case *types.Pointer:
			add(u.Elem())
		case *types.Slice:
			add(u.Elem())
		case *types.Array:
			add(u.Elem())
		case *types.Map:
			add(u.Elem())
		}
	}
	for _, f := range r.unions.knownFields(n) {
		add(f.typ)
	}
	return out
}
