package gen

import (
	"cmp"
	"go/ast"
	"go/token"
	"go/types"
	"iter"
	"path/filepath"
	"slices"
	"strings"
)

// A source is one package as it is written: its declarations with their
// directives and comments.
type source struct {
	*reporter
	l        *loader
	pkg      *pkg
	decls    []*decl
	defs     []string             // definition files
	builds   map[string]string    // build constraints of all files
	comments map[token.Pos]string // see fieldDoc
}

// A decl is a type declaration of the package.
type decl struct {
	spec *ast.TypeSpec
	obj  *types.TypeName
	ds   []directive
	file string
	doc  string
}

// newSource returns the source of p, of which no file has been read.
func newSource(l *loader, p *pkg) *source {
	return &source{
		reporter: &reporter{fset: l.fset, seen: map[string]bool{}},
		l:        l, pkg: p, builds: map[string]string{},
	}
}

// A declaredType is a type declaration with the comments that belong to it.
type declaredType struct {
	spec *ast.TypeSpec
	docs []*ast.CommentGroup // some may be nil
}

// declaredTypes yields the type declarations of a file. The comment in front of
// a group, type ( ... ), belongs to none of the types in it.
//
// It is the one walk over declarations: that of the package itself and that of
// packages whose unions it uses.
func declaredTypes(f *ast.File) iter.Seq[declaredType] {
	return func(yield func(declaredType) bool) {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				t := declaredType{spec: s.(*ast.TypeSpec)}
				t.docs = append(t.docs, t.spec.Doc)
				if !g.Lparen.IsValid() {
					t.docs = append(t.docs, g.Doc)
				}
				if !yield(t) {
					return
				}
			}
		}
	}
}

// doc returns the text of the comments without directives.
func (t declaredType) doc() string {
	var b strings.Builder
	for _, g := range t.docs {
		b.WriteString(g.Text())
	}
	return docText(b.String())
}

// docText drops the space around a comment.
func docText(s string) string { return strings.TrimSpace(s) }

// read collects the declarations of a file and reports directives that are
// attached to nothing.
//
// A directive belongs to the declaration right below it. All comments are
// looked at, so that one that stands anywhere else is not passed over in
// silence.
func (s *source) read(f *ast.File) {
	name := s.fset.Position(f.Package).Filename
	s.builds[name] = buildLine(f)
	// Only definition files are given a generated one.
	if isDef(name) {
		s.defs = append(s.defs, name)
	}
	attached := map[*ast.CommentGroup]bool{}
	for t := range declaredTypes(f) {
		for _, g := range t.docs {
			attached[g] = true
		}
		// A declaration that is not valid has no object.
		obj, _ := s.pkg.info.Defs[t.spec.Name].(*types.TypeName)
		if obj == nil { // the type checker has said why
			continue
		}
		d := &decl{t.spec, obj, s.directives(typeDirectives, t.docs...), name, t.doc()}
		s.decls = append(s.decls, d)
		if it, ok := t.spec.Type.(*ast.InterfaceType); ok && d.isService() {
			for _, m := range it.Methods.List {
				attached[m.Doc] = true // these are read with the method
			}
		}
		if isDef(name) {
			continue
		}
		for _, x := range d.ds {
			if x.name != "name" { // a variant may be in any file
				s.errorf(x.pos, "//rpcnet:%s in %s: definitions live in files named *%s; rename the file", x.name, filepath.Base(name), defSuffix)
			}
		}
	}
	for _, g := range f.Comments {
		if attached[g] {
			continue
		}
		// All are allowed here, since what is wrong is the place.
		for _, d := range s.directives(allDirectives, g) {
			s.errorf(d.pos, "//rpcnet:%s is not attached to %s: put it in the doc comment, with no blank line before the declaration", d.name, attachment(d.name))
		}
	}
}

// attachment says what a directive is attached to.
//
// A name can be that of a method, a service or a type: for it the answer is a
// type.
func attachment(name string) string {
	if slices.Contains(methodDirectives, name) && name != "name" {
		return "a method of a service"
	}
	return "a type"
}

// isService reports whether d is marked as a service. Then //rpcnet:errors
// names its error union, and does not make it one.
func (d *decl) isService() bool { return has(d.ds, "service") }

// isUnion reports whether d is marked as a union or an error union.
func (d *decl) isUnion() bool { return !d.isService() && (has(d.ds, "union") || has(d.ds, "errors")) }

// decl returns the declaration of a type of the package, or nil.
//
// There are few in a package: a search is quick enough.
func (s *source) decl(obj *types.TypeName) *decl {
	i := slices.IndexFunc(s.decls, func(d *decl) bool { return d.obj == obj })
	if i < 0 {
		return nil
	}
	return s.decls[i]
}

// fieldDoc returns the comment of a struct field of the package: that above it,
// else that behind it.
func (s *source) fieldDoc(at token.Pos) string {
	// They are collected once for all fields. The descriptor has the
	// position of a field only.
	if s.comments == nil {
		s.comments = map[token.Pos]string{}
		for _, d := range s.decls {
			st, ok := d.spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range st.Fields.List {
				text := cmp.Or(docText(f.Doc.Text()), docText(f.Comment.Text()))
				// Several fields may share a comment. An
				// embedded field has no name here, and is
				// described by its type.
				for _, n := range f.Names {
					s.comments[n.Pos()] = text
				}
			}
		}
	}
	return s.comments[at]
}

// build returns what limits a file to some platforms, or "".
func (s *source) build(path string) string { return cmp.Or(s.builds[path], platformSuffix(path)) }

// str writes a type as the package does.
//
// It is for messages to people, and for names in descriptors, which are the
// same text.
func (s *source) str(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == s.pkg.types {
			return ""
		}
		return p.Name()
	})
}

// canName reports whether the package can write down a type of another one.
func (s *source) canName(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		return true
	case *types.Named:
		p := t.Obj().Pkg()
		// The arguments of an instantiated type must be named as well.
		return (p == nil || p == s.pkg.types || t.Obj().Exported() && mayImport(s.pkg.path, p.Path())) &&
			!slices.ContainsFunc(slices.Collect(t.TypeArgs().Types()), func(a types.Type) bool { return !s.canName(a) })
	case *types.Pointer:
		return s.canName(t.Elem())
	case *types.Slice:
		return s.canName(t.Elem())
	case *types.Array:
		return s.canName(t.Elem())
	case *types.Map:
		return s.canName(t.Key()) && s.canName(t.Elem())
	}
	return false
}

// mayImport reports whether a package may import another, which it may not if
// that is internal elsewhere.
func mayImport(from, path string) bool {
	// The rule of the go command: what is below internal can be imported
	// below the parent of internal.
	i := strings.LastIndex("/"+path+"/", "/internal/")
	if i < 0 {
		return true
	}
	parent := strings.TrimSuffix(path[:i], "/")
	return from == parent || strings.HasPrefix(from, parent+"/")
}
