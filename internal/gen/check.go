package gen

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// A checker turns the marked declarations of one package into services and
// unions, and collects what is wrong with them.
type checker struct {
	*source
	unions    *unionSet
	walker    *walker
	claims    *claims
	recursion *recursion
	services  []*service
}

// newChecker returns a checker of package p. l has the packages that p imports.
func newChecker(l *loader, p *pkg) *checker {
	s := newSource(l, p)
	unions := newUnionSet(s)
	return &checker{
		source: s, unions: unions, walker: newWalker(s, unions), claims: newClaims(s),
		recursion: &recursion{unions: unions, known: map[string]bool{}},
	}
}

// check finds and validates the contracts of the package. The order matters:
// methods refer to unions, and names are those of what is left.
//
// It reports everything that is wrong, and goes on: a run with ten mistakes
// tells ten. What depends on something with an error is not reported as well,
// which is what unionSet.broken and a nil method are for.
func (c *checker) check() {
	if c.pkg.syntaxErrors {
		for _, e := range c.pkg.errors {
			c.report(e)
		}
		return // nothing after this can be trusted
	}
	// Files with such names are reported and read all the same.
	for _, name := range c.pkg.misnamed {
		c.report(nameDiag(name))
	}
	for _, f := range c.pkg.syntax {
		c.read(f)
	}
	// Type errors matter only where definitions are: elsewhere they may come
	// from what is to be generated.
	for _, e := range c.pkg.errors {
		if isDef(e.Pos.Filename) && !strings.Contains(e.Msg, "imported and not used") {
			c.report(e)
		}
	}
	// A type can be named in a file above the one that declares it, so that
	// all unions are known before the first is used.
	for _, d := range c.decls {
		if d.isUnion() {
			c.unions.add(d)
		}
	}
	// Variants can be used by another package's messages alone.
	for _, u := range c.unions.order {
		for _, v := range u.variants {
			c.walker.walk(v.obj.Type(), site{v.pos, v.obj.Name()})
		}
	}
	for _, d := range c.decls {
		switch {
		case d.isService():
			c.service(d)
		case len(d.ds) == 1 && d.ds[0].name == "name" && !c.unions.hasVariant(d.obj):
			c.errorf(d.ds[0].pos, "//rpcnet:name: %s is neither a service nor an error union nor a variant of a union", d.spec.Name.Name)
		}
	}
	c.names()
	// A definition file without a definition is a mistake, such as a
	// directive with a space in it that was taken for a comment.
	if len(c.defs) > 0 && len(c.services) == 0 && len(c.unions.order) == 0 && len(c.diags) == 0 {
		c.report(Diag{token.Position{Filename: c.defs[0], Line: 1, Column: 1},
			"no //rpcnet:service interface in this package; a *" + defSuffix + " file is expected to define one, or a //rpcnet:union"})
	}
}

// service checks a marked interface and its methods.
func (c *checker) service(d *decl) {
	literal := c.serviceLiteral(d)
	if literal == nil {
		return
	}
	name := d.spec.Name.Name
	s := &service{name: name, file: d.file, doc: d.doc, pos: d.spec.Name.Pos()}
	s.wire = c.wireName(d.ds, "service", c.pkg.name+"."+name, serviceNameRE)
	// The name of a service belongs to //rpcnet:service: two places would
	// allow two names.
	if n, ok := find(d.ds, "name"); ok {
		c.errorf(n.pos, "//rpcnet:name on a service: write //rpcnet:service %s", n.arg)
	}
	if e, ok := find(d.ds, "errors"); ok {
		s.errors = c.unions.errorUnion(e)
	}
	for _, f := range literal.Methods.List {
		// An embedded interface has methods of another file, with
		// directives that this run may not read.
		if len(f.Names) == 0 {
			if _, isSet := f.Type.(*ast.BinaryExpr); isSet {
				c.errorf(f.Pos(), "//rpcnet:service %s: a type set is not allowed in a service", name)
				continue
			}
			c.errorf(f.Pos(), "//rpcnet:service %s: embedded interface %s: list the methods of a service one by one", name, types.ExprString(f.Type))
			continue
		}
		fn, _ := c.pkg.info.Defs[f.Names[0]].(*types.Func)
		// The type checker has reported it.
		if fn == nil {
			continue
		}
		if m := newMethodCheck(c, s, f, fn).method(); m != nil {
			s.methods = append(s.methods, m)
		}
	}
	c.wireNames(s)
	c.services = append(c.services, s)
}

// serviceLiteral returns the interface of a service as it is written, nil if it
// cannot be one.
//
// The first thing that is wrong is reported: each makes the others hard to
// judge.
func (c *checker) serviceLiteral(d *decl) *ast.InterfaceType {
	name, pos := d.spec.Name.Name, d.spec.Name.Pos()
	it, ok := d.obj.Type().Underlying().(*types.Interface)
	literal, isLiteral := d.spec.Type.(*ast.InterfaceType)
	switch {
	case !ok:
		c.errorf(pos, "//rpcnet:service %s: want an interface, got %s", name, kindOf(d.obj.Type()))
	case d.spec.TypeParams != nil:
		c.errorf(pos, "//rpcnet:service %s: a service cannot have type parameters", name)
	case !d.obj.Exported():
		c.errorf(pos, "//rpcnet:service %s: the interface must be exported", name)
	// type S other: the methods are written elsewhere.
	case !isLiteral:
		c.errorf(pos, "//rpcnet:service %s: write the interface out, so that its methods can carry directives", name)
	case it.NumMethods() == 0 && len(literal.Methods.List) == 0:
		c.errorf(pos, "//rpcnet:service %s: no methods", name)
	// A service is called, a union is sent.
	case has(d.ds, "union"):
		c.errorf(pos, "//rpcnet:service %s: it cannot be a union as well", name)
	// All is well.
	default:
		return literal
	}
	return nil
}

// wireNames reports methods that have one name on the wire, and names that do
// not fit into a frame: the length of a procedure's name is one byte.
func (c *checker) wireNames(s *service) {
	wires := map[string]*method{}
	for _, m := range s.methods {
		if o := wires[m.wire]; o != nil {
			c.errorf(m.pos, "method name %q already used by %s at %s", m.wire, o.name, c.short(o.pos))
		}
		wires[m.wire] = m
		// The name that is sent is /service/method.
		if n := len(s.wire) + len(m.wire) + 2; n > 255 {
			c.errorf(m.pos, "procedure name of %d bytes: at most 255", n)
		}
	}
}

// names reports names that two services share on the wire, and generated names
// that are not free.
//
// It comes last, since a service or a union with an error claims no names.
func (c *checker) names() {
	byWire := map[string]*service{}
	for _, s := range c.services {
		if o := byWire[s.wire]; o != nil {
			c.errorf(s.pos, "service name %q already used by %s at %s", s.wire, o.name, c.short(o.pos))
		}
		byWire[s.wire] = s
		c.claims.service(s)
	}
	for _, u := range c.unions.order {
		c.claims.union(u)
	}
	scope := c.pkg.types.Scope()
	for _, n := range scope.Names() {
		// Generated code writes nil, error, string, len and append, and
		// cannot know that they mean something else here.
		if types.Universe.Lookup(n) != nil {
			c.errorf(scope.Lookup(n).Pos(), "%s hides Go's own %s, which generated code needs: rename it", n, n)
		}
	}
}
