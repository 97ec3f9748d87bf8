package rpcnet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// leftOut reports whether a folder holds no pages of ours: test data, packages of npm, and
// what git and editors keep.
func leftOut(folder string) bool {
	return folder == "testdata" || folder == "node_modules" || strings.HasPrefix(folder, ".")
}

// A page that names a test promises that there is one.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	exists := map[string]bool{}
	var pages []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && leftOut(d.Name()):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".md"):
			pages = append(pages, path)
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range declared.FindAllSubmatch(text, -1) {
				exists[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllSubmatch(text, -1) {
			found++
			if !exists[string(m[1])] {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no page names a test: the pattern is wrong")
	}
}

// A page that names "cluster.Config" means an exported name of that package.
func TestDocumentsNameWhatPackagesExport(t *testing.T) {
	t.Parallel()
	exports := map[string]map[string]bool{}
	for name, dir := range map[string]string{
		"rpcnet": ".", "cluster": "cluster", "workers": "workers", "balance": "workers/balance", "director": "director",
		"rpctest": "rpctest", "prom": "cluster/prom", "codegen": "codegen", "cbor": "codegen/cbor", "schema": "codegen/schema", "stub": "codegen/stub",
	} {
		exports[name] = exported(t, dir)
	}
	code, named := regexp.MustCompile("`([^`\n]+)`"), regexp.MustCompile(`(?:^|[^\w.])([a-z]+)\.([A-Z]\w*)`)
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && leftOut(d.Name()):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".md"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, span := range code.FindAllSubmatch(text, -1) {
			for _, m := range named.FindAllSubmatch(span[1], -1) {
				names, ok := exports[string(m[1])]
				if !ok {
					continue
				}
				found++
				if !names[string(m[2])] {
					t.Errorf("%s names %s.%s, which is not exported", path, m[1], m[2])
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("found %d names: the pattern is wrong", found)
	}
}

// exported returns the exported top-level names of the package in a folder.
func exported(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				names[decl.Name.Name] = names[decl.Name.Name] || decl.Recv == nil
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						names[spec.Name.Name] = true
					case *ast.ValueSpec:
						for _, id := range spec.Names {
							names[id.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}
