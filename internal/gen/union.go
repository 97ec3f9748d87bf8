package gen

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// union checks a marked interface of this package and finds its variants.
func (c *checker) union(d *decl) {
	before := len(c.diags)
	defer func() { c.broken[d.obj] = len(c.diags) > before }()
	isErr := has(d.ds, "errors")
	mark := "union"
	if isErr {
		mark = "errors"
	}
	name, pos := d.obj.Name(), d.spec.Name.Pos()
	m, _ := find(d.ds, mark)
	if isErr && has(d.ds, "union") {
		c.errorf(m.pos, "%s: an error union needs //rpcnet:errors alone", name)
		return
	}
	if isErr && m.arg != "" {
		c.errorf(m.pos, "//rpcnet:errors on an error union takes no argument; on a service it names the union, and that needs //rpcnet:service as well")
		return
	}
	if !isErr {
		c.noArgument(m)
		if n, ok := find(d.ds, "name"); ok {
			c.errorf(n.pos, "//rpcnet:name: the name of union %s is never sent; it is for services, methods, error unions and variants", name)
		}
	}
	it, ok := d.obj.Type().Underlying().(*types.Interface)
	switch {
	case !ok:
		c.errorf(pos, "//rpcnet:%s %s: want an interface, got %s", mark, name, kindOf(d.obj.Type()))
		return
	case d.spec.TypeParams != nil:
		c.errorf(pos, "//rpcnet:%s %s: a union cannot have type parameters", mark, name)
		return
	case d.obj.IsAlias():
		c.errorf(pos, "//rpcnet:%s %s: it is an alias: mark the type itself", mark, name)
		return
	case !sealed(it):
		c.errorf(pos, "//rpcnet:%s %s: not sealed: add an unexported marker method, e.g. is%s(), so that every variant is in this package", mark, name, name)
		return
	case isLocalName(name):
		c.errorf(pos, "//rpcnet:%s %s: it has the name of a variable in generated code: rename it", mark, name)
		return
	case isErr && !types.Implements(it, errorInterface):
		c.errorf(pos, "//rpcnet:errors %s: must embed error", name)
		return
	}
	for i := range it.NumMethods() {
		m := it.Method(i)
		sig := m.Type().(*types.Signature)
		if m.Name() == "Error" && isErr {
			continue
		}
		if sig.Params().Len() != 0 || sig.Results().Len() != 0 {
			c.errorf(m.Pos(), "//rpcnet:%s %s: method %s: a union has marker methods only, without parameters and results, so that Unknown%s can have them", mark, name, m.Name(), name)
			return
		}
		if m.Name() == "Name" || m.Name() == "Raw" {
			c.errorf(m.Pos(), "//rpcnet:%s %s: method %s: Unknown%s has a field of that name: rename it", mark, name, m.Name(), name)
			return
		}
	}
	u := &union{obj: d.obj, isError: isErr, file: d.file, pos: pos, doc: d.doc}
	u.wire = c.wireName(d.ds, "name", name, wireNameRE)
	u.variants = c.variants(c.pkg.types, d.obj, func(tn *types.TypeName) []directive {
		for _, dc := range c.decls {
			if dc.obj == tn {
				return dc.ds
			}
		}
		return nil
	})
	if len(u.variants) == 0 {
		c.errorf(pos, "//rpcnet:%s %s: no struct in this package implements it", mark, name)
	}
	wires := map[string]*variant{}
	for _, v := range u.variants {
		if o := wires[v.wire]; o != nil {
			c.errorf(v.pos, "variant name %q of %s already used by %s at %s; set another with //rpcnet:name", v.wire, name, o.obj.Name(), short(c.fset.Position(o.pos)))
		}
		wires[v.wire] = v
		build := c.build(c.fset.Position(v.pos).Filename)
		if build != "" && build != c.build(d.file) {
			c.errorf(v.pos, "variant %s of %s: its file has a build constraint (%s) that the file of %s has not: move it there, or give both files the same //go:build line", v.obj.Name(), name, build, name)
		}
	}
	c.unions[d.obj] = u
	c.order = append(c.order, u)
}

var errorInterface = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

func sealed(it *types.Interface) bool {
	for i := range it.NumMethods() {
		if !it.Method(i).Exported() {
			return true
		}
	}
	return false
}

// variants returns the structs of package p that implement the union obj, in
// source order.
func (c *checker) variants(p *types.Package, obj *types.TypeName, ds func(*types.TypeName) []directive) (vs []*variant) {
	it := obj.Type().Underlying().(*types.Interface)
	for _, n := range p.Scope().Names() {
		tn, ok := p.Scope().Lookup(n).(*types.TypeName)
		if !ok || tn.IsAlias() || tn == obj || n == "Unknown"+obj.Name() {
			continue
		}
		named, ok := tn.Type().(*types.Named)
		if !ok || types.IsInterface(named) {
			continue
		}
		value, ptr := types.Implements(named, it), types.Implements(types.NewPointer(named), it)
		if !value && !ptr {
			continue
		}
		if named.TypeParams().Len() > 0 {
			c.errorf(tn.Pos(), "variant %s of %s: a variant cannot be generic", n, obj.Name())
			continue
		}
		if _, ok := named.Underlying().(*types.Struct); !ok {
			c.errorf(tn.Pos(), "variant %s of %s: want a struct, got %s", n, obj.Name(), kindOf(named))
			continue
		}
		w := n
		// InferenceResponseToken in union InferenceResponse is "token".
		if t := strings.TrimPrefix(n, obj.Name()); t != "" {
			w = t
		}
		vs = append(vs, &variant{
			wire: c.wireName(ds(tn), "name", snake(w), wireNameRE), obj: tn, ptr: !value, pos: tn.Pos(),
		})
	}
	slices.SortFunc(vs, func(a, b *variant) int {
		pa, pb := c.fset.Position(a.pos), c.fset.Position(b.pos)
		return cmp.Or(cmp.Compare(pa.Filename, pb.Filename), cmp.Compare(pa.Offset, pb.Offset))
	})
	return vs
}

// unionOf returns the union that an interface is, or nil. A union of another
// package is found by the directive in that package's source; its codec is
// what was, or will be, generated there.
func (c *checker) unionOf(n *types.Named, pos token.Pos) *union {
	obj := n.Obj()
	if u, ok := c.unions[obj]; ok {
		return u
	}
	if obj.Pkg() == nil || obj.Pkg() == c.pkg.types {
		return nil
	}
	c.unions[obj] = c.foreignUnion(obj)
	return c.unions[obj]
}

func (c *checker) foreignUnion(obj *types.TypeName) *union {
	r := c.l.byPath[obj.Pkg().Path()]
	if r == nil || !slices.ContainsFunc(r.files(), isDef) || !types.IsInterface(obj.Type()) {
		return nil
	}
	// Directives are not part of the export data.
	marks := map[string][]directive{}
	docs := map[string]string{}
	for _, f := range c.l.parse(r).syntax {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				ts := s.(*ast.TypeSpec)
				groups := []*ast.CommentGroup{ts.Doc}
				if !g.Lparen.IsValid() {
					groups = append(groups, g.Doc)
				}
				marks[ts.Name.Name] = rawDirectives(groups, nil)
				docs[ts.Name.Name] = docText(groups[len(groups)-1].Text())
			}
		}
	}
	ds := marks[obj.Name()]
	if !has(ds, "union") && !has(ds, "errors") || has(ds, "service") {
		return nil
	}
	u := &union{obj: obj, isError: has(ds, "errors"), foreign: true, pos: obj.Pos(), doc: docs[obj.Name()]}
	u.variants = c.variants(obj.Pkg(), obj, func(tn *types.TypeName) []directive { return marks[tn.Name()] })
	return u
}
