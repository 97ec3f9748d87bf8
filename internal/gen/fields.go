package gen

import (
	"cmp"
	"go/token"
	"go/types"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// fields lists the wire fields of a struct, embedded structs flattened, in the
// order in which they are encoded: that of RFC 8949, section 4.2.1. What is
// wrong with them is reported at s.
//
// For CBOR that is: shorter names first, then bytewise; or by number. Encoders
// write them in this order without sorting, and decoders expect it.
func (c *source) fields(n *types.Named, s site) []*field {
	// Of a struct of another package only the types matter: its tags are
	// not this package's to mend, and their positions are not shown.
	local := n.Obj().Pkg() == c.pkg.types
	// The struct is its own first part; others are those that it embeds.
	fs := &fieldSet{c: c, n: n, byName: map[string]*field{}, byKey: map[int]*field{}, seen: map[*types.Struct]bool{}}
	fs.add(n.Underlying().(*types.Struct), "", s, local)
	// Such a struct would be sent as an empty map, and come back without
	// its content. One without any fields is meant to be empty.
	if fs.hidden > 0 && len(fs.out) == 0 {
		c.errorf(s.pos, "%s: struct %s has only unexported fields; implement encoding.TextMarshaler and TextUnmarshaler, or export them", s.path, c.str(n))
	}
	// A map has keys of one kind: a decoder for text and numbers at once
	// would be slower for all.
	for _, f := range fs.out {
		if (f.key == 0) != (fs.out[0].key == 0) {
			c.errorf(f.pos, "%s.%s: give every field of %s a key= or none", s.path, f.path, c.str(n))
		}
	}
	slices.SortFunc(fs.out, func(a, b *field) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	return fs.out
}

// knownFields is fields for a struct that has been, or will be, walked: it
// reports nothing.
//
// Its result is the same each time, and made anew: it is asked for a few times
// for each struct.
func (c *source) knownFields(n *types.Named) []*field {
	// What is wrong has been reported by the walk: the fields are asked for
	// once more by the emitter.
	c.quiet++
	defer func() { c.quiet-- }()
	return c.fields(n, site{path: c.str(n)})
}

// fieldOf finds a field of a struct message by its Go name, or nil.
func (c *source) fieldOf(n types.Type, name string) *field {
	for _, f := range c.knownFields(n.(*types.Named)) {
		if f.path == name || strings.HasSuffix(f.path, "."+name) {
			return f
		}
	}
	return nil
}

// fieldHint suggests the field of a struct message that name was meant to be.
func (c *source) fieldHint(name string, n types.Type) string {
	var names []string
	for _, f := range c.knownFields(n.(*types.Named)) {
		names = append(names, f.obj.Name())
	}
	return didYouMean(name, names)
}

// A fieldSet collects the fields of one struct.
type fieldSet struct {
	c      *source
	n      *types.Named
	out    []*field
	byName map[string]*field
	byKey  map[int]*field
	seen   map[*types.Struct]bool
	hidden int
}

// add adds the fields of st, whose path begins with prefix. local says that the
// package at hand declares st, which is the struct itself or one that it
// embeds.
func (fs *fieldSet) add(st *types.Struct, prefix string, s site, local bool) {
	c := fs.c
	// A struct that embeds itself through a pointer is an error elsewhere,
	// and must not be an endless loop here.
	if fs.seen[st] {
		return
	}
	fs.seen[st] = true
	for i := range st.NumFields() {
		v := st.Field(i)
		tag := reflect.StructTag(st.Tag(i))
		rpc, hasRPC := tag.Lookup("rpc")
		pos := s.pos
		if local {
			pos = v.Pos()
		}
		// A tag such as rpc: "x" has no value for reflect, and would be
		// no tag without this.
		if !hasRPC && local && strings.Contains(string(tag), "rpc:") {
			c.errorf(pos, "%s.%s: malformed struct tag %q", s.path, v.Name(), string(tag))
			continue
		}
		// The name is that of the rpc tag, else that of the json tag,
		// else the Go name in snake_case. A tag of "-" leaves the field
		// out; `json:"-,"` is the name "-", as in encoding/json.
		name, opts, _ := strings.Cut(rpc, ",")
		json, jsonOpts, _ := strings.Cut(tag.Get("json"), ",")
		if !hasRPC && json == "-" && jsonOpts == "" || name == "-" {
			continue
		}
		if name == "" && json != "-" {
			name = json
		}
		// As in encoding/json, an embedded struct with a name in its
		// tag is a field as any other.
		if v.Embedded() && name == "" && fs.embedded(v, prefix, s, pos, local) {
			continue
		}
		if !v.Exported() {
			if hasRPC && local {
				c.errorf(pos, "%s.%s: rpc tag on an unexported field", s.path, v.Name())
			}
			fs.hidden++
			continue
		}
		if name == "" {
			name = snake(v.Name())
		}
		// Options of the json tag count only if there is no rpc tag:
		// omitempty has the same meaning, as far as the type allows it.
		f := &field{path: prefix + v.Name(), name: name, typ: v.Type(), pos: pos, local: local, obj: v}
		if !hasRPC {
			f.omit = slices.ContainsFunc(strings.Split(jsonOpts, ","), func(o string) bool { return o == "omitempty" || o == "omitzero" })
			f.omit = f.omit && canOmit(f.typ)
		}
		fs.options(f, opts, s)
		// Such a name would have to be escaped in JSON and in error
		// messages.
		if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == 0x7f }) {
			c.errorf(pos, "%s.%s: field name %q has a character that no name can have", s.path, f.path, name)
		}
		if o := fs.byName[name]; o != nil {
			c.errorf(pos, "%s.%s: field name %q already used by %s", s.path, f.path, name, o.path)
			continue
		}
		fs.byName[name] = f
		fs.out = append(fs.out, f)
	}
}

// embedded flattens an embedded struct; false if the field is one like others.
func (fs *fieldSet) embedded(v *types.Var, prefix string, s site, pos token.Pos, local bool) bool {
	c := fs.c
	t := types.Unalias(v.Type())
	// A nil pointer would leave out all of its fields, and a decoder would
	// have to allocate for the first of them that comes.
	if p, ok := t.(*types.Pointer); ok {
		if special(p.Elem()) != "" {
			return false
		}
		c.errorf(pos, "%s: embedded pointer *%s: embed by value, or name the field", s.path, c.str(p.Elem()))
		return true
	}
	st, ok := t.Underlying().(*types.Struct)
	if !ok || special(t) != "" {
		return false
	}
	// An alias of an anonymous struct has no name and no package.
	n, ok := t.(*types.Named)
	here := ok && n.Obj().Pkg() == c.pkg.types
	// The fields of an unexported embedded struct of another package can be
	// reached by promotion only.
	if v.Exported() || local {
		prefix += v.Name() + "."
	}
	fs.add(st, prefix, site{pos, s.path}, here)
	return true
}

// tagOptions are the options of an rpc tag, for hints.
var tagOptions = []string{"packed", "omitempty", "key", "max"}

// options reads the options of an rpc tag.
func (fs *fieldSet) options(f *field, opts string, s site) {
	c := fs.c
	// bad reports an error at the field, whichever struct it comes from.
	bad := func(format string, a ...any) {
		c.errorf(f.pos, "%s.%s: "+format, append([]any{s.path, f.path}, a...)...)
	}
	for o := range strings.SplitSeq(opts, ",") {
		key, value, hasValue := strings.Cut(o, "=")
		switch {
		case o == "":
		case o == "packed":
			// A typed array has a fixed size for each element (RFC
			// 8746): int and uint have not, and bytes are a byte
			// string already.
			sl, ok := f.typ.Underlying().(*types.Slice)
			if !ok || !isNumber(sl.Elem()) {
				bad("option packed needs a slice of int8 to int64, uint16 to uint64, float32 or float64, got %s", c.str(f.typ))
				continue
			}
			f.packed = true
		case o == "omitempty":
			if !canOmit(f.typ) {
				bad("option omitempty needs a comparable type or a method IsZero, got %s", c.str(f.typ))
				continue
			}
			f.omit = true
		case key == "key" && hasValue:
			// Two bytes hold every key, and head writes no more.
			k, err := strconv.Atoi(value)
			if err != nil || k < 1 || k > 65535 {
				bad("key=%s: want a number from 1 to 65535", value)
				continue
			}
			if dup := fs.byKey[k]; dup != nil {
				bad("key=%d already used by %s", k, dup.path)
			}
			f.key = k
			fs.byKey[k] = f
		case key == "max" && hasValue:
			m, err := strconv.Atoi(value)
			if err != nil || m < 1 {
				bad("max=%s: want a number above 0", value)
				continue
			}
			if !hasLength(f.typ) {
				bad("option max needs a string, a slice or a map, got %s", c.str(f.typ))
				continue
			}
			f.max = m
		default:
			bad("unknown tag option %q%s; there are packed, omitempty, key=N and max=N", o, didYouMean(key, tagOptions))
		}
	}
}

// hasLength reports whether max= can bound t.
func hasLength(t types.Type) bool {
	if s := special(t); s != "" {
		return false
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Info()&types.IsString != 0
	case *types.Slice, *types.Map:
		return true
	}
	return false
}

// canOmit reports whether emptiness of t can be tested.
func canOmit(t types.Type) bool {
	// A struct or an array is compared with its zero value; anything else
	// has nil, 0, "" or a length.
	switch t.Underlying().(type) {
	case *types.Struct, *types.Array:
		return implements(t, isZeroer) || types.Comparable(t)
	}
	return true
}
