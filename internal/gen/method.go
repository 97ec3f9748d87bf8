package gen

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// shapes are the four forms of a method, for errors: a reader sees all at once.
const shapes = `a method is one of
	M(ctx context.Context, req *Req) (*Res, error)
	M(ctx context.Context, req *Req) iter.Seq2[*Res, error]
	M(ctx context.Context, in iter.Seq2[*Req, error]) (*Res, error)
	M(ctx context.Context, in iter.Seq2[*Req, error]) iter.Seq2[*Res, error]`

// A methodCheck checks one method of a service: its signature, then its
// directives, which name parts of the messages.
//
// It reports the first thing that is wrong with the signature, since one
// mistake there makes others; and then all that is wrong with the messages and
// directives.
type methodCheck struct {
	*checker
	full    string // Service.Method, for errors
	id      *ast.Ident
	written *ast.FuncType // where its types are in the source
	fn      *types.Func
	ds      []directive
	given   map[string]bool // options of limits
	m       *method
}

// newMethodCheck returns a check of method f of s. It reads the directives,
// which are reported also if the signature is wrong.
func newMethodCheck(c *checker, s *service, f *ast.Field, fn *types.Func) *methodCheck {
	id := f.Names[0]
	return &methodCheck{
		checker: c, full: s.name + "." + id.Name, id: id, written: f.Type.(*ast.FuncType), fn: fn,
		ds: c.directives(methodDirectives, f.Doc), given: map[string]bool{},
		m: &method{name: id.Name, pos: id.Pos(), doc: docText(f.Doc.Text())},
	}
}

// bad reports an error of the signature. Without a position it is at the name of
// the method.
func (mc *methodCheck) bad(p token.Pos, format string, a ...any) {
	if !p.IsValid() {
		p = mc.id.Pos()
	}
	mc.errorf(p, "%s: %s", mc.full, fmt.Sprintf(format, a...))
}

// method returns the method, nil if its signature is wrong. Then its directives
// are not looked at: what they name can be what is wrong.
func (mc *methodCheck) method() *method {
	req, ok := mc.request()
	if !ok {
		return nil
	}
	res, ok := mc.response()
	if !ok {
		return nil
	}
	var okReq, okRes bool
	mc.m.req, okReq = mc.message("request", req, mc.written.Params)
	mc.m.res, okRes = mc.message("response", res, mc.written.Results)
	// Both messages have been looked at, so that both are reported.
	if !okReq || !okRes {
		return nil
	}
	// A call has one encoding, for both directions.
	if (mc.m.req.kind == protoMessage) != (mc.m.res.kind == protoMessage) {
		mc.bad(mc.id.Pos(), "request and response must both be protobuf messages, or neither")
		return nil
	}
	mc.m.wire = mc.wireName(mc.ds, "name", mc.id.Name, methodNameRE)
	mc.apply()
	return mc.m
}

// param and result return where the type of the i-th parameter or result is
// written.
func (mc *methodCheck) param(i int) token.Pos  { return fieldPos(mc.written.Params, i) }
func (mc *methodCheck) result(i int) token.Pos { return fieldPos(mc.written.Results, i) }

// fieldPos returns where the type of the i-th field of a list is written. One
// type may stand for several fields, as in (a, b int).
//
// An error about a type is shown at the type, and not at the name of the
// method.
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

// request checks the parameters and returns the type of the request, or of one
// request of a sequence.
//
// The parameters are a context and one message, or a sequence of messages.
func (mc *methodCheck) request() (_ types.Type, ok bool) {
	sig := mc.fn.Type().(*types.Signature)
	ps := sig.Params()
	switch {
	// Another package could not call the method, and a client has to.
	case !mc.fn.Exported():
		mc.bad(mc.id.Pos(), "method must be exported")
		return nil, false
	// A list as the last parameter is a field like any other.
	case sig.Variadic():
		mc.bad(mc.param(ps.Len()-1), "variadic parameters cannot travel; use a slice field in the request")
		return nil, false
	case ps.Len() == 0 || !isContext(ps.At(0).Type()):
		mc.bad(mc.param(0), "first parameter must be context.Context")
		return nil, false
	}
	// What was meant is clear enough to say what to write.
	for i := 1; i < ps.Len(); i++ {
		t := ps.At(i).Type()
		if isContext(t) {
			mc.bad(mc.param(i), "context.Context given twice")
			return nil, false
		}
		if ch, ok := t.Underlying().(*types.Chan); ok {
			mc.bad(mc.param(i), "a channel cannot travel: use iter.Seq2[*%s, error] as the parameter or the result", mc.element(ch))
			return nil, false
		}
	}
	switch ps.Len() {
	// A method without a request could never get one without breaking its
	// callers.
	case 1:
		mc.bad(mc.id.Pos(), "no request parameter: use an empty struct, so that fields can be added later")
		return nil, false
	// The context, and one request.
	case 2:
	default:
		mc.bad(mc.param(2), "%d request parameters: put them into one struct", ps.Len()-1)
		return nil, false
	}
	t, stream, ok := mc.sequence(ps.At(1).Type(), mc.param(1), "request")
	mc.m.reqStream = stream
	return t, ok
}

// response checks the results and returns the type of the response, or of one
// response of a sequence.
//
// The results are one message and an error, or a sequence alone.
func (mc *methodCheck) response() (_ types.Type, ok bool) {
	rs := mc.fn.Type().(*types.Signature).Results()
	last := rs.Len() - 1
	switch {
	// Each case says what to write in place of what is there.
	case rs.Len() == 0:
		mc.bad(mc.id.Pos(), "no results; %s", shapes)
		return nil, false
	case rs.Len() == 1 && isError(rs.At(0).Type()):
		mc.bad(mc.id.Pos(), "no response: use an empty struct, so that fields can be added later")
		return nil, false
	// A single result is a sequence of responses, which has the error in
	// it.
	case rs.Len() == 1:
		t, stream, ok := mc.sequence(rs.At(0).Type(), mc.result(0), "response")
		mc.m.resStream = stream
		if ok && !stream {
			mc.bad(mc.result(0), "last result must be error")
		}
		return t, ok && stream
	// More than one result: the last is the error.
	case !isError(rs.At(last).Type()):
		mc.bad(mc.result(last), "last result must be error")
		return nil, false
	case rs.Len() > 2:
		mc.bad(mc.result(0), "%d results: put them into one struct", last)
		return nil, false
	}
	res := rs.At(0).Type()
	// The error of a sequence comes last in it: a second one, before the
	// sequence begins, would be one too many to look at.
	if name, args := iterSeq(res); name != "" && len(args) > 0 {
		mc.bad(mc.result(0), "a sequence tells its error itself: return iter.Seq2[%s, error] alone", mc.str(args[0]))
		return nil, false
	}
	if ch, ok := res.Underlying().(*types.Chan); ok {
		mc.bad(mc.result(0), "a channel cannot travel: return iter.Seq2[*%s, error] alone", mc.element(ch))
		return nil, false
	}
	return res, true
}

// element writes the struct that a channel is of.
func (mc *methodCheck) element(ch *types.Chan) string {
	return strings.TrimPrefix(mc.str(ch.Elem()), "*")
}

// sequence tells a sequence of messages from a message. It returns the type of
// one message.
func (mc *methodCheck) sequence(t types.Type, p token.Pos, what string) (_ types.Type, stream, ok bool) {
	name, args := iterSeq(t)
	switch {
	// It is no sequence.
	case name == "":
		return t, false, true
	// iter.Seq2[T] does not compile, but go/types still gives it a type.
	case len(args) != map[string]int{"Seq": 1, "Seq2": 2}[name]:
		return nil, false, false // the type checker has said so
	case name == "Seq":
		mc.bad(p, "%s type %s: use iter.Seq2[%s, error], which can tell an error", what, mc.str(t), mc.str(args[0]))
		return nil, false, false
	case !isError(args[1]):
		mc.bad(p, "%s type %s: the second part of a sequence must be error", what, mc.str(t))
		return nil, false, false
	}
	return args[0], true, true
}

// message checks that a type can be a whole message, and what it is made of.
func (mc *methodCheck) message(what string, t types.Type, written *ast.FieldList) (message, bool) {
	pos := mc.writtenAt(t, written)
	// bad reports an error at the type. It returns what message returns
	// then.
	bad := func(format string, a ...any) (message, bool) {
		mc.errorf(pos, "%s: %s type %s%s", mc.full, what, mc.str(t), fmt.Sprintf(format, a...))
		return message{}, false
	}
	// A message is *M for a struct, U for a union, and *cbor.Raw for any
	// item.
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
	// Errors of a field have the way to it: S.M: request Req.Items: ...
	in := site{pos: pos, path: mc.full + ": " + what + " " + mc.str(n)}
	switch n.Underlying().(type) {
	case *types.Interface:
		un := mc.unions.of(n)
		switch {
		case mc.unions.broken[n.Obj()]:
			return message{}, false
		case un == nil:
			return bad(" is an interface that is not marked //rpcnet:union")
		// Typed errors travel in the status of a call.
		case un.isError:
			return bad(" is an error union: return it as the error instead")
		// An interface can be nil by itself.
		case pointer:
			return bad(" points to a union: write %s", mc.str(n))
		}
		mc.walker.walk(n, in)
		return message{n, unionMessage, un}, true
	case *types.Struct:
		switch {
		case !pointer:
			return bad(" is a struct: write *%s", mc.str(t))
		// Before the question whether it is exported: a proto.Message
		// is encoded by its own package.
		case special(n) == specialProto:
			return message{n, protoMessage, nil}, true
		case !n.Obj().Exported():
			return bad(" must be exported")
		// A time.Time as a message could never get a second field.
		case special(n) != "":
			if by := embeddedForm(n); by != "" {
				return bad(" has the methods of %s, which it embeds, and would be sent as that alone: give the field a name", by)
			}
			return bad(" is not a message: put it into a struct of your own")
		}
		mc.walker.walk(n, in)
		return message{n, structMessage, nil}, true
	}
	// cbor.Raw is a slice: a message of any type, which a proxy passes on.
	if special(n) == specialRaw {
		if !pointer {
			return bad(": write *%s", mc.str(t))
		}
		return message{n, rawMessage, nil}, true
	}
	return bad(" is %s: want a pointer to a struct, or a union, so that fields can be added later", kindOf(n))
}

// writtenAt returns where t is written in a parameter or result list, else the
// position of the method: it can be hidden by an alias.
func (mc *methodCheck) writtenAt(t types.Type, fl *ast.FieldList) token.Pos {
	pos, found := mc.id.Pos(), false
	if fl == nil {
		return pos
	}
	// The first expression in the list that has the type: the message may
	// be the element of a sequence.
	ast.Inspect(fl, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok || found {
			return !found
		}
		if tv, ok := mc.pkg.info.Types[e]; ok && types.Identical(tv.Type, t) {
			pos, found = e.Pos(), true
		}
		return !found
	})
	return pos
}

// isUnsigned reports whether t is an unsigned integer, with or without a name.
func isUnsigned(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsUnsigned != 0
}

// isContext reports whether t is context.Context.
func isContext(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "context" && n.Obj().Name() == "Context"
}

// isError reports whether t is the type error itself.
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
