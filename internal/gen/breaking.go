package gen

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A Break is a change of a contract that programs built before it cannot
// understand.
type Break struct {
	File    string // the generated file
	Where   string // "inference.v1.Inference/Info", "Token.text"
	What    string
	Warning bool // programs go on, but may miss something
}

// String returns "where: what".
func (b Break) String() string {
	if b.Warning {
		return "warning: " + b.Where + ": " + b.What
	}
	return b.Where + ": " + b.What
}

// Breaking compares the generated files in res with those of a git revision,
// by their descriptors. Files and services that the revision does not have are
// new. What the revision has in the folders that the patterns match, and res
// has not, is gone, be it with its definition, its file or its folder; unless
// another package has the service now.
func Breaking(res *Result, rev string) ([]Break, error) {
	now, all := map[string]services{}, services{}
	for _, f := range res.Files {
		ss, err := descriptors(f.Src)
		if err != nil {
			return nil, err
		}
		dir := filepath.Dir(f.Name)
		if now[dir] == nil {
			now[dir] = services{}
		}
		// A service may move from one file of its package to another.
		maps.Copy(now[dir], ss)
		maps.Copy(all, ss)
	}
	dirs, err := foldersAt(res.opts, rev)
	if err != nil {
		return nil, err
	}
	for dir := range now {
		dirs[dir] = true
	}
	var out []Break
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		other, err := unread(dir, res.Files)
		if err != nil {
			return nil, err
		}
		old, names, err := atRevision(dir, rev)
		if err != nil {
			return nil, err
		}
		for _, service := range slices.Sorted(maps.Keys(old)) {
			file := names[service]
			s := cmp.Or(now[dir][service], other[service], all[service])
			if s == nil {
				out = append(out, Break{File: file, Where: service, What: "the service is gone; its callers get Unimplemented"})
				continue
			}
			c := comparison{file: file, old: old[service], now: s, seen: map[string]bool{}}
			c.service()
			out = append(out, c.out...)
		}
	}
	return out, nil
}

// A comparison collects the breaks of one service.
type comparison struct {
	file     string
	old, now *schema.Schema
	seen     map[string]bool // pairs of types
	out      []Break
}

func (c *comparison) report(warning bool, where, format string, a ...any) {
	c.out = append(c.out, Break{c.file, where, fmt.Sprintf(format, a...), warning})
}

func (c *comparison) service() {
	for _, old := range c.old.Methods {
		where := c.old.Service + "/" + old.Name
		i := slices.IndexFunc(c.now.Methods, func(m *schema.Method) bool { return m.Name == old.Name })
		if i < 0 {
			c.report(false, where, "the method is gone; if it was renamed, keep its wire name with //rpcnet:name %s", old.Name)
			continue
		}
		now := c.now.Methods[i]
		if now.Shape != old.Shape {
			c.report(false, where, "was %s, is %s", old.Shape, now.Shape)
			continue
		}
		c.ref(where+" request", old.Request, now.Request)
		c.ref(where+" response", old.Response, now.Response)
		if weaker(now.Idempotency, old.Idempotency) {
			c.report(true, where, "was %s, is %s: callers that were built before go on repeating it", orNone(old.Idempotency), orNone(now.Idempotency))
		}
	}
	if c.old.ErrorsName == "" {
		return
	}
	if c.now.ErrorsName != c.old.ErrorsName {
		c.report(false, c.old.Service, "error union %s is gone or has another name; keep it with //rpcnet:name %s", c.old.ErrorsName, c.old.ErrorsName)
		return
	}
	c.ref(c.old.Service+" errors", c.old.Errors, c.now.Errors)
}

func orNone(s string) string {
	if s == "" {
		return "neither idempotent nor nosideeffects"
	}
	return s
}

func weaker(now, old string) bool {
	rank := map[string]int{"": 0, "idempotent": 1, "nosideeffects": 2}
	return rank[now] < rank[old]
}

// ref compares two references to types.
func (c *comparison) ref(where, old, now string) {
	if c.seen[old+"\x00"+now] {
		return
	}
	c.seen[old+"\x00"+now] = true
	o, n := c.old.Types[old], c.now.Types[now]
	if o != nil && o.Kind == "enum" {
		old, o = o.Base, nil
	}
	if n != nil && n.Kind == "enum" {
		now, n = n.Base, nil
	}
	switch {
	case o != nil && n != nil && o.Kind == n.Kind:
		c.named(old, o, n)
	case o != nil || n != nil:
		// One of them may be the optional of the other: null is accepted
		// where a field is.
		if strings.TrimPrefix(old, "?") != old || strings.TrimPrefix(now, "?") != now {
			c.ref(where, strings.TrimPrefix(old, "?"), strings.TrimPrefix(now, "?"))
			return
		}
		c.report(false, where, "was %s, is %s", old, now)
	default:
		c.plain(where, old, now)
	}
}

func (c *comparison) plain(where, old, now string) {
	if old == now && !strings.ContainsAny(old, "?[") {
		return
	}
	if o, n := strings.TrimPrefix(old, "?"), strings.TrimPrefix(now, "?"); o != old || n != now {
		c.ref(where, o, n)
		return
	}
	oh, oe := splitRef(old)
	nh, ne := splitRef(now)
	switch {
	case oh != "" && oh == nh:
		c.ref(where, oe, ne)
	case old == now:
	case wider(old, now):
		c.report(true, where, "was %s, is %s: programs built before refuse values that do not fit", old, now)
	default:
		c.report(false, where, "was %s, is %s", old, now)
	}
}

// splitRef returns the outer part of a reference, "[]", "[4]" or "map[int]",
// and what it holds.
func splitRef(ref string) (head, elem string) {
	if !strings.HasPrefix(ref, "[") && !strings.HasPrefix(ref, "map[") {
		return "", ref
	}
	i := strings.Index(ref, "]")
	return ref[:i+1], ref[i+1:]
}

// wider reports whether all values of old are values of now on the wire.
func wider(old, now string) bool {
	size := map[string]int{
		"int8": 8, "int16": 16, "int32": 32, "int64": 64, "int": 64,
		"uint8": -8, "uint16": -16, "uint32": -32, "uint64": -64, "uint": -64, "duration": 64,
		"float32": 132, "float64": 164,
	}
	o, n := size[old], size[now]
	switch {
	case o == 0 || n == 0:
		return false
	case n > 100: // integers are read as floats where they are exact
		return o > 100 && o <= n || n == 164 && o <= 32 && o >= -32
	case o > 100:
		return false
	case n < 0:
		return o < 0 && o >= n
	case o < 0:
		return -o < n
	}
	return o <= n
}

// named compares two structs or two unions.
func (c *comparison) named(name string, old, now *schema.Type) {
	if old.Kind == "union" {
		for _, v := range old.Variants {
			i := slices.IndexFunc(now.Variants, func(n schema.Field) bool { return n.Name == v.Name })
			if i < 0 {
				c.report(false, name+"."+v.Name, "the variant is gone; if it was renamed, keep its wire name with //rpcnet:name %s", v.Name)
				continue
			}
			c.ref(name+"."+v.Name, v.Type, now.Variants[i].Type)
		}
		return
	}
	for _, f := range old.Fields {
		where := name + "." + f.Name
		i := slices.IndexFunc(now.Fields, func(n schema.Field) bool {
			return f.Key == 0 && n.Key == 0 && n.Name == f.Name || f.Key != 0 && n.Key == f.Key
		})
		if i < 0 {
			what, tag := "wire name", f.Name
			if f.Key != 0 {
				what, tag = "number", fmt.Sprintf("%s,key=%d", f.Name, f.Key)
			}
			c.report(false, where, "the field is gone; if it was renamed, keep its %s with the tag `rpc:%q`", what, tag)
			continue
		}
		n := now.Fields[i]
		c.ref(where, f.Type, n.Type)
		if n.Max > 0 && (f.Max == 0 || n.Max < f.Max) {
			c.report(true, where, "max was %d, is %d: longer values are refused", f.Max, n.Max)
		}
	}
}
