package gen

import (
	"go/token"
)

// claims are the names of a package that are taken by what is generated.
type claims struct {
	*source
	taken   map[string]claim
	clashes map[[2]token.Pos]bool // reported pairs of claims
}

// A claim says for what a name is generated.
type claim struct {
	of  string
	pos token.Pos
}

// newClaims returns claims without a name.
func newClaims(s *source) *claims {
	return &claims{source: s, taken: map[string]claim{}, clashes: map[[2]token.Pos]bool{}}
}

// claim reserves a name of the package for what is generated. It reports one
// that the package declares itself, or that something else has claimed; and the
// latter once for two declarations, which may have several names in common.
//
// The position is that of the declaration for which the name is generated. It
// is reported where it can be mended: at the name that the user chose.
func (c *claims) claim(name, of string, pos token.Pos) {
	// The package was read without what is generated, so that what it has
	// is written by hand.
	if o := c.pkg.types.Scope().Lookup(name); o != nil {
		c.errorf(o.Pos(), "%s is the name of what is generated for %s at %s: rename it", name, of, c.short(pos))
	}
	other, ok := c.taken[name]
	if !ok {
		c.taken[name] = claim{of, pos}
		return
	}
	if pair := [2]token.Pos{other.pos, pos}; !c.clashes[pair] {
		c.clashes[pair] = true
		c.errorf(pos, "%s would be generated for %s and for %s at %s: rename one of them", name, of, other.of, c.short(other.pos))
	}
}

// service claims the names of what is generated for a service.
//
// Fields and methods of what is generated need no claim: they are in a type of
// their own.
func (c *claims) service(s *service) {
	lower := lowerFirst(s.name)
	// Exported names of a service, and the variables with its name in small
	// letters.
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
		c.members(s, m)
	}
}

// members reports methods of a service that have the name of a member that is
// generated for method m: of its client, or of its fake.
//
// A client has a method MStream for each method M with a stream, and a fake a
// field MFunc for each method M.
func (c *claims) members(s *service, m *method) {
	for _, o := range s.methods {
		if o.name == m.name+"Stream" && (m.reqStream || m.resStream) {
			c.errorf(o.pos, "%s.%s is the name of the stream handle of %s at %s: rename it", s.name, o.name, m.name, c.short(m.pos))
		}
		if o.name == m.name+"Func" {
			c.errorf(o.pos, "%s.%s is the name of the field of %sFuncs for %s at %s: rename it", s.name, o.name, s.name, m.name, c.short(m.pos))
		}
	}
}

// union claims the names of what is generated for a union.
func (c *claims) union(u *union) {
	name := u.obj.Name()
	c.claim("Unknown"+name, name, u.pos)
	// An unexported union has unexported functions, whose names give way by
	// themselves: see newName.
	if u.obj.Exported() {
		c.claim("Append"+name+"CBOR", name, u.pos)
		c.claim("Decode"+name+"CBOR", name, u.pos)
	}
}
