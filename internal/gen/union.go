package gen

import (
	"cmp"
	"go/types"
	"slices"
	"strings"
)

// A unionSet holds the unions that a package declares or uses.
//
// A union is a sealed interface: it has an unexported method, so that only
// types of its package can implement it, and its variants are the structs there
// that do.
type unionSet struct {
	*source
	byType map[*types.TypeName]*union // of this package and others; nil for what is none
	order  []*union                   // of this package, in source order
	broken map[*types.TypeName]bool   // those whose errors have been reported
}

// newUnionSet returns a set without unions.
func newUnionSet(s *source) *unionSet {
	return &unionSet{source: s, byType: map[*types.TypeName]*union{}, broken: map[*types.TypeName]bool{}}
}

// add checks a marked interface of this package and finds its variants.
func (us *unionSet) add(d *decl) {
	// A union with an error is remembered: what uses it is not reported as well.
	before := len(us.diags)
	defer func() { us.broken[d.obj] = len(us.diags) > before }()

	mark := "union"
	if has(d.ds, "errors") {
		mark = "errors"
	}
	if !us.marksFit(d, mark) || !us.isSealedInterface(d, mark) || !us.hasMarkersOnly(d, mark) {
		return
	}
	u := &union{obj: d.obj, isError: mark == "errors", file: d.file, pos: d.spec.Name.Pos(), doc: d.doc}
	// The name is sent for error unions only, with each detail of a status.
	u.wire = us.wireName(d.ds, "name", d.obj.Name(), wireNameRE)
	u.variants = us.variants(d.obj, func(tn *types.TypeName) []directive {
		if d := us.decl(tn); d != nil {
			return d.ds
		}
		return nil
	})
	us.checkVariants(u, mark)
	us.byType[d.obj] = u
	us.order = append(us.order, u)
}

// marksFit checks the directives of a union.
//
// It reports at most one thing that makes the union unusable.
func (us *unionSet) marksFit(d *decl, mark string) bool {
	name := d.obj.Name()
	m, _ := find(d.ds, mark)
	if mark == "errors" {
		switch {
		case has(d.ds, "union"):
			us.errorf(m.pos, "%s: an error union needs //rpcnet:errors alone", name)
			return false
		case m.arg != "":
			us.errorf(m.pos, "//rpcnet:errors on an error union takes no argument; on a service it names the union, and that needs //rpcnet:service as well")
			return false
		}
		return true
	}
	// A union is found by its type: a name would be sent nowhere.
	us.noArgument(m)
	if n, ok := find(d.ds, "name"); ok {
		us.errorf(n.pos, "//rpcnet:name: the name of union %s is never sent; it is for services, methods, error unions and variants", name)
	}
	return true
}

// isSealedInterface checks that a union is an interface that only types of its
// package can implement: else there would be variants that no codec knows.
func (us *unionSet) isSealedInterface(d *decl, mark string) bool {
	name, pos := d.obj.Name(), d.spec.Name.Pos()
	it, ok := d.obj.Type().Underlying().(*types.Interface)
	switch {
	// Only an interface has variants.
	case !ok:
		us.errorf(pos, "//rpcnet:%s %s: want an interface, got %s", mark, name, kindOf(d.obj.Type()))
	// A codec is generated for a type and not for a family of them.
	case d.spec.TypeParams != nil:
		us.errorf(pos, "//rpcnet:%s %s: a union cannot have type parameters", mark, name)
	// An alias has the methods of what it stands for, and would be marked
	// twice.
	case d.obj.IsAlias():
		us.errorf(pos, "//rpcnet:%s %s: it is an alias: mark the type itself", mark, name)
	// The marker method is what makes the list of variants complete.
	case !sealed(it):
		us.errorf(pos, "//rpcnet:%s %s: not sealed: add an unexported marker method, e.g. is%s(), so that every variant is in this package", mark, name, name)
	// A conversion to the union could not be written where a variable hides
	// its name.
	case isLocalName(name):
		us.errorf(pos, "//rpcnet:%s %s: it has the name of a variable in generated code: rename it", mark, name)
	// Handlers return it as an error, and callers find it with errors.As.
	case mark == "errors" && !types.Implements(it, errorInterface):
		us.errorf(pos, "//rpcnet:errors %s: must embed error", name)
	default:
		return true
	}
	return false
}

// errorInterface is the type error as an interface.
var errorInterface = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// sealed reports whether an interface has an unexported method.
func sealed(it *types.Interface) bool {
	for i := range it.NumMethods() {
		if !it.Method(i).Exported() {
			return true
		}
	}
	return false
}

// hasMarkersOnly checks the methods of a union: the variant Unknown is generated
// and has to have them all.
//
// An error union has the method Error as well, which Unknown gets too.
func (us *unionSet) hasMarkersOnly(d *decl, mark string) bool {
	name := d.obj.Name()
	it := d.obj.Type().Underlying().(*types.Interface)
	for i := range it.NumMethods() {
		m := it.Method(i)
		if m.Name() == "Error" && mark == "errors" {
			continue
		}
		sig := m.Type().(*types.Signature)
		if sig.Params().Len() != 0 || sig.Results().Len() != 0 {
			us.errorf(m.Pos(), "//rpcnet:%s %s: method %s: a union has marker methods only, without parameters and results, so that Unknown%s can have them", mark, name, m.Name(), name)
			return false
		}
		// A struct cannot have a field and a method of one name.
		if m.Name() == "Name" || m.Name() == "Raw" {
			us.errorf(m.Pos(), "//rpcnet:%s %s: method %s: Unknown%s has a field of that name: rename it", mark, name, m.Name(), name)
			return false
		}
	}
	return true
}

// checkVariants reports a union without variants, two with one name on the wire,
// and one that is not compiled on every platform that the union is.
//
// The union is used all the same: its variants are known.
func (us *unionSet) checkVariants(u *union, mark string) {
	name := u.obj.Name()
	if len(u.variants) == 0 {
		us.errorf(u.pos, "//rpcnet:%s %s: no struct in this package implements it", mark, name)
	}
	wires := map[string]*variant{}
	for _, v := range u.variants {
		// Two types can have one name in snake_case: HTTPError and
		// HttpError.
		if o := wires[v.wire]; o != nil {
			us.errorf(v.pos, "variant name %q of %s already used by %s at %s; set another with //rpcnet:name", v.wire, name, o.obj.Name(), us.short(o.pos))
		}
		wires[v.wire] = v
		// The codec of the union is in the file of the union, and names
		// all variants.
		build := us.build(us.fset.Position(v.pos).Filename)
		if build != "" && build != us.build(u.file) {
			us.errorf(v.pos, "variant %s of %s: its file has a build constraint (%s) that the file of %s has not: move it there, or give both files the same //go:build line", v.obj.Name(), name, build, name)
		}
	}
}

// hasVariant reports whether a type is a variant of a union of this package. It
// can be one of a union with an error.
func (us *unionSet) hasVariant(obj *types.TypeName) bool {
	for _, u := range us.order {
		if slices.ContainsFunc(u.variants, func(v *variant) bool { return v.obj == obj }) {
			return true
		}
	}
	// The variants of a union with an error were not all found.
	for _, broken := range us.broken {
		if broken {
			return true
		}
	}
	return false
}

// variants returns the structs that implement the union obj, in source order.
// They are in its package, since it is sealed. ds returns the directives of one.
func (us *unionSet) variants(obj *types.TypeName, ds func(*types.TypeName) []directive) (vs []*variant) {
	it, scope := obj.Type().Underlying().(*types.Interface), obj.Pkg().Scope()
	for _, n := range scope.Names() {
		tn, ok := scope.Lookup(n).(*types.TypeName)
		// The type checker has read the package without what is
		// generated. An Unknown that is there all the same is a user's,
		// and reported as one.
		if !ok || tn.IsAlias() || tn == obj || n == "Unknown"+obj.Name() {
			continue
		}
		named, ok := tn.Type().(*types.Named)
		if !ok || types.IsInterface(named) {
			continue
		}
		// A method with a pointer receiver makes only *T a variant.
		value, ptr := types.Implements(named, it), types.Implements(types.NewPointer(named), it)
		if !value && !ptr {
			continue
		}
		if named.TypeParams().Len() > 0 {
			us.errorf(tn.Pos(), "variant %s of %s: a variant cannot be generic", n, obj.Name())
			continue
		}
		if _, ok := named.Underlying().(*types.Struct); !ok {
			us.errorf(tn.Pos(), "variant %s of %s: want a struct, got %s", n, obj.Name(), kindOf(named))
			continue
		}
		// InferenceResponseToken in union InferenceResponse is "token".
		w := cmp.Or(strings.TrimPrefix(n, obj.Name()), n)
		vs = append(vs, &variant{
			wire: us.wireName(ds(tn), "name", snake(w), wireNameRE), obj: tn, ptr: !value, pos: tn.Pos(),
		})
	}
	// The order of the scope is that of names.
	slices.SortFunc(vs, func(a, b *variant) int {
		pa, pb := us.fset.Position(a.pos), us.fset.Position(b.pos)
		return cmp.Or(cmp.Compare(pa.Filename, pb.Filename), cmp.Compare(pa.Offset, pb.Offset))
	})
	return vs
}

// of returns the union that an interface is, or nil. A union of another package
// is found by the directive in that package's source; its codec is what was, or
// will be, generated there.
//
// It is nil as well for an interface that is not marked. The caller says so,
// since it knows what the type is used for.
func (us *unionSet) of(n *types.Named) *union {
	obj := n.Obj()
	if u, ok := us.byType[obj]; ok {
		return u
	}
	if obj.Pkg() == nil || obj.Pkg() == us.pkg.types {
		return nil
	}
	// Also nil is remembered: the source is not read again.
	us.byType[obj] = us.foreign(obj)
	return us.byType[obj]
}

// foreign reads the union obj of another package. Directives and comments are
// not part of the export data, so that its definition files are parsed.
func (us *unionSet) foreign(obj *types.TypeName) *union {
	listed := us.l.byPath[obj.Pkg().Path()]
	// A package without a definition file has no union.
	if listed == nil || !slices.ContainsFunc(listed.files(), isDef) || !types.IsInterface(obj.Type()) {
		return nil
	}
	marks, docs := map[string][]directive{}, map[string]string{}
	for _, f := range us.l.parse(listed).syntax {
		for t := range declaredTypes(f) {
			name := t.spec.Name.Name
			marks[name], docs[name] = rawDirectives(t.docs, nil), t.doc()
		}
	}
	ds := marks[obj.Name()]
	if !has(ds, "union") && !has(ds, "errors") || has(ds, "service") {
		return nil
	}
	u := &union{obj: obj, isError: has(ds, "errors"), foreign: true, pos: obj.Pos(), doc: docs[obj.Name()]}
	u.variants = us.variants(obj, func(tn *types.TypeName) []directive { return marks[tn.Name()] })
	return u
}

// errorUnion resolves //rpcnet:errors TYPE on a service.
func (us *unionSet) errorUnion(d directive) *union {
	// On a service the directive names a type, on a type it names nothing.
	if d.arg == "" {
		us.errorf(d.pos, "//rpcnet:errors on a service needs the name of an error union")
		return nil
	}
	tn, _ := us.pkg.types.Scope().Lookup(d.arg).(*types.TypeName)
	if tn == nil {
		var names []string
		for _, u := range us.order {
			if u.isError {
				names = append(names, u.obj.Name())
			}
		}
		us.errorf(d.pos, "//rpcnet:errors %s: no such type in package %s%s", d.arg, us.pkg.name, didYouMean(d.arg, names))
		return nil
	}
	// What is wrong with it has been reported.
	if us.broken[tn] {
		return nil
	}
	u := us.byType[tn]
	if u == nil || !u.isError {
		us.errorf(d.pos, "//rpcnet:errors %s: %s is not marked //rpcnet:errors", d.arg, d.arg)
		return nil
	}
	return u
}
