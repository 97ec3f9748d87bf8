package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/printer"
	"slices"
	"strings"
)

// minDuplicate is how many lines a body has, braces included, below which equal
// ones are no duplicates.
const minDuplicate = 5

// duplicates finds functions whose bodies are equal word for word, tests
// included. It counts the places of each. Examples do not count, since they cannot
// show their readers a function of an internal package.
func duplicates(t tree) []count {
	places := map[string][]string{}
	for _, f := range slices.Concat(t.files, t.tests) {
		if strings.HasPrefix(f.path, "examples/") {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			var body bytes.Buffer
			if err := printer.Fprint(&body, f.fset, fn.Body); err != nil {
				continue // what has been parsed can be printed
			}
			if bytes.Count(body.Bytes(), []byte("\n"))+1 >= minDuplicate {
				places[body.String()] = append(places[body.String()], fmt.Sprintf("%s %s", f.place(fn), fn.Name.Name))
			}
		}
	}
	var cs []count
	for _, ps := range places {
		if len(ps) > 1 {
			slices.Sort(ps)
			cs = append(cs, count{strings.Join(ps, ", "), len(ps)})
		}
	}
	return descending(cs)
}
