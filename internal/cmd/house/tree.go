package main

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A tree is the code of a module, without generated files, testdata and nested
// modules. Paths are relative to the module's root, with slashes.
type tree struct {
	files []file
	tests []file // the _test.go files, which only duplicates looks at
	ways  []way  // of ARCHITECTURE.md; nil: there is no such page
}

// A file is one Go file.
type file struct {
	path string
	text []string // its lines
	fset *token.FileSet
	ast  *ast.File
}

// dir returns the folder of the file, "." for the root.
func (f file) dir() string { return path.Dir(f.path) }

// place returns the path and the line of a node.
func (f file) place(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.path, f.fset.Position(n.Pos()).Line)
}

// readTree reads the module in the folder dir.
func readTree(dir string) (tree, error) {
	var t tree
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir() && rel != "." && skipped(name, d.Name()):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(rel, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := parseFile(rel, text)
		switch {
		case err != nil || ast.IsGenerated(f.ast):
		case strings.HasSuffix(rel, "_test.go"):
			t.tests = append(t.tests, f)
		default:
			t.files = append(t.files, f)
		}
		return err
	})
	if err != nil {
		return t, err
	}
	page, err := os.Open(filepath.Join(dir, "ARCHITECTURE.md"))
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	defer page.Close()
	lines := bufio.NewScanner(page)
	t.ways = readWays(lines)
	return t, lines.Err()
}

// skipped reports whether a folder is none of the module's code.
func skipped(path, name string) bool {
	if name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// parseFile parses the text of a Go file.
func parseFile(path string, text []byte) (file, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	return file{path: path, text: lines, fset: fset, ast: f}, nil
}
