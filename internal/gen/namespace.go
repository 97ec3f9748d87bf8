package gen

import (
	"fmt"
	"go/types"
	"path/filepath"
	"strings"
)

// A namespace gives the functions of codecs their names. The files of a package
// share one, so that each codec exists once; a file with a build constraint has
// its own, since the others can be compiled without it. A union has its
// functions in the file that declares it, and nowhere else.
// A namespace belongs to one run: names are given in the order in which types
// are asked for, which is the same for the same sources.
type namespace struct {
	byType  map[string]string
	queued  map[string]bool // types whose functions are, or will be, written
	guarded map[string]bool // see guards
	suffix  string
}

// namespaces returns the namespaces of the definition files.
//
// The name of a function is append, or decode, the name of the type, and CBOR:
// appendTokenCBOR. A type of another package has the name of that in front,
// appendSharedAuditCBOR, and an instantiated one its arguments behind,
// appendPageStringCBOR. A name that is taken gets a number.
func (c *checker) namespaces() map[string]*namespace {
	out := map[string]*namespace{}
	shared := newNamespace("")
	for _, def := range c.defs {
		out[def] = shared
		if c.builds[def] != "" {
			out[def] = newNamespace("_" + identifier(strings.TrimSuffix(filepath.Base(def), defSuffix)))
		}
	}
	return out
}

// newNamespace returns an empty namespace whose names end in suffix.
func newNamespace(suffix string) *namespace {
	return &namespace{byType: map[string]string{}, queued: map[string]bool{}, guarded: map[string]bool{}, suffix: suffix}
}

// fn returns the middle of the names of the functions for t, appendXCBOR and
// decodeXCBOR, and queues them.
//
// All that asks for a function of a type goes through here: what is never asked
// for is never written.
func (w *codecWriter) fn(t types.Type) string {
	// Types are compared as text with full paths: instances of a generic
	// type are not one object.
	key := types.TypeString(t, nil)
	names, here := w.names, true
	if u := w.c.unions.byType[types.Unalias(t).(*types.Named).Obj()]; u != nil && !u.foreign {
		names, here = w.spaces[u.file], u.file == w.def
	}
	n, ok := names.byType[key]
	if !ok {
		n = w.newName(names, t)
		names.byType[key] = n
	}
	// A union that another file declares has its functions there.
	if here && !names.queued[key] {
		names.queued[key] = true
		w.queue = append(w.queue, t)
	}
	return n
}

// newName returns a name for the functions of t that is free in the package.
func (w *codecWriter) newName(names *namespace, t types.Type) string {
	base := identifier(types.TypeString(t, func(p *types.Package) string {
		if p == w.c.pkg.types {
			return ""
		}
		return p.Name()
	}))
	// All four names that are made of it must be free.
	taken := func(n string) bool {
		for _, space := range w.spaces {
			for _, v := range space.byType {
				if v == n {
					return true
				}
			}
		}
		for _, f := range []string{"append" + n + "CBOR", "append" + n + "CBORAt", "decode" + n + "CBOR", "fieldsOf" + n} {
			if _, claimed := w.c.claims.taken[f]; claimed || w.c.pkg.types.Scope().Lookup(f) != nil {
				return true
			}
		}
		return false
	}
	n := base + names.suffix
	for i := 2; taken(n); i++ {
		n = fmt.Sprintf("%s%d%s", base, i, names.suffix)
	}
	return n
}

// identifier joins the words of s, each with a capital.
//
// Of shared.Page[string] it makes SharedPageString.
func identifier(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool {
		return !(r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80)
	})
	for i, w := range words {
		words[i] = upperFirst(w)
	}
	return strings.Join(words, "")
}
