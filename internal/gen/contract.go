package gen

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
)

// A checker turns the marked declarations of one package into the model and
// collects what is wrong with them.
type checker struct {
	l     *loader
	fset  *token.FileSet
	pkg   *pkg
	diags []Diag
	seen  map[string]bool // diags, as text

	decls     []*decl
	services  []*service
	unions    map[*types.TypeName]*union // of this package and others
	order     []*union                   // of this package, in source order
	broken    map[*types.TypeName]bool   // unions that have been reported
	walked    map[string]bool            // types, as text
	walking   map[string]bool            // types that are not structs, being walked
	defs      []string                   // definition files
	builds    map[string]string          // build constraints of all files
	taken     map[string]claim           // names of what is generated
	clashes   map[[2]token.Pos]bool      // reported pairs of claims
	quiet     int                        // above 0, nothing is reported
	comments  map[token.Pos]string       // see fieldComments
	refs      map[string]string          // names in descriptors, see typeRef
	recursion map[string]bool            // see recursive
}

// A decl is a type declaration of the package.
type decl struct {
	spec *ast.TypeSpec
	obj  *types.TypeName
	ds   []directive
	file string
	doc  string
}

func newChecker(l *loader, p *pkg) *checker {
	return &checker{
		l: l, fset: l.fset, pkg: p, seen: map[string]bool{}, walked: map[string]bool{}, walking: map[string]bool{},
		recursion: map[string]bool{}, refs: map[string]string{}, unions: map[*types.TypeName]*union{}, broken: map[*types.TypeName]bool{},
		builds: map[string]string{}, taken: map[string]claim{}, clashes: map[[2]token.Pos]bool{},
	}
}

func (c *checker) errorf(p token.Pos, format string, a ...any) {
	c.report(Diag{c.fset.Position(p), fmt.Sprintf(format, a...)})
}

func (c *checker) report(d Diag) {
	if c.quiet > 0 {
		return
	}
	if s := d.String(); !c.seen[s] {
		c.seen[s] = true
		c.diags = append(c.diags, d)
	}
}

// check finds and validates the contracts of the package.
func (c *checker) check() {
	for _, e := range c.pkg.errors {
		if c.pkg.syntaxErrors {
			c.report(e) // nothing after this can be trusted
		}
	}
	if c.pkg.syntaxErrors {
		return
	}
	for _, name := range c.pkg.misnamed {
		c.report(nameDiag(name))
	}
	for _, f := range c.pkg.syntax {
		c.file(f)
	}
	// Type errors matter only where definitions are: elsewhere they may come
	// from what is to be generated.
	for _, e := range c.pkg.errors {
		if isDef(e.Pos.Filename) && !strings.Contains(e.Msg, "imported and not used") {
			c.report(e)
		}
	}
	for _, d := range c.decls {
		if isService(d) || !has(d.ds, "union") && !has(d.ds, "errors") {
			continue
		}
		c.union(d)
	}
	for _, u := range c.order {
		for _, v := range u.variants {
			c.walk(v.obj.Type(), site{v.pos, v.obj.Name()})
		}
	}
	for _, d := range c.decls {
		switch {
		case isService(d):
			c.service(d)
		case len(d.ds) == 1 && d.ds[0].name == "name" && !c.isVariant(d.obj):
			c.errorf(d.ds[0].pos, "//rpcnet:name: %s is neither a service nor an error union nor a variant of a union", d.spec.Name.Name)
		}
	}
	c.names()
	if len(c.defs) > 0 && len(c.services) == 0 && len(c.order) == 0 && len(c.diags) == 0 {
		c.report(Diag{token.Position{Filename: c.defs[0], Line: 1, Column: 1},
			"no //rpcnet:service interface in this package; a *" + defSuffix + " file is expected to define one, or a //rpcnet:union"})
	}
}

func isService(d *decl) bool { return has(d.ds, "service") }

func (c *checker) isVariant(obj *types.TypeName) bool {
	for _, u := range c.order {
		if slices.ContainsFunc(u.variants, func(v *variant) bool { return v.obj == obj }) {
			return true
		}
	}
	for _, broken := range c.broken {
		if broken { // it may be a variant of that one
			return true
		}
	}
	return false
}

// file collects the declarations of a file and reports directives that are
// attached to nothing.
func (c *checker) file(f *ast.File) {
	name := c.fset.Position(f.Package).Filename
	c.builds[name] = buildLine(f)
	if isDef(name) {
		c.defs = append(c.defs, name)
	}
	attached := map[*ast.CommentGroup]bool{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, s := range g.Specs {
			ts := s.(*ast.TypeSpec)
			groups := []*ast.CommentGroup{ts.Doc}
			doc := ts.Doc.Text()
			if !g.Lparen.IsValid() {
				groups = append(groups, g.Doc)
				doc += g.Doc.Text()
			}
			for _, gr := range groups {
				attached[gr] = true
			}
			obj, _ := c.pkg.info.Defs[ts.Name].(*types.TypeName)
			if obj == nil {
				continue
			}
			dc := &decl{ts, obj, c.directives(typeDirectives, groups...), name, docText(doc)}
			c.decls = append(c.decls, dc)
			if it, ok := ts.Type.(*ast.InterfaceType); ok && isService(dc) {
				for _, m := range it.Methods.List {
					attached[m.Doc] = true
				}
			}
			if !isDef(name) {
				for _, d := range dc.ds {
					if d.name != "name" {
						c.errorf(d.pos, "//rpcnet:%s in %s: definitions live in files named *%s; rename the file", d.name, filepath.Base(name), defSuffix)
					}
				}
			}
		}
	}
	for _, g := range f.Comments {
		if attached[g] {
			continue
		}
		for _, d := range c.directives(allDirectives, g) {
			c.errorf(d.pos, "//rpcnet:%s is not attached to %s: put it in the doc comment, with no blank line before the declaration", d.name, attachment(d.name))
		}
	}
}

func attachment(name string) string {
	if slices.Contains(methodDirectives, name) && name != "name" {
		return "a method of a service"
	}
	return "a type"
}

// docText drops directives, which ast.CommentGroup.Text does not know when
// they are written with a space, and the space around.
func docText(s string) string { return strings.TrimSpace(s) }

// knownOS and knownArch are the file-name suffixes that go build reads as
// constraints (go/build/syslist.go).
var (
	knownOS = strings.Fields(`aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9
		solaris wasip1 windows zos`)
	knownArch = strings.Fields(`386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32
		mips64p32le ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm`)
)

// wrongName says what is wrong with the name of a definition file, or "": some
// names mean one thing to go build with the ending .rpc.go and another with
// _rpcnet.gen.go, since it looks for a GOOS, GOARCH or test suffix before the
// first dot.
func wrongName(path string) string {
	base := strings.TrimSuffix(filepath.Base(path), defSuffix)
	platform := platformSuffix(base)
	switch {
	case base == "":
		return "give it a name before " + defSuffix
	case strings.Contains(base, "."):
		return "a dot inside the name hides build constraints; use an underscore"
	case strings.HasSuffix(base, "_test"):
		return "it looks like a test file and is none; rename it"
	case platform != "":
		return fmt.Sprintf("the suffix _%s limits it to one platform, but not what is generated; rename it and write //go:build %s", platform, platform)
	}
	return ""
}

// platformSuffix returns the GOOS or GOARCH at the end of a file name, or "".
func platformSuffix(path string) string {
	stem, _, _ := strings.Cut(filepath.Base(path), ".")
	last := stem[strings.LastIndex(stem, "_")+1:]
	if last != stem && (slices.Contains(knownOS, last) || slices.Contains(knownArch, last)) {
		return last
	}
	return ""
}

// build returns what limits a file to some platforms, or "".
func (c *checker) build(path string) string { return cmp.Or(c.builds[path], platformSuffix(path)) }

func hasWrongName(path string) bool { return isDef(path) && wrongName(path) != "" }

func nameDiag(path string) Diag {
	return Diag{token.Position{Filename: path, Line: 1, Column: 1}, fmt.Sprintf("file name %s: %s", filepath.Base(path), wrongName(path))}
}

// buildLine returns the //go:build line of a file, or "".
func buildLine(f *ast.File) string {
	for _, g := range f.Comments {
		if g.Pos() > f.Package {
			break
		}
		for _, cm := range g.List {
			if constraint.IsGoBuild(cm.Text) {
				return cm.Text
			}
		}
	}
	return ""
}

func (c *checker) service(d *decl) {
	name := d.spec.Name.Name
	pos := d.spec.Name.Pos()
	it, ok := d.obj.Type().Underlying().(*types.Interface)
	if !ok {
		c.errorf(pos, "//rpcnet:service %s: want an interface, got %s", name, kindOf(d.obj.Type()))
		return
	}
	literal, isLiteral := d.spec.Type.(*ast.InterfaceType)
	switch {
	case d.spec.TypeParams != nil:
		c.errorf(pos, "//rpcnet:service %s: a service cannot have type parameters", name)
		return
	case !d.obj.Exported():
		c.errorf(pos, "//rpcnet:service %s: the interface must be exported", name)
		return
	case !isLiteral:
		c.errorf(pos, "//rpcnet:service %s: write the interface out, so that its methods can carry directives", name)
		return
	case it.NumMethods() == 0 && len(literal.Methods.List) == 0:
		c.errorf(pos, "//rpcnet:service %s: no methods", name)
		return
	case has(d.ds, "union"):
		c.errorf(pos, "//rpcnet:service %s: it cannot be a union as well", name)
		return
	}
	s := &service{name: name, file: d.file, doc: d.doc, pos: pos}
	s.wire = c.wireName(d.ds, "service", c.pkg.name+"."+name, serviceNameRE)
	if n, ok := find(d.ds, "name"); ok {
		c.errorf(n.pos, "//rpcnet:name on a service: write //rpcnet:service %s", n.arg)
	}
	if e, ok := find(d.ds, "errors"); ok {
		s.errors = c.errorUnion(e)
	}
	for _, f := range literal.Methods.List {
		if len(f.Names) == 0 {
			if _, isSet := f.Type.(*ast.BinaryExpr); isSet {
				c.errorf(f.Pos(), "//rpcnet:service %s: a type set is not allowed in a service", name)
				continue
			}
			c.errorf(f.Pos(), "//rpcnet:service %s: embedded interface %s: list the methods of a service one by one", name, types.ExprString(f.Type))
			continue
		}
		fn, _ := c.pkg.info.Defs[f.Names[0]].(*types.Func)
		if fn == nil {
			continue
		}
		if m := c.method(s, f, fn); m != nil {
			s.methods = append(s.methods, m)
		}
	}
	wires := map[string]*method{}
	for _, m := range s.methods {
		if o := wires[m.wire]; o != nil {
			c.errorf(m.pos, "method name %q already used by %s at %s", m.wire, o.name, short(c.fset.Position(o.pos)))
		}
		wires[m.wire] = m
		if n := len(s.wire) + len(m.wire) + 2; n > 255 {
			c.errorf(m.pos, "procedure name of %d bytes: at most 255", n)
		}
	}
	c.services = append(c.services, s)
}

// errorUnion resolves //rpcnet:errors TYPE on a service.
func (c *checker) errorUnion(d directive) *union {
	if d.arg == "" {
		c.errorf(d.pos, "//rpcnet:errors on a service needs the name of an error union")
		return nil
	}
	tn, _ := c.pkg.types.Scope().Lookup(d.arg).(*types.TypeName)
	if tn == nil {
		var names []string
		for _, u := range c.order {
			if u.isError {
				names = append(names, u.obj.Name())
			}
		}
		c.errorf(d.pos, "//rpcnet:errors %s: no such type in package %s%s", d.arg, c.pkg.name, didYouMean(d.arg, names))
		return nil
	}
	if c.broken[tn] {
		return nil
	}
	u := c.unions[tn]
	if u == nil || !u.isError {
		c.errorf(d.pos, "//rpcnet:errors %s: %s is not marked //rpcnet:errors", d.arg, d.arg)
		return nil
	}
	return u
}

func (c *checker) str(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == c.pkg.types {
			return ""
		}
		return p.Name()
	})
}

// fieldComments returns the comments of all struct fields of the package, by
// the position of the field.
func (c *checker) fieldComments() map[token.Pos]string {
	if c.comments != nil {
		return c.comments
	}
	c.comments = map[token.Pos]string{}
	for _, d := range c.decls {
		st, ok := d.spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range st.Fields.List {
			text := docText(f.Doc.Text())
			if text == "" {
				text = docText(f.Comment.Text())
			}
			for _, n := range f.Names {
				c.comments[n.Pos()] = text
			}
		}
	}
	return c.comments
}
