package gen

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A pkg is a type-checked package without function bodies and without what an
// earlier run generated.
//
// Two sorts of packages are checked: those that contracts are in, and those
// that these import, if they have no export data.
type pkg struct {
	name, path, dir, module string
	syntax                  []*ast.File
	types                   *types.Package
	info                    *types.Info
	errors                  []Diag
	syntaxErrors            bool
	checking                bool
	misnamed                []string // definition files, read or not
}

// A loader resolves imports for the type checker.
type loader struct {
	fset   *token.FileSet
	byPath map[string]*listed
	done   map[string]*pkg
	export types.Importer

	unlisted []string // see Options.unlisted
}

// load type-checks the packages that define contracts. Function bodies and
// earlier generated files are left out, so that neither stale output nor calls
// to code that does not exist yet get in the way. The packages themselves are
// never compiled; only what they import is, through the build cache.
//
// There are two runs of go list. The first finds the packages themselves,
// without their imports and without compiling anything: some milliseconds. The
// second, for the imports alone, compiles what the build cache does not have.
func load(o Options) ([]*pkg, *loader, error) {
	fields := "-json=Dir,ImportPath,Name,GoFiles,CgoFiles,IgnoredGoFiles,ImportMap,Module,Error"
	roots, err := golist(o, append([]string{"-find", fields, "--"}, o.Patterns...)...)
	if err != nil {
		return nil, nil, err
	}
	l := &loader{fset: token.NewFileSet(), byPath: map[string]*listed{}, done: map[string]*pkg{}}
	// A definition file can be for another platform by its name, so that go
	// list leaves out its folder. It would be silence where an error
	// belongs.
	if l.unlisted, err = o.unlisted(roots); err != nil {
		return nil, nil, err
	}
	imports := map[string]bool{}
	var keep []*listed
	for _, r := range roots {
		// A generated file that is a merge conflict sets Error as well.
		if r.Error != nil && len(r.files()) == 0 && !slices.ContainsFunc(r.IgnoredGoFiles, hasWrongName) {
			return nil, nil, errors.New(strings.TrimSpace(r.Error.Err))
		}
		// A single package that was asked for by name is read in any case.
		if len(roots) > 1 && !l.concerned(r) {
			continue // matched by a pattern: nothing to do
		}
		keep = append(keep, r)
		l.byPath[r.ImportPath] = r
		// Imports of all files: a type in a definition file can be
		// declared in another one.
		for _, f := range l.parse(r).syntax {
			for _, im := range f.Imports {
				if p, err := strconv.Unquote(im.Path.Value); err == nil && p != "C" && p != "unsafe" {
					imports[p] = true
				}
			}
		}
	}
	if len(imports) > 0 {
		fields = "-json=Dir,ImportPath,Name,Export,GoFiles,CgoFiles,ImportMap,Module"
		args := append([]string{"-export", "-deps", fields, "--"}, slices.Sorted(maps.Keys(imports))...)
		// -deps lists everything below, since export data refer to it.
		deps, err := golist(o, args...)
		if err != nil {
			return nil, nil, err
		}
		for _, d := range deps {
			// A root that another root imports is checked from its
			// source: its export data can be stale, or missing.
			if old := l.byPath[d.ImportPath]; old == nil || l.done[d.ImportPath] == nil {
				l.byPath[d.ImportPath] = d
			} else {
				old.Export = d.Export // imported by another root
			}
		}
	}
	// The standard library's importer reads the export data of the compiler
	// that go list has run.
	l.export = importer.ForCompiler(l.fset, "gc", func(path string) (io.ReadCloser, error) {
		if d := l.byPath[path]; d != nil && d.Export != "" {
			return os.Open(d.Export)
		}
		return nil, fmt.Errorf("no export data for %q", path)
	})
	var out []*pkg
	for _, r := range keep {
		out = append(out, l.check(r.ImportPath))
	}
	return out, l, nil
}

// concerned reports whether a package has a definition file, a generated one,
// or a directive in a file that is neither.
func (l *loader) concerned(r *listed) bool {
	for _, name := range append(r.files(), r.IgnoredGoFiles...) {
		if isDef(name) || isGen(name) && isMarked(filepath.Join(r.Dir, name)) {
			return true
		}
	}
	for _, name := range r.files() {
		// A directive in a file that is no definition file is a mistake
		// to report, and most files have none: the text is searched
		// before it is parsed.
		src, err := os.ReadFile(filepath.Join(r.Dir, name))
		if err != nil || isGen(name) || !mayHoldDirective.Match(src) {
			continue // without parsing it
		}
		for _, f := range l.parse(r).syntax {
			if hasDirective(f) {
				return true
			}
		}
		return false
	}
	return false
}

// parse parses the files of a package, once. Generated files are left out: they
// can be a merge conflict, and what they declare is written anew.
func (l *loader) parse(r *listed) *pkg {
	if p := l.done[r.ImportPath]; p != nil {
		return p
	}
	p := &pkg{name: r.Name, path: r.ImportPath, dir: r.Dir, module: r.module()}
	l.done[r.ImportPath] = p
	for _, name := range append(r.files(), r.IgnoredGoFiles...) {
		if hasWrongName(name) {
			p.misnamed = append(p.misnamed, filepath.Join(r.Dir, name))
		}
	}
	for _, name := range r.files() {
		if isGen(name) {
			continue
		}
		// A file with a syntax error gives what could be parsed, so
		// that the name of the package is known.
		f, err := parser.ParseFile(l.fset, filepath.Join(r.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		var list scanner.ErrorList
		switch {
		case errors.As(err, &list):
			p.syntaxErrors = true
			for _, e := range list {
				p.errors = append(p.errors, Diag{e.Pos, e.Msg})
			}
		case err != nil:
			p.syntaxErrors = true
			p.errors = append(p.errors, Diag{token.Position{Filename: filepath.Join(r.Dir, name)}, err.Error()})
		}
		if f != nil {
			p.syntax = append(p.syntax, f)
			p.name = f.Name.Name
		}
	}
	return p
}

// Import implements types.Importer for the packages that contracts import.
//
// In this order: export data, which is quick; the source, if there is none or
// it cannot be read.
func (l *loader) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	d := l.byPath[path]
	if d == nil {
		return nil, errors.New("not found")
	}
	if d.Export != "" {
		// Export data of another format than this program's Go reads, or
		// none: the source says the same.
		if p, err := l.export.Import(path); err == nil {
			return p, nil
		}
	}
	if len(d.files()) == 0 {
		return nil, errors.New("no Go files (try go mod tidy)")
	}
	// A package that is being checked has no types yet: it imports itself
	// over others.
	p := l.check(path)
	if p.types == nil {
		return nil, errors.New("import cycle")
	}
	return p.types, nil
}

// mappedImporter applies the import map of a package, for what the standard
// library vendors.
//
// In the standard library, golang.org/x/net is vendor/golang.org/x/net.
type mappedImporter struct {
	l *loader
	m map[string]string
}

// Import implements types.Importer.
func (i mappedImporter) Import(path string) (*types.Package, error) {
	if to, ok := i.m[path]; ok {
		path = to
	}
	return i.l.Import(path)
}

// check type-checks a package from its source, without function bodies: one
// that is to be generated, or one that does not compile because it waits for
// generation itself.
//
// Errors are collected and not fatal: the checker decides which of them matter.
func (l *loader) check(path string) *pkg {
	r := l.byPath[path]
	p := l.parse(r)
	if p.types != nil || p.checking {
		return p
	}
	p.checking = true
	cfg := types.Config{
		Importer: mappedImporter{l, r.ImportMap},
		// Bodies may use what is not generated yet.
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		Error: func(err error) {
			e, ok := err.(types.Error)
			if !ok {
				return
			}
			// The type checker tells a second position as an error
			// of its own that begins with a tab.
			if n := len(p.errors); n > 0 && strings.HasPrefix(e.Msg, "\t") {
				p.errors[n-1].Msg += "\n" + e.Msg // more about the one before
				return
			}
			p.errors = append(p.errors, Diag{e.Fset.Position(e.Pos), e.Msg})
		},
	}
	p.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}}
	p.types, _ = cfg.Check(path, l.fset, p.syntax, p.info)
	return p
}
