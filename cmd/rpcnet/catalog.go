package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A catalog knows the contracts of services.
type catalog interface {
	// services returns the names of all services, sorted.
	services(ctx context.Context) ([]string, error)
	// schema returns the contract of a service. The error says what would help.
	schema(ctx context.Context, service string) (*schema.Schema, error)
}

// A fileCatalog is the contracts in a file, by their names.
type fileCatalog struct {
	path    string
	schemas map[string]*schema.Schema
}

func (c *fileCatalog) services(context.Context) ([]string, error) {
	var names []string
	for name := range c.schemas {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (c *fileCatalog) schema(ctx context.Context, service string) (*schema.Schema, error) {
	if s, ok := c.schemas[service]; ok {
		return s, nil
	}
	names, _ := c.services(ctx)
	return nil, fmt.Errorf("%s has no service %q: it has %s", c.path, service, strings.Join(names, ", "))
}

// readCatalog reads the contracts in a file: a descriptor in JSON, a list of them, one
// after the other, or the Go file that rpcnet-gen has written.
func readCatalog(path string) (*fileCatalog, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var descriptors []string
	if strings.HasSuffix(path, ".go") {
		descriptors, err = goDescriptors(path, text)
	} else {
		descriptors, err = jsonDescriptors(text)
	}
	if err == nil && len(descriptors) == 0 {
		err = errors.New("no descriptor in it")
	}
	c := &fileCatalog{path, map[string]*schema.Schema{}}
	for _, d := range descriptors {
		if err != nil {
			break
		}
		var s *schema.Schema
		if s, err = schema.Parse(d); err == nil {
			c.schemas[s.Service] = s
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; want what \"rpcnet describe -o json\" prints, or a file that rpcnet-gen has written", path, err)
	}
	return c, nil
}

// jsonDescriptors returns the descriptors in a text: objects, or lists of them, one
// after the other.
func jsonDescriptors(text []byte) (descriptors []string, err error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	for d.More() {
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		var list []json.RawMessage
		if json.Unmarshal(v, &list) != nil {
			list = []json.RawMessage{v}
		}
		for _, v := range list {
			descriptors = append(descriptors, string(v))
		}
	}
	return descriptors, nil
}

// goDescriptors returns the values of the constants whose names end in Descriptor.
func goDescriptors(path string, text []byte) (descriptors []string, err error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, decl := range f.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			for i, name := range v.Names {
				if strings.HasSuffix(name.Name, "Descriptor") && i < len(v.Values) {
					if text, ok := literal(v.Values[i]); ok {
						descriptors = append(descriptors, text)
					}
				}
			}
		}
	}
	return descriptors, nil
}

// literal returns the value of string literals that are added.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		x, okX := literal(e.X)
		y, okY := literal(e.Y)
		return x + y, okX && okY && e.Op == token.ADD
	}
	return "", false
}

// splitProcedure takes "pkg.Service/Method" apart. A slash in front does not count.
func splitProcedure(text string) (service, method string, err error) {
	service, method, ok := strings.Cut(strings.TrimPrefix(text, "/"), "/")
	if !ok || service == "" || method == "" || strings.Contains(method, "/") {
		return "", "", usagef("%q is no procedure: want SERVICE/METHOD, such as greeting.v1.Greeting/Hello; \"rpcnet describe\" lists them", text)
	}
	return service, method, nil
}
