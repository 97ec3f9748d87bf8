package gen

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"
	"strings"

	"github.com/rpcnet-go/rpcnet/codegen/cbor"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// A comparison collects the breaks of one service: old is its descriptor at the
// revision, now the present one.
//
// What counts is what programs that were built before send, and what they can
// read: adding is no break, since fields that are not known are skipped, and
// those that are missing are zero.
type comparison struct {
	old, now *schema.Schema
	file     token.Position // of the definitions, for what has no place
	places   places
	seen     map[string]bool // pairs of named types: they may be recursive
	out      []Break
}

// A spot is a part of the contract that has a type: a field, a variant, or the
// message of a method. The references are to its whole type.
type spot struct {
	where    string // see Break.Where
	at       place
	old, now string // Go types
}

// at returns the place of the first part that has one.
//
// What is gone has no place: the caller then names what it was part of.
func (c *comparison) at(parts ...string) place {
	for _, p := range parts {
		if at, ok := c.places[p]; ok {
			return at
		}
	}
	return place{pos: c.file}
}

// report adds a break: programs that were built before fail, or take one thing
// for another.
func (c *comparison) report(at place, where, format string, a ...any) {
	c.out = append(c.out, Break{Pos: at.pos, Where: where, What: fmt.Sprintf(format, a...)})
}

// warn adds a warning: programs that were built before go on, as long as they
// meet no value that is new.
func (c *comparison) warn(at place, where, format string, a ...any) {
	c.out = append(c.out, Break{Pos: at.pos, Where: where, What: fmt.Sprintf(format, a...), Warning: true})
}

// changed reports that the type of a spot has changed.
func (c *comparison) changed(s spot) { c.report(s.at, s.where, "was %s, is %s", s.old, s.now) }

// service compares the methods and the error union of the service.
//
// Methods that are new are not looked at.
func (c *comparison) service() {
	name := c.old.Service
	for _, old := range c.old.Methods {
		where := name + "/" + old.Name
		// Names are what is sent: a method that has another Go name is
		// the same.
		i := slices.IndexFunc(c.now.Methods, func(m *schema.Method) bool { return m.Name == old.Name })
		if i < 0 {
			c.report(c.at(name), where, "the method is gone; if it was renamed, keep its wire name with //rpcnet:name %s", old.Name)
			continue
		}
		c.method(where, old, c.now.Methods[i])
	}
	switch {
	// A service that has no typed errors may get some.
	case c.old.ErrorsName == "":
	case c.now.ErrorsName != c.old.ErrorsName:
		c.report(c.at(name), name, "error union %s is gone or has another name; keep it with //rpcnet:name %s", c.old.ErrorsName, c.old.ErrorsName)
	default:
		c.message(name+" errors", c.at(name), c.old.Errors, c.now.Errors)
	}
}

// method compares a method, which has kept its name.
func (c *comparison) method(where string, old, now *schema.Method) {
	at := c.at(where)
	// Another shape is another conversation: to compare the messages would
	// say nothing more.
	if now.Shape != old.Shape {
		c.report(at, where, "was %s, is %s", old.Shape, now.Shape)
		return
	}
	c.message(where+" request", at, old.Request, now.Request)
	c.message(where+" response", at, old.Response, now.Response)
	// The promise is in the callers, which repeat calls because of it.
	if weaker(now.Idempotency, old.Idempotency) {
		c.warn(at, where, "was %s, is %s: callers that were built before go on repeating it", orNone(old.Idempotency), orNone(now.Idempotency))
	}
	// Callers that were built before send what the old limits allow.
	c.limit(at, where, "maxsize", sizeText, old.MaxSize, now.MaxSize, defaultMaxSize)
	c.limit(at, where, "budget", sizeText, old.Budget, now.Budget, cbor.Limits{}.BudgetFor(0))
	c.limit(at, where, "depth", func(n int64) string { return fmt.Sprint(n) }, old.Depth, now.Depth, int64(cbor.Limits{}.DepthLimit()))
}

// defaultMaxSize is the size of messages, in bytes, of a method that sets none:
// that of servers and clients whose configuration sets none either.
const defaultMaxSize = 4 << 20

// limit reports a limit of a method that has shrunk. 0 is one that is not set.
//
// A limit that has grown refuses nothing.
func (c *comparison) limit(at place, where, name string, text func(int64) string, old, now, byDefault int64) {
	was, is := cmp.Or(old, byDefault), cmp.Or(now, byDefault)
	if is >= was {
		return
	}
	form := func(set, n int64) string {
		if set == 0 {
			return text(n) + " by default"
		}
		return text(n)
	}
	c.warn(at, where, "%s was %s, is %s: messages that need more are refused", name, form(old, was), form(now, is))
}

// orNone returns the promise of a method for people.
func orNone(s string) string { return cmp.Or(s, "neither idempotent nor nosideeffects") }

// weaker reports whether a promise says less than it did.
func weaker(now, old string) bool {
	rank := map[string]int{"": 0, "idempotent": 1, "nosideeffects": 2}
	return rank[now] < rank[old]
}

// message compares the request or the response of a method, or its errors.
func (c *comparison) message(where string, at place, old, now string) {
	// spell writes the type of a message as the method has it.
	spell := func(s *schema.Schema, ref string) string {
		if t := s.Types[ref]; t != nil && t.Kind == "struct" || ref == "raw" {
			return "*" + goType(ref) // a message that is a struct is a pointer
		}
		return goType(ref)
	}
	c.ref(spot{where, at, spell(c.old, old), spell(c.now, now)}, old, now)
}

// field compares a field or a variant of the named type.
func (c *comparison) field(typ string, old, now schema.Field) {
	where := typ + "." + old.Name
	// A field with a number may have another name now.
	at := c.at(typ+"."+now.Name, typ)
	is := goType(now.Type)
	// The descriptor has what is sent. The Go type says more if it has a
	// name, and what it is made of stands behind it.
	if at.typ != "" && at.typ != is {
		is = at.typ + " (" + is + ")" // type Price int64
	}
	c.ref(spot{where, at, goType(old.Type), is}, old.Type, now.Type)
	if now.Max > 0 && (old.Max == 0 || now.Max < old.Max) {
		was := "not set"
		if old.Max > 0 {
			was = fmt.Sprint(old.Max)
		}
		c.warn(at, where, "max was %s, is %d: longer values are refused", was, now.Max)
	}
}

// ref compares the references old and now, which are those of s or parts of
// them.
func (c *comparison) ref(s spot, old, now string) {
	// A pointer is optional: null is accepted for every field, and a value
	// for every pointer.
	o, n := strings.TrimPrefix(old, "?"), strings.TrimPrefix(now, "?")
	if o != old || n != now {
		c.ref(s, o, n) // null is accepted where a field is
		return
	}
	to, tn := c.old.Types[old], c.now.Types[now]
	switch {
	case to != nil && tn != nil && to.Kind == tn.Kind:
		c.named(old, now, to, tn)
	// An enumeration and a plain integer are the same in CBOR.
	case isEnum(to) && tn == nil:
		c.warnOfNames(s)
		c.ref(s, to.Base, now)
	case to == nil && isEnum(tn):
		c.warnOfNames(s)
		c.ref(s, old, tn.Base)
	case to != nil || tn != nil:
		c.changed(s)
	default:
		c.plain(s, old, now)
	}
}

// isEnum reports whether t is an enumeration; nil is none.
func isEnum(t *schema.Type) bool { return t != nil && t.Kind == "enum" }

// warnOfNames reports that an integer has become an enumeration, or the other
// way round: CBOR is the same.
func (c *comparison) warnOfNames(s spot) {
	c.warn(s.at, s.where, "was %s, is %s: who reads it in JSON finds names on one side and numbers on the other", s.old, s.now)
}

// plain compares references to types without a name.
//
// Containers are compared by what they hold, so that a list of numbers that are
// wider now is a warning, as a single one is. The report has the whole type.
func (c *comparison) plain(s spot, old, now string) {
	oh, oe := splitRef(old)
	nh, ne := splitRef(now)
	ok, oldMap := mapKey(oh)
	nk, nowMap := mapKey(nh)
	switch {
	// A key may get wider as a value may.
	case oldMap && nowMap:
		c.ref(s, ok, nk)
		c.ref(s, oe, ne)
	case oh != "" && oh == nh:
		c.ref(s, oe, ne)
	case old == now:
	case wider(old, now):
		c.warn(s.at, s.where, "was %s, is %s: programs built before refuse values that do not fit", s.old, s.now)
	default:
		c.changed(s)
	}
}

// splitRef returns the outer part of a reference, "[]", "[4]" or "map[int]",
// and what it holds.
//
// Of "[]map[int]T" they are "[]" and "map[int]T".
func splitRef(ref string) (head, elem string) {
	if !strings.HasPrefix(ref, "[") && !strings.HasPrefix(ref, "map[") {
		return "", ref
	}
	i := strings.Index(ref, "]")
	return ref[:i+1], ref[i+1:]
}

// mapKey returns the key of the outer part of a reference to a map.
func mapKey(head string) (key string, ok bool) {
	key, ok = strings.CutPrefix(head, "map[")
	return strings.TrimSuffix(key, "]"), ok
}

// goType spells a reference as Go does.
func goType(ref string) string {
	if elem, ok := strings.CutPrefix(ref, "?"); ok {
		return "*" + goType(elem)
	}
	if head, elem := splitRef(ref); head != "" {
		return head + goType(elem)
	}
	if name, ok := strings.CutPrefix(ref, string(specialProto)+" "); ok {
		return "*" + name
	}
	return cmp.Or(map[string]string{
		"bytes": "[]byte", "time": "time.Time", "duration": "time.Duration", "raw": "cbor.Raw",
		"text": "encoding.TextMarshaler", "binary": "encoding.BinaryMarshaler", "protobuf": "proto.Message",
	}[ref], ref)
}

// wider reports whether all values of old are values of now on the wire.
//
// int and uint are compared with 64 bits. A float64 is read from a float32, and
// from an integer that it can hold.
func wider(old, now string) bool {
	// The number is the size in bits: negative for unsigned integers, above
	// 100 for floats.
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
	// All values of an unsigned integer are values of a signed one with
	// more bits.
	case o < 0:
		return -o < n
	}
	return o <= n
}

// named compares two structs, two unions or two enumerations, once.
//
// Types are compared by what they are and not by their names, which are not
// sent: a struct may have another name now.
func (c *comparison) named(name, nowName string, old, now *schema.Type) {
	pair := name + "\x00" + nowName
	if c.seen[pair] {
		return
	}
	c.seen[pair] = true
	switch old.Kind {
	case "struct":
		c.fields(name, old, now)
	case "union":
		c.variants(name, old, now)
	case "enum":
		c.constants(name, old, now)
	}
}

// fields compares the fields of two structs. The order does not matter, and
// what is new is fine.
func (c *comparison) fields(name string, old, now *schema.Type) {
	for _, f := range old.Fields {
		// A field is found by what is its key: the number, or the name
		// if there is none.
		i := slices.IndexFunc(now.Fields, func(n schema.Field) bool {
			return f.Key == 0 && n.Key == 0 && n.Name == f.Name || f.Key != 0 && n.Key == f.Key
		})
		if i >= 0 {
			c.field(name, f, now.Fields[i])
			continue
		}
		// The tag that keeps it is ready to be copied.
		what, tag := "wire name", f.Name
		if f.Key != 0 {
			what, tag = "number", fmt.Sprintf("%s,key=%d", f.Name, f.Key)
		}
		c.report(c.at(name), name+"."+f.Name, "the field (%s) is gone; if it was renamed, keep its %s with the tag `rpc:%q`", goType(f.Type), what, tag)
	}
}

// variants compares the variants of two unions. A new one arrives at older
// programs as an unknown variant, which is a case that they have.
func (c *comparison) variants(name string, old, now *schema.Type) {
	for _, v := range old.Variants {
		i := slices.IndexFunc(now.Variants, func(n schema.Field) bool { return n.Name == v.Name })
		if i >= 0 {
			c.field(name, v, now.Variants[i])
			continue
		}
		c.report(c.at(name), name+"."+v.Name, "the variant (%s) is gone; if it was renamed, keep its wire name with //rpcnet:name %s", v.Type, v.Name)
	}
}

// constants compares two enumerations. CBOR has the value of a constant and
// JSON its name: neither may change.
func (c *comparison) constants(name string, old, now *schema.Type) {
	at := c.at(name)
	c.ref(spot{name, at, old.Base, now.Base}, old.Base, now.Base)
	for _, v := range old.Values {
		where := name + "." + v.Name
		// A constant is found by its name, wherever it stands: the
		// order in the source means nothing, but iota counts in it.
		i := slices.IndexFunc(now.Values, func(n schema.Value) bool { return n.Name == v.Name })
		switch {
		case i < 0 && old.Base == "string":
			c.warn(at, where, "the constant is gone; programs built before go on sending %q", v.Value)
		case i < 0:
			c.report(at, where, "the constant is gone: its name in JSON is refused; if it was renamed, keep the old name as one more constant with the value %s", v.Value)
		case now.Values[i].Value != v.Value:
			c.report(c.at(where, name), where, "was %s, is %s: programs built before go on sending and reading %[1]s for it", v.Value, now.Values[i].Value)
		}
	}
}
