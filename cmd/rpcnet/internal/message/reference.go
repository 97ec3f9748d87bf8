// Package message makes requests of the words of a command line, completes
// responses, and writes examples, all by a descriptor (package schema). It is pure:
// files are read by a function that the caller gives.
package message

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// maxDepth is how deep messages nest that this package makes. A type can contain
// itself.
const maxDepth = 32

// A reference is a type, taken apart.
type reference struct {
	form string // of those below, or the name of a type without parts
	elem string // the type within
	key  string // of a map
	n    int    // length of an array
	typ  *schema.Type
}

// The forms of a reference that are not the name of a type without parts.
const (
	formOptional = "?"
	formList     = "[]"
	formArray    = "[N]"
	formMap      = "map"
	formStruct   = "struct"
	formUnion    = "union"
	formEnum     = "enum"
)

// resolve takes a reference apart. The descriptor has been checked by schema.Parse.
func resolve(s *schema.Schema, ref string) reference {
	if elem, ok := strings.CutPrefix(ref, "?"); ok {
		return reference{form: formOptional, elem: elem}
	}
	if elem, ok := strings.CutPrefix(ref, "[]"); ok {
		return reference{form: formList, elem: elem}
	}
	if rest, ok := strings.CutPrefix(ref, "map["); ok {
		key, elem, _ := strings.Cut(rest, "]")
		return reference{form: formMap, key: key, elem: elem}
	}
	if rest, ok := strings.CutPrefix(ref, "["); ok {
		digits, elem, _ := strings.Cut(rest, "]")
		n, _ := strconv.Atoi(digits)
		if elem == "byte" {
			return reference{form: "bytes", n: n}
		}
		return reference{form: formArray, elem: elem, n: n}
	}
	if t, ok := s.Types[ref]; ok && t != nil {
		return reference{form: t.Kind, typ: t}
	}
	return reference{form: ref}
}

// field returns the field of a struct, or the variant of a union, and where it is
// missing an error that lists those that there are.
func (r reference) field(ref, name string) (*schema.Field, error) {
	fields := r.typ.Fields
	if r.form == formUnion {
		fields = r.typ.Variants
	}
	var names []string
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i], nil
		}
		names = append(names, fields[i].Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no field %q: %s has none", name, ref)
	}
	return nil, fmt.Errorf("no field %q in %s: it has %s", name, ref, strings.Join(names, ", "))
}
