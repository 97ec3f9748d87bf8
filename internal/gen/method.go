package gen

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"
	"time"
)

const shapes = `a method is one of
	M(ctx context.Context, req *Req) (*Res, error)
	M(ctx context.Context, req *Req) iter.Seq2[*Res, error]
	M(ctx context.Context, in iter.Seq2[*Req, error]) (*Res, error)
	M(ctx context.Context, in iter.Seq2[*Req, error]) iter.Seq2[*Res, error]`

// fieldPos returns where the type of the i-th parameter or result is written.
func fieldPos(fl *ast.FieldList, i int) token.Pos {
	if fl == nil {
		return token.NoPos
	}
	for _, f := range fl.List {
		n := max(1, len(f.Names))
		if i < n {
			return f.Type.Pos()
		}
		i -= n
	}
	return token.NoPos
}

// method checks a signature and the directives of its comment.
func (c *checker) method(s *service, f *ast.Field, fn *types.Func) *method {
	id := f.Names[0]
	full := s.name + "." + id.Name
	written := f.Type.(*ast.FuncType)
	ds := c.directives(methodDirectives, f.Doc)
	bad := func(p token.Pos, format string, a ...any) *method {
		if !p.IsValid() {
			p = id.Pos()
		}
		c.errorf(p, "%s: %s", full, fmt.Sprintf(format, a...))
		return nil
	}
	param := func(i int) token.Pos { return fieldPos(written.Params, i) }
	result := func(i int) token.Pos { return fieldPos(written.Results, i) }

	sig := fn.Type().(*types.Signature)
	ps, rs := sig.Params(), sig.Results()
	switch {
	case !fn.Exported():
		return bad(id.Pos(), "method must be exported")
	case sig.Variadic():
		return bad(param(ps.Len()-1), "variadic parameters cannot travel; use a slice field in the request")
	case ps.Len() == 0 || !isContext(ps.At(0).Type()):
		return bad(param(0), "first parameter must be context.Context")
	}
	for i := 1; i < ps.Len(); i++ {
		t := ps.At(i).Type()
		if isContext(t) {
			return bad(param(i), "context.Context given twice")
		}
		if ch, ok := t.Underlying().(*types.Chan); ok {
			return bad(param(i), "a channel cannot travel: use iter.Seq2[*%s, error] as the parameter or the result", strings.TrimPrefix(c.str(ch.Elem()), "*"))
		}
	}
	m := &method{name: id.Name, pos: id.Pos(), doc: docText(f.Doc.Text())}
	switch ps.Len() {
	case 1:
		return bad(id.Pos(), "no request parameter: use an empty struct, so that fields can be added later")
	case 2:
	default:
		return bad(param(2), "%d request parameters: put them into one struct", ps.Len()-1)
	}
	// elem tells a sequence of messages from a message.
	elem := func(t types.Type, p token.Pos, what string) (_ types.Type, stream, ok bool) {
		name, args := iterSeq(t)
		switch {
		case name == "":
			return t, false, true
		case len(args) != map[string]int{"Seq": 1, "Seq2": 2}[name]:
			return nil, false, false // the type checker has said so
		case name == "Seq":
			bad(p, "%s type %s: use iter.Seq2[%s, error], which can tell an error", what, c.str(t), c.str(args[0]))
			return nil, false, false
		case !isError(args[1]):
			bad(p, "%s type %s: the second part of a sequence must be error", what, c.str(t))
			return nil, false, false
		}
		return args[0], true, true
	}
	req, reqStream, ok := elem(ps.At(1).Type(), param(1), "request")
	if !ok {
		return nil
	}
	m.reqStream = reqStream
	var res types.Type
	switch {
	case rs.Len() == 0:
		return bad(id.Pos(), "no results; %s", shapes)
	case rs.Len() == 1 && isError(rs.At(0).Type()):
		return bad(id.Pos(), "no response: use an empty struct, so that fields can be added later")
	case rs.Len() == 1:
		if res, m.resStream, ok = elem(rs.At(0).Type(), result(0), "response"); !ok {
			return nil
		}
		if !m.resStream {
			return bad(result(0), "last result must be error")
		}
	case !isError(rs.At(rs.Len() - 1).Type()):
		return bad(result(rs.Len()-1), "last result must be error")
	case rs.Len() > 2:
		return bad(result(0), "%d results: put them into one struct", rs.Len()-1)
	default:
		res = rs.At(0).Type()
		if name, args := iterSeq(res); name != "" && len(args) > 0 {
			return bad(result(0), "a sequence tells its error itself: return iter.Seq2[%s, error] alone", c.str(args[0]))
		}
		if ch, ok := res.Underlying().(*types.Chan); ok {
			return bad(result(0), "a channel cannot travel: return iter.Seq2[*%s, error] alone", strings.TrimPrefix(c.str(ch.Elem()), "*"))
		}
	}
	var okReq, okRes bool
	m.req, okReq = c.message(full, "request", req, id, written.Params)
	m.res, okRes = c.message(full, "response", res, id, written.Results)
	if !okReq || !okRes {
		return nil
	}
	if (m.req.kind == protoMessage) != (m.res.kind == protoMessage) {
		return bad(id.Pos(), "request and response must both be protobuf messages, or neither")
	}
	m.wire = c.wireName(ds, "name", id.Name, methodNameRE)
	c.methodDirectives(full, m, ds)
	return m
}

// message checks that a type can be a whole message.
func (c *checker) message(full, what string, t types.Type, id *ast.Ident, written *ast.FieldList) (message, bool) {
	pos := c.writtenAt(t, written, id.Pos())
	bad := func(format string, a ...any) (message, bool) {
		c.errorf(pos, "%s: %s type %s%s", full, what, c.str(t), fmt.Sprintf(format, a...))
		return message{}, false
	}
	base, pointer := types.Unalias(t), false
	if p, ok := base.(*types.Pointer); ok {
		base, pointer = types.Unalias(p.Elem()), true
	}
	n, ok := base.(*types.Named)
	if !ok {
		if b, isBasic := base.(*types.Basic); isBasic && b.Kind() == types.Invalid {
			return message{}, false // the type checker has said so
		}
		return bad(": want a pointer to a named struct, or a union, so that fields can be added later")
	}
	switch n.Underlying().(type) {
	case *types.Interface:
		un := c.unionOf(n, pos)
		switch {
		case c.broken[n.Obj()]:
			return message{}, false
		case un == nil:
			return bad(" is an interface that is not marked //rpcnet:union")
		case un.isError:
			return bad(" is an error union: return it as the error instead")
		case pointer:
			return bad(" points to a union: write %s", c.str(n))
		}
		c.walk(n, site{pos: pos, path: full + ": " + what + " " + c.str(n)})
		return message{n, unionMessage, un}, true
	case *types.Struct:
		switch {
		case !pointer:
			return bad(" is a struct: write *%s", c.str(t))
		case special(n) == specialProto:
			return message{n, protoMessage, nil}, true
		case !n.Obj().Exported():
			return bad(" must be exported")
		case special(n) != "":
			if by := embeddedForm(n); by != "" {
				return bad(" has the methods of %s, which it embeds, and would be sent as that alone: give the field a name", by)
			}
			return bad(" is not a message: put it into a struct of your own")
		}
		c.walk(n, site{pos: pos, path: full + ": " + what + " " + c.str(n)})
		return message{n, structMessage, nil}, true
	}
	if special(n) == specialRaw {
		if !pointer {
			return bad(": write *%s", c.str(t))
		}
		return message{n, rawMessage, nil}, true
	}
	return bad(" is %s: want a pointer to a struct, or a union, so that fields can be added later", kindOf(n))
}

// writtenAt returns where t is written in a parameter or result list.
func (c *checker) writtenAt(t types.Type, fl *ast.FieldList, pos token.Pos) token.Pos {
	if fl == nil {
		return pos
	}
	found := false
	ast.Inspect(fl, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok || found {
			return !found
		}
		if tv, ok := c.pkg.info.Types[e]; ok && types.Identical(tv.Type, t) {
			pos, found = e.Pos(), true
		}
		return !found
	})
	return pos
}

// methodDirectives applies the directives of a method's comment.
func (c *checker) methodDirectives(full string, m *method, ds []directive) {
	if has(ds, "idempotent") && has(ds, "nosideeffects") {
		d, _ := find(ds, "idempotent")
		c.errorf(d.pos, "%s: nosideeffects says more than idempotent: write one of them", full)
	}
	for _, d := range ds {
		switch d.name {
		case "idempotent":
			m.idempotency = "Idempotent"
			c.settings(m, d)
		case "nosideeffects":
			m.idempotency = "NoSideEffects"
			c.settings(m, d)
		case "limits":
			if d.arg == "" {
				c.errorf(d.pos, "//rpcnet:limits needs an option, as in timeout=2s maxsize=16MiB; there are %s", strings.Join(methodOptions, "=, ")+"=")
			}
			c.settings(m, d)
		case "inline":
			c.noArgument(d)
			m.inline = true
		case "route":
			m.route = c.routeField(full, m, d)
		case "resumable":
			m.resume = c.resumable(full, m, d)
		}
	}
}

// methodOptions are the options of a method's limits.
var methodOptions = []string{"timeout", "maxsize", "depth", "budget"}

// settings reads the options of a method's limits.
func (c *checker) settings(m *method, d directive) {
	if m.given == nil {
		m.given = map[string]bool{}
	}
	for _, opt := range strings.Fields(d.arg) {
		key, value, _ := strings.Cut(opt, "=")
		if m.given[key] {
			c.errorf(d.pos, "//rpcnet:%s: %s given twice", d.name, key)
		}
		m.given[key] = true
		switch key {
		case "timeout":
			t, err := time.ParseDuration(value)
			if err != nil || t <= 0 {
				c.errorf(d.pos, "//rpcnet:%s timeout=%s: want a positive duration such as 2s or 500ms", d.name, value)
			}
			m.timeout = t
		case "maxsize":
			m.maxSize = c.size(d, key, value)
		case "budget":
			m.budget = c.size(d, key, value)
		case "depth":
			n, err := strconv.ParseInt(value, 10, 16)
			if err != nil || n < 1 {
				c.errorf(d.pos, "//rpcnet:%s depth=%s: want a number of levels from 1 to 32767", d.name, value)
			}
			m.depth = n
		default:
			c.errorf(d.pos, "//rpcnet:%s: unknown option %q%s; there are %s", d.name, opt, didYouMean(key, methodOptions), strings.Join(methodOptions, "=, ")+"=")
		}
	}
}

// size reads the value of an option that is a number of bytes.
func (c *checker) size(d directive, key, value string) int64 {
	n, ok := parseSize(value)
	if !ok {
		c.errorf(d.pos, "//rpcnet:%s %s=%s: want bytes from 1 to 1GiB, such as 65536, 64KiB or 16MiB", d.name, key, value)
	}
	return n
}

// parseSize reads a number of bytes, with KiB, MiB or GiB.
func parseSize(s string) (int64, bool) {
	unit := int64(1)
	for suffix, u := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = n, u
		}
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 1 || n*unit > 1<<30 {
		return 0, false
	}
	return n * unit, true
}

// fieldOf finds a field of a struct message by its Go name.
func (c *checker) fieldOf(n types.Type, name string) *field {
	for _, f := range c.knownFields(n.(*types.Named)) {
		if f.path == name || strings.HasSuffix(f.path, "."+name) {
			return f
		}
	}
	return nil
}

func (c *checker) fieldNames(n types.Type) (names []string) {
	for _, f := range c.knownFields(n.(*types.Named)) {
		names = append(names, f.obj.Name())
	}
	return names
}

// routeField resolves //rpcnet:route FIELD.
func (c *checker) routeField(full string, m *method, d directive) *field {
	switch {
	case d.arg == "" || strings.ContainsAny(d.arg, " \t"):
		c.errorf(d.pos, "//rpcnet:route needs the name of one field of the request")
		return nil
	case m.req.kind != structMessage:
		c.errorf(d.pos, "%s: //rpcnet:route %s: the request %s has no fields", full, d.arg, c.str(m.req.typ))
		return nil
	}
	f := c.fieldOf(m.req.typ, d.arg)
	if f == nil {
		c.errorf(d.pos, "%s: //rpcnet:route %s: no such field in %s%s", full, d.arg, c.str(m.req.typ), didYouMean(d.arg, c.fieldNames(m.req.typ)))
		return nil
	}
	b, ok := f.typ.Underlying().(*types.Basic)
	if !ok || b.Info()&(types.IsString|types.IsInteger) == 0 {
		c.errorf(d.pos, "%s: //rpcnet:route %s: want a text or an integer field, got %s", full, d.arg, c.str(f.typ))
		return nil
	}
	return f
}

const defaultResumeField = "ResumeFrom"

// resumable resolves //rpcnet:resumable FIELD [from=FIELD] [accepted=FIELD].
func (c *checker) resumable(full string, m *method, d directive) *resume {
	args := strings.Fields(d.arg)
	named := map[string]string{"from": defaultResumeField, "accepted": ""}
	for ; len(args) > 1; args = args[:len(args)-1] {
		key, field, ok := strings.Cut(args[len(args)-1], "=")
		if _, known := named[key]; !ok || !known || field == "" {
			break
		}
		named[key] = field
	}
	from, accepted := named["from"], named["accepted"]
	if len(args) != 1 {
		c.errorf(d.pos, "//rpcnet:resumable needs the name of a field of the responses; then from=FIELD if that of the request is not %s, and accepted=FIELD if a field of the request is to hold the responses so far", defaultResumeField)
		return nil
	}
	name := args[0]
	if !m.resStream {
		c.errorf(d.pos, "%s: //rpcnet:resumable: the responses are not a sequence", full)
		return nil
	}
	r := &resume{goName: name}
	if m.req.kind != structMessage {
		c.errorf(d.pos, "%s: //rpcnet:resumable: the request %s cannot say where to resume: it has no field %s", full, c.str(m.req.typ), from)
		return nil
	}
	if r.from = c.fieldOf(m.req.typ, from); r.from == nil {
		c.errorf(d.pos, "%s: //rpcnet:resumable: the request %s needs a field %s uint64, from which to resume%s", full, c.str(m.req.typ), from, didYouMean(from, c.fieldNames(m.req.typ)))
		return nil
	}
	if !isUnsigned(r.from.typ) {
		c.errorf(d.pos, "%s: //rpcnet:resumable: field %s.%s must be an unsigned integer, got %s", full, c.str(m.req.typ), from, c.str(r.from.typ))
		return nil
	}
	switch m.res.kind {
	case structMessage:
		if r.seq = c.fieldOf(m.res.typ, name); r.seq == nil {
			c.errorf(d.pos, "%s: //rpcnet:resumable %s: no such field in %s%s", full, name, c.str(m.res.typ), didYouMean(name, c.fieldNames(m.res.typ)))
			return nil
		}
		if !isUnsigned(r.seq.typ) {
			c.errorf(d.pos, "%s: //rpcnet:resumable %s: field %s.%s must be an unsigned integer, got %s", full, name, c.str(m.res.typ), name, c.str(r.seq.typ))
			return nil
		}
	case unionMessage:
		for _, v := range m.res.union.variants {
			f := c.fieldOf(v.obj.Type(), name)
			if f == nil {
				continue
			}
			if !isUnsigned(f.typ) {
				c.errorf(d.pos, "%s: //rpcnet:resumable %s: field %s.%s must be an unsigned integer, got %s", full, name, v.obj.Name(), name, c.str(f.typ))
				return nil
			}
			r.sequence = append(r.sequence, v)
		}
		if len(r.sequence) == 0 {
			c.errorf(d.pos, "%s: //rpcnet:resumable %s: no variant of %s has such a field", full, name, c.str(m.res.typ))
			return nil
		}
	default:
		c.errorf(d.pos, "%s: //rpcnet:resumable %s: the response %s has no fields", full, name, c.str(m.res.typ))
		return nil
	}
	if accepted != "" && !c.acceptedBy(full, m, r, d, accepted) {
		return nil
	}
	return r
}

// acceptedBy resolves accepted=FIELD: a slice of the responses, or of one
// variant of them, by value or by pointer.
func (c *checker) acceptedBy(full string, m *method, r *resume, d directive, name string) bool {
	if r.accepted = c.fieldOf(m.req.typ, name); r.accepted == nil {
		c.errorf(d.pos, "%s: //rpcnet:resumable accepted=%s: the request %s has no such field%s", full, name, c.str(m.req.typ), didYouMean(name, c.fieldNames(m.req.typ)))
		return false
	}
	if list, ok := r.accepted.typ.Underlying().(*types.Slice); ok {
		elem := list.Elem()
		if types.Identical(elem, m.res.typ) {
			return true
		}
		if ptr, ok := elem.(*types.Pointer); ok {
			elem, r.acceptedPtr = ptr.Elem(), true
		}
		if m.res.kind == structMessage && types.Identical(elem, m.res.typ) {
			return true
		}
		for _, v := range r.sequence {
			if types.Identical(elem, v.obj.Type()) {
				r.acceptedVariant = v
				return true
			}
		}
	}
	want := "[]" + c.str(m.res.typ)
	if len(r.sequence) > 0 {
		want += " or a list of a variant that has " + r.goName
	}
	c.errorf(d.pos, "%s: //rpcnet:resumable accepted=%s: field %s.%s holds the responses so far: want %s, got %s", full, name, c.str(m.req.typ), name, want, c.str(r.accepted.typ))
	return false
}

func isUnsigned(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsUnsigned != 0
}

func isContext(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "context" && n.Obj().Name() == "Context"
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// iterSeq recognises iter.Seq and iter.Seq2 by identity, so that import names
// and aliases do not matter.
func iterSeq(t types.Type) (string, []types.Type) {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil || n.Obj().Pkg().Path() != "iter" {
		return "", nil
	}
	var args []types.Type
	for i := range n.TypeArgs().Len() {
		args = append(args, n.TypeArgs().At(i))
	}
	return n.Obj().Name(), args
}
