package gen

import (
	"fmt"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
)

// A claim says for what a name is generated.
type claim struct {
	of  string
	pos token.Pos
}

// claim reserves a name of the package for what is generated. It reports one
// that the package declares itself, or that something else has claimed; and the
// latter once for two declarations, which may have several names in common.
func (c *checker) claim(name, of string, pos token.Pos) {
	if o := c.pkg.types.Scope().Lookup(name); o != nil {
		c.errorf(o.Pos(), "%s is the name of what is generated for %s at %s: rename it", name, of, short(c.fset.Position(pos)))
	}
	other, ok := c.taken[name]
	if !ok {
		c.taken[name] = claim{of, pos}
		return
	}
	if pair := [2]token.Pos{other.pos, pos}; !c.clashes[pair] {
		c.clashes[pair] = true
		c.errorf(pos, "%s would be generated for %s and for %s at %s: rename one of them", name, of, other.of, short(c.fset.Position(other.pos)))
	}
}

// names reports names that two services share on the wire, and generated names
// that are not free.
func (c *checker) names() {
	byWire := map[string]*service{}
	for _, s := range c.services {
		if o := byWire[s.wire]; o != nil {
			c.errorf(s.pos, "service name %q already used by %s at %s", s.wire, o.name, short(c.fset.Position(o.pos)))
		}
		byWire[s.wire] = s
		lower := lowerFirst(s.name)
		for _, n := range []string{s.name + "Client", "New" + s.name + "Client", "Register" + s.name, "Unimplemented" + s.name,
			s.name + "Funcs", s.name + "Name", s.name + "Descriptor", lower + "Schema"} {
			c.claim(n, s.name, s.pos)
		}
		if s.errors != nil {
			c.claim(lower+"Errors", s.name, s.pos)
		}
		for _, m := range s.methods {
			c.claim(s.name+m.name+"Procedure", s.name+"."+m.name, m.pos)
			c.claim(s.specName(m), s.name+"."+m.name, m.pos)
			for _, o := range s.methods {
				if o.name == m.name+"Stream" && (m.reqStream || m.resStream) {
					c.errorf(o.pos, "%s.%s is the name of the stream handle of %s at %s: rename it", s.name, o.name, m.name, short(c.fset.Position(m.pos)))
				}
				if o.name == m.name+"Func" {
					c.errorf(o.pos, "%s.%s is the name of the field of %sFuncs for %s at %s: rename it", s.name, o.name, s.name, m.name, short(c.fset.Position(m.pos)))
				}
			}
		}
	}
	for _, u := range c.order {
		name := u.obj.Name()
		c.claim("Unknown"+name, name, u.pos)
		if u.obj.Exported() {
			c.claim("Append"+name+"CBOR", name, u.pos)
			c.claim("Decode"+name+"CBOR", name, u.pos)
		}
	}
	for _, n := range c.pkg.types.Scope().Names() {
		if types.Universe.Lookup(n) != nil {
			o := c.pkg.types.Scope().Lookup(n)
			c.errorf(o.Pos(), "%s hides Go's own %s, which generated code needs: rename it", n, n)
		}
	}
}

// A namespace gives the functions of codecs their names. The files of a package
// share one, so that each codec exists once; a file with a build constraint has
// its own, since the others may be compiled without it. A union has its
// functions in the file that declares it, and nowhere else.
type namespace struct {
	byType  map[string]string
	queued  map[string]bool // types whose functions are, or will be, written
	guarded map[string]bool // see guardKind
	suffix  string
}

// namespaces returns the namespaces of the definition files.
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

func newNamespace(suffix string) *namespace {
	return &namespace{byType: map[string]string{}, queued: map[string]bool{}, guarded: map[string]bool{}, suffix: suffix}
}

// fn returns the middle of the names of the functions for t, appendXCBOR and
// decodeXCBOR, and queues them.
func (e *emitter) fn(t types.Type) string {
	key := types.TypeString(t, nil)
	names, here := e.names, true
	if u := e.c.unions[types.Unalias(t).(*types.Named).Obj()]; u != nil && !u.foreign {
		names, here = e.spaces[u.file], u.file == e.def
	}
	n, ok := names.byType[key]
	if !ok {
		n = e.newName(names, t)
		names.byType[key] = n
	}
	if here && !names.queued[key] {
		names.queued[key] = true
		e.queue = append(e.queue, t)
	}
	return n
}

// newName returns a name for the functions of t that is free in the package.
func (e *emitter) newName(names *namespace, t types.Type) string {
	base := identifier(types.TypeString(t, func(p *types.Package) string {
		if p == e.c.pkg.types {
			return ""
		}
		return p.Name()
	}))
	taken := func(n string) bool {
		for _, space := range e.spaces {
			for _, v := range space.byType {
				if v == n {
					return true
				}
			}
		}
		for _, f := range []string{"append" + n + "CBOR", "append" + n + "CBORAt", "decode" + n + "CBOR", "fieldsOf" + n} {
			if _, claimed := e.c.taken[f]; claimed || e.c.pkg.types.Scope().Lookup(f) != nil {
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
func identifier(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool {
		return !(r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80)
	})
	for i, w := range words {
		words[i] = upperFirst(w)
	}
	return strings.Join(words, "")
}
