package main

import (
	"cmp"
	"go/ast"
	"slices"
	"strings"
)

// A count is something that is counted, with the number.
type count struct {
	what string
	n    int
}

// descending sorts the largest first, and by name what is equal.
func descending(cs []count) []count {
	slices.SortFunc(cs, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.n, a.n), strings.Compare(a.what, b.what))
	})
	return cs
}

// over returns those above limit.
func over(cs []count, limit int) []count {
	return slices.DeleteFunc(slices.Clone(cs), func(c count) bool { return c.n <= limit })
}

// public reports whether others may import the package in a folder: it is no
// command, and neither internal nor an example.
func public(f file) bool {
	if f.ast.Name.Name == "main" {
		return false
	}
	for part := range strings.SplitSeq(f.dir(), "/") {
		if part == "internal" || part == "examples" {
			return false
		}
	}
	return true
}

// exported counts the exported top-level names of each public package:
// constants, variables, functions and types, without methods and fields. "." is
// the root.
func exported(t tree) []count {
	names := map[string]map[string]bool{} // the same name may stand in files for several platforms
	for _, f := range t.files {
		if !public(f) {
			continue
		}
		in := names[f.dir()]
		if in == nil {
			in = map[string]bool{}
			names[f.dir()] = in
		}
		for _, id := range declared(f.ast) {
			if id.IsExported() {
				in[id.Name] = true
			}
		}
	}
	var cs []count
	for dir, in := range names {
		cs = append(cs, count{dir, len(in)})
	}
	return descending(cs)
}

// declared returns the names that a file declares at the top level, without
// methods.
func declared(f *ast.File) []*ast.Ident {
	var ids []*ast.Ident
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				ids = append(ids, d.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					ids = append(ids, s.Name)
				case *ast.ValueSpec:
					ids = append(ids, s.Names...)
				}
			}
		}
	}
	return ids
}

// structs counts the fields of each named struct: an embedded one is one field,
// and so is one that is a struct itself.
func structs(t tree) []count {
	var cs []count
	for _, f := range t.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				cs = append(cs, count{f.place(spec) + " " + spec.Name.Name, s.Fields.NumFields()})
			}
			return true
		})
	}
	return descending(cs)
}

// spread counts the files in which methods of each type stand.
func spread(t tree) []count {
	files := map[string]map[string]bool{}
	for _, f := range t.files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			name := f.dir() + " " + receiver(fn)
			if files[name] == nil {
				files[name] = map[string]bool{}
			}
			files[name][f.path] = true
		}
	}
	var cs []count
	for name, in := range files {
		cs = append(cs, count{name, len(in)})
	}
	return descending(cs)
}

// receiver returns the name of the type that a method belongs to.
func receiver(fn *ast.FuncDecl) string {
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return "?"
		}
	}
}

// functions counts the lines of each function and method, from "func" to the
// closing brace.
func functions(t tree) []count {
	var cs []count
	for _, f := range t.files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := fn.Name.Name
			if fn.Recv != nil {
				name = receiver(fn) + "." + name
			}
			lines := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1
			cs = append(cs, count{f.place(fn) + " " + name, lines})
		}
	}
	return descending(cs)
}

// fileLines counts the lines of each file.
func fileLines(t tree) []count {
	var cs []count
	for _, f := range t.files {
		cs = append(cs, count{f.path, len(f.text)})
	}
	return descending(cs)
}

// rooms counts the files of each way.
func rooms(t tree) []count {
	var cs []count
	for _, w := range t.ways {
		cs = append(cs, count{w.name, len(w.files)})
	}
	return descending(cs)
}
