package rpcnet_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// ARCHITECTURE.md names files and folders, and on the numbered lines a file with
// functions in it. All of them exist.
func TestArchitectureNamesWhatExists(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	step := regexp.MustCompile("^[0-9]+\\. `([^`]+\\.go)` ((?:`[^`]+`(?:, )?)+): ")
	quoted := regexp.MustCompile("`([^`]+)`")
	path := regexp.MustCompile(`^[\w./-]+$`)
	steps, paths := 0, 0
	for i, line := range strings.Split(string(page), "\n") {
		for _, m := range quoted.FindAllStringSubmatch(line, -1) {
			name := m[1]
			isPath := strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".md") || strings.Contains(name, "/")
			if !path.MatchString(name) || !isPath && !strings.HasPrefix(line, "| `") {
				continue
			}
			paths++
			if _, err := os.Stat(name); err != nil {
				t.Errorf("ARCHITECTURE.md:%d: there is no %s", i+1, name)
			}
		}
		m := step.FindStringSubmatch(line)
		if m == nil {
			if regexp.MustCompile(`^[0-9]+\. `).MatchString(line) {
				t.Errorf("ARCHITECTURE.md:%d: want \"N. `file.go` `Type.Method`, `function`: what\", got %q", i+1, line)
			}
			continue
		}
		steps++
		declared := functionsOf(t, m[1])
		for _, f := range quoted.FindAllStringSubmatch(m[2], -1) {
			if declared != nil && !declared[f[1]] {
				t.Errorf("ARCHITECTURE.md:%d: %s has no %s", i+1, m[1], f[1])
			}
		}
	}
	if steps < 30 || paths < 60 {
		t.Errorf("found %d steps and %d paths: the patterns are wrong", steps, paths)
	}
}

// functionsOf returns the functions of a file, methods as Type.Method; nil if it
// cannot be read, which is told elsewhere.
func functionsOf(t *testing.T, path string) map[string]bool {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	names := map[string]bool{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := fn.Name.Name
		if fn.Recv != nil {
			typ := fn.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			if id, ok := typ.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		names[name] = true
	}
	return names
}
