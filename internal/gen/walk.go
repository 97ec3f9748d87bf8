package gen

import (
	"go/token"
	"go/types"
	"strings"
)

// A site says where a type is used, for error messages.
type site struct {
	pos  token.Pos
	path string
}

// in returns the site of a field. Fields of other packages keep the position
// of the field of this package that leads to them.
func (s site) in(f *field) site {
	if f.local {
		s.pos = f.pos
	}
	s.path += "." + f.path
	return s
}

// walk validates everything reachable from t.
func (c *checker) walk(t types.Type, s site) {
	switch u := types.Unalias(t).(type) {
	case *types.Named:
		c.walkNamed(u, s)
	case *types.Pointer:
		if _, ok := types.Unalias(u.Elem()).Underlying().(*types.Pointer); ok {
			c.errorf(s.pos, "%s: pointer to pointer %s has no wire form", s.path, c.str(t))
			return
		}
		if types.IsInterface(u.Elem()) {
			c.errorf(s.pos, "%s: pointer to interface %s has no wire form: a union can be nil by itself", s.path, c.str(t))
			return
		}
		c.walk(u.Elem(), s)
	case *types.Slice:
		c.walk(u.Elem(), s)
	case *types.Array:
		c.walk(u.Elem(), s)
	case *types.Map:
		b, ok := u.Key().Underlying().(*types.Basic)
		if !ok || b.Info()&(types.IsString|types.IsInteger) == 0 || b.Kind() == types.Uintptr {
			c.errorf(s.pos, "%s: map key %s: want a string or an integer type", s.path, c.str(u.Key()))
		} else {
			c.walk(u.Key(), s)
		}
		c.walk(u.Elem(), s)
	case *types.Struct:
		c.errorf(s.pos, "%s: anonymous struct: give it a name", s.path)
	case *types.Basic:
		switch {
		case u.Kind() == types.Invalid: // the type checker has said so
		case u.Kind() == types.Uintptr, u.Kind() == types.UnsafePointer, u.Info()&types.IsComplex != 0:
			c.errorf(s.pos, "%s: type %s has no wire form", s.path, c.str(t))
		}
	case *types.Chan:
		c.errorf(s.pos, "%s: type %s has no wire form; streams are parameters and results of methods, not fields", s.path, c.str(t))
	case *types.Signature:
		c.errorf(s.pos, "%s: type %s has no wire form", s.path, c.str(t))
	case *types.Interface:
		if u.Empty() {
			c.errorf(s.pos, "%s: type any has no wire form: use a union, or cbor.Raw", s.path)
		} else {
			c.errorf(s.pos, "%s: anonymous interface has no wire form: use a union", s.path)
		}
	case *types.TypeParam:
		c.errorf(s.pos, "%s: type parameter %s is not instantiated", s.path, u)
	}
}

func (c *checker) walkNamed(n *types.Named, s site) {
	key := types.TypeString(n, nil)
	if c.walked[key] {
		return
	}
	if n.Obj().Pkg() == c.pkg.types && isLocalName(n.Obj().Name()) {
		c.errorf(s.pos, "%s: type %s has the name of a variable in generated code: rename it", s.path, n.Obj().Name())
		return
	}
	switch p := n.Obj().Pkg(); {
	case p == nil || p == c.pkg.types:
	case !n.Obj().Exported():
		c.errorf(s.pos, "%s: type %s is not exported by its package", s.path, c.str(n))
		return
	case !mayImport(c.pkg.path, p.Path()):
		c.errorf(s.pos, "%s: type %s is of the internal package %s, which this one may not import", s.path, c.str(n), p.Path())
		return
	}
	if nested(n) > maxTypeArgs {
		path := s.path[:min(len(s.path), 60)]
		c.errorf(s.pos, "%s...: type arguments of %s nest without end", path, n.Obj().Name())
		return
	}
	switch u := n.Underlying().(type) {
	case *types.Interface:
		un := c.unionOf(n, s.pos)
		switch {
		case isError(n):
			c.errorf(s.pos, "%s: error has no wire form: use string, or return it as the method's error", s.path)
		case c.broken[n.Obj()]:
		case un != nil && un.isError && un.foreign:
			c.errorf(s.pos, "%s: error union %s of another package cannot be a field", s.path, c.str(n))
		case un != nil:
			if un.foreign {
				c.walked[key] = true
			}
		case u.Empty():
			c.errorf(s.pos, "%s: type any has no wire form: use a union, or cbor.Raw", s.path)
		case n.Obj().Pkg() != nil && n.Obj().Pkg() != c.pkg.types:
			c.errorf(s.pos, "%s: interface %s is not marked //rpcnet:union in a *%s file of its package", s.path, c.str(n), defSuffix)
		default:
			c.errorf(s.pos, "%s: interface %s is not marked //rpcnet:union", s.path, c.str(n))
		}
		return
	case *types.Struct:
		if special(n) != "" {
			if by := embeddedForm(n); by != "" && u.NumFields() > 1 && n.Obj().Pkg() == c.pkg.types {
				c.errorf(s.pos, "%s: type %s has the methods of %s, which it embeds, and would be sent as that alone, without its other fields: give the field a name",
					s.path, c.str(n), by)
			}
			return
		}
		c.walked[key] = true
		// What a struct holds is reached through a function of its own.
		outer := c.walking
		c.walking = map[string]bool{}
		defer func() { c.walking = outer }()
		for _, f := range c.fields(n, s) {
			c.walk(f.typ, s.in(f))
		}
	default:
		if special(n) != "" {
			return
		}
		if c.walking[key] { // type T []T
			c.errorf(s.pos, "%s: type %s contains itself without a struct in between: make it a struct with one field", s.path, c.str(n))
			return
		}
		c.walking[key] = true
		defer delete(c.walking, key)
		c.walk(u, s)
	}
}

// mayImport reports whether a package may import another, which it may not if
// that is internal elsewhere.
func mayImport(from, path string) bool {
	i := strings.LastIndex("/"+path+"/", "/internal/")
	if i < 0 {
		return true
	}
	parent := strings.TrimSuffix(path[:i], "/")
	return from == parent || strings.HasPrefix(from, parent+"/")
}

// maxTypeArgs is how deep type arguments may nest: a generic type that refers
// to itself with larger arguments has no end.
const maxTypeArgs = 20

// nested returns how deep the type arguments of t nest.
func nested(t types.Type) int {
	switch u := types.Unalias(t).(type) {
	case *types.Named:
		deepest := 0
		for a := range u.TypeArgs().Types() {
			deepest = max(deepest, 1+nested(a))
		}
		return deepest
	case *types.Pointer:
		return 1 + nested(u.Elem())
	case *types.Slice:
		return 1 + nested(u.Elem())
	case *types.Array:
		return 1 + nested(u.Elem())
	case *types.Map:
		return 1 + max(nested(u.Key()), nested(u.Elem()))
	}
	return 0
}
