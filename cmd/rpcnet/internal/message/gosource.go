package message

import (
	"fmt"
	"go/format"
	"go/token"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/rpcnet-go/rpcnet/cmd/rpcnet/internal/printable"
	"github.com/rpcnet-go/rpcnet/codegen/schema"
)

// Go returns a contract in the form of Go declarations, as an author would write it,
// or only one of its methods and the types that it needs. It is for reading: a type
// that another package declares has no import.
func Go(s *schema.Schema, method *schema.Method) string {
	g := goSource{schema: s}
	methods := s.Methods
	types := slices.Sorted(maps.Keys(s.Types))
	if method != nil {
		methods = []*schema.Method{method}
		types = needed(s, method)
	}
	g.service(methods)
	for _, name := range types {
		if t := s.Types[name]; t != nil {
			g.line("")
			g.declare(name, t)
		}
	}
	if out, err := format.Source([]byte(g.b.String())); err == nil {
		return string(out)
	}
	return g.b.String() // names of a hostile service need be no names of Go
}

// needed returns the names of the types that a method needs, sorted.
func needed(s *schema.Schema, m *schema.Method) []string {
	seen := map[string]bool{}
	var visit func(ref string)
	visit = func(ref string) {
		r := resolve(s, ref)
		if r.elem != "" {
			visit(r.elem)
			visit(r.key)
		}
		if r.typ == nil || seen[ref] {
			return
		}
		seen[ref] = true
		for _, f := range slices.Concat(r.typ.Fields, r.typ.Variants) {
			visit(f.Type)
		}
	}
	visit(m.Request)
	visit(m.Response)
	visit(s.Errors)
	return slices.Sorted(maps.Keys(seen))
}

// A goSource writes declarations.
type goSource struct {
	b      strings.Builder
	schema *schema.Schema
}

// maxLine is how many bytes of one line of a contract are shown, and maxDoc how many
// lines of one comment.
const (
	maxLine = 500
	maxDoc  = 100
)

// line writes a line, without what is invisible.
func (g *goSource) line(format string, args ...any) {
	g.b.WriteString(printable.Line(fmt.Sprintf(format, args...), maxLine))
	g.b.WriteByte('\n')
}

// doc writes a comment. Directives follow it after an empty line.
func (g *goSource) doc(text string, directives ...string) {
	if text != "" {
		lines := strings.SplitN(text, "\n", maxDoc+1)
		if len(lines) > maxDoc {
			lines[maxDoc] = "..."
		}
		for _, l := range lines {
			g.line("// %s", l)
		}
		if len(directives) > 0 {
			g.line("//")
		}
	}
	for _, d := range directives {
		g.line("//rpcnet:%s", d)
	}
}

// service writes the interface.
func (g *goSource) service(methods []*schema.Method) {
	directives := []string{"service " + g.schema.Service}
	if g.schema.Errors != "" {
		directives = append(directives, "errors "+g.schema.Errors)
	}
	g.doc(g.schema.Doc, directives...)
	name := g.schema.Service[strings.LastIndexByte(g.schema.Service, '.')+1:]
	g.line("type %s interface {", name)
	for i, m := range methods {
		if i > 0 {
			g.line("")
		}
		g.doc(m.Doc, directivesOf(m)...)
		in, out := g.typ(m.Request, true), g.typ(m.Response, true)
		switch m.Shape {
		case "clientstream":
			g.line("%s(ctx context.Context, in iter.Seq2[%s, error]) (%s, error)", m.Name, in, out)
		case "serverstream":
			g.line("%s(ctx context.Context, req %s) iter.Seq2[%s, error]", m.Name, in, out)
		case "bidi":
			g.line("%s(ctx context.Context, in iter.Seq2[%s, error]) iter.Seq2[%s, error]", m.Name, in, out)
		default:
			g.line("%s(ctx context.Context, req %s) (%s, error)", m.Name, in, out)
		}
	}
	g.line("}")
}

// directivesOf returns the directives of a method.
func directivesOf(m *schema.Method) (list []string) {
	if m.Idempotency != "" {
		list = append(list, m.Idempotency)
	}
	if m.ResumeFrom != "" {
		list = append(list, "resumable from="+goName(m.ResumeFrom))
	}
	if m.Route != "" {
		list = append(list, "route="+goName(m.Route))
	}
	limits := ""
	if m.Timeout != "" {
		limits += " timeout=" + m.Timeout
	}
	for _, l := range []struct {
		name  string
		value int64
	}{{"maxsize", m.MaxSize}, {"depth", m.Depth}, {"budget", m.Budget}} {
		if l.value != 0 {
			limits += fmt.Sprintf(" %s=%d", l.name, l.value)
		}
	}
	if limits != "" {
		list = append(list, "limits"+limits)
	}
	return list
}

// declare writes a type.
func (g *goSource) declare(name string, t *schema.Type) {
	switch t.Kind {
	case formUnion:
		directive := "union"
		if name == g.schema.Errors {
			directive = "errors"
		}
		g.doc(t.Doc, directive)
		g.line("type %s interface {", name)
		for _, v := range t.Variants {
			g.line("// %s: %s", v.Name, g.typ(v.Type, false))
		}
		g.line("is%s()", name)
		g.line("}")
	case formEnum:
		g.doc(t.Doc)
		g.line("type %s %s", name, t.Base)
		if len(t.Values) == 0 {
			return
		}
		g.line("")
		g.line("const (")
		for _, v := range t.Values {
			if t.Base == "string" {
				g.line("%s %s = %q", v.Name, name, v.Value)
			} else {
				g.line("%s %s = %s", v.Name, name, v.Value)
			}
		}
		g.line(")")
	default:
		g.doc(t.Doc)
		g.line("type %s struct {", name)
		for _, f := range t.Fields {
			g.doc(f.Doc)
			g.line("%s %s `rpc:%q`", goName(f.Name), g.typ(f.Type, false), tag(f))
		}
		g.line("}")
	}
}

// tag returns the tag of a field.
func tag(f schema.Field) string {
	text := f.Name
	if f.Key != 0 {
		text += fmt.Sprintf(",key=%d", f.Key)
	}
	if f.Max != 0 {
		text += fmt.Sprintf(",max=%d", f.Max)
	}
	if f.Packed {
		text += ",packed"
	}
	if f.OmitEmpty {
		text += ",omitempty"
	}
	return text
}

// typ returns a reference as Go writes it. A message that is a struct is a pointer.
func (g *goSource) typ(ref string, message bool) string {
	r := resolve(g.schema, ref)
	switch r.form {
	case formOptional:
		return "*" + g.typ(r.elem, false)
	case formList:
		return "[]" + g.typ(r.elem, false)
	case formArray:
		return fmt.Sprintf("[%d]%s", r.n, g.typ(r.elem, false))
	case formMap:
		return "map[" + g.typ(r.key, false) + "]" + g.typ(r.elem, false)
	case formStruct:
		if message {
			return "*" + ref
		}
	case "bytes":
		if r.n > 0 {
			return fmt.Sprintf("[%d]byte", r.n)
		}
		return "[]byte"
	case "time":
		return "time.Time"
	case "duration":
		return "time.Duration"
	case "text":
		return "encoding.TextMarshaler"
	case "binary":
		return "encoding.BinaryMarshaler"
	case "raw":
		return "rpcnet.RawMessage"
	case "protobuf":
		return "proto.Message"
	}
	return ref
}

// initialisms are written in capitals in Go's names.
var initialisms = map[string]bool{"id": true, "url": true, "http": true, "ip": true, "api": true, "json": true, "tls": true}

// goName returns a name of the wire as Go writes it: "max_tokens" is MaxTokens.
func goName(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		if initialisms[part] {
			b.WriteString(strings.ToUpper(part))
			continue
		}
		for i, r := range part {
			if i == 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
		}
	}
	if !token.IsIdentifier(b.String()) {
		return "X" + b.String()
	}
	return b.String()
}
