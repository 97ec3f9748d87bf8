package gen

import (
	"fmt"
	"go/types"
	"strconv"
	"strings"
)

// service writes everything of a service but the codecs.
func (e *emitter) service(s *service) {
	e.constants(s)
	e.specs(s)
	e.client(s)
	e.server(s)
	e.unimplemented(s)
	e.funcs(s)
	if s.errors != nil {
		e.errorUnion(s)
	}
	e.p("\n// %sDescriptor describes [%s] and its messages in JSON, for programs\n// that do not have the Go types: see package schema.\nconst %sDescriptor = `%s`\n",
		s.name, s.name, s.name, e.descriptor(s))
}

func (e *emitter) constants(s *service) {
	e.p(`
// An error here means that this file is not of the format of the rpcnet module:
// run go generate, or update the module if it is the older one.
const _ = %s.GeneratedV2
`, e.stub())
	e.p("\n// %sName is the wire name of [%s].\nconst %sName = %q\n", s.name, s.name, s.name, s.wire)
	e.p("\n// The procedures of [%s].\nconst (\n", s.name)
	for _, m := range s.methods {
		e.p("%s%sProcedure = %q\n", s.name, m.name, "/"+s.wire+"/"+m.wire)
	}
	e.p(")\n")
}

func (s *service) specName(m *method) string { return lowerFirst(s.name) + m.name + "Spec" }

func (e *emitter) specs(s *service) {
	rpcnet := e.rpcnet()
	e.p("\nvar %sSchema = %s.Lazy(%sDescriptor)\n", lowerFirst(s.name), e.imp(schemaPath, "schema"), s.name)
	e.p("\nvar (\n")
	for _, m := range s.methods {
		e.p("%s = &%s.Spec{\n", s.specName(m), rpcnet)
		e.p("Procedure: %s%sProcedure,\nShape: %s.%s,\n", s.name, m.name, rpcnet, m.shape())
		if m.idempotency != "" {
			e.p("Idempotency: %s.%s,\n", rpcnet, m.idempotency)
		}
		if m.timeout > 0 {
			e.p("Timeout: %d, // %s\n", m.timeout.Nanoseconds(), m.timeout)
		}
		if m.depth > 0 || m.budget > 0 {
			e.p("Limits: %s.Limits{Depth: %d, Budget: %d},\n", e.cbor(), m.depth, m.budget)
		}
		if m.maxSize > 0 {
			e.p("MaxMessageSize: %d,\n", m.maxSize)
		}
		if m.inline {
			e.p("Inline: true,\n")
		}
		e.p("Request: %s,\nResponse: %s,\n", e.message(s, m.req), e.message(s, m.res))
		if s.errors != nil {
			e.p("Errors: %sErrors,\n", lowerFirst(s.name))
		}
		if m.route != nil {
			e.p("Route: func(req any) string {\nif req, ok := req.(*%s); ok && req != nil { return %s }\nreturn \"\"\n},\n", e.typ(m.req.typ), e.routeKey(m.route))
		}
		if m.resume != nil {
			e.resume(m)
		}
		if m.doc != "" {
			e.p("Doc: %s,\n", strconv.Quote(m.doc))
		}
		e.p("}\n")
	}
	e.p(")\n")
}

// routeKey returns an expression for the text of a field.
func (e *emitter) routeKey(f *field) string {
	x := "req." + f.path
	b := f.typ.Underlying().(*types.Basic)
	switch {
	case b.Info()&types.IsString != 0:
		return "string(" + x + ")"
	case b.Info()&types.IsUnsigned != 0:
		return e.imp("strconv", "strconv") + ".FormatUint(uint64(" + x + "), 10)"
	}
	return e.imp("strconv", "strconv") + ".FormatInt(int64(" + x + "), 10)"
}

func (e *emitter) resume(m *method) {
	r := m.resume
	e.p("Resume: &%s.Resume{\nSequence: func(res any) uint64 {\n", e.rpcnet())
	if m.res.kind == structMessage {
		e.p("if res, ok := res.(*%s); ok && res != nil { return uint64(res.%s) }\n", e.typ(m.res.typ), r.seq.path)
	} else {
		e.p("if u, ok := res.(*%s); ok && u != nil { res = *u }\nswitch res := res.(type) {\n", e.typ(m.res.typ))
		for _, v := range r.sequence {
			T, path := e.typ(v.obj.Type()), e.c.fieldOf(v.obj.Type(), r.goName).path
			e.p("case *%s:\nif res != nil { return uint64(res.%s) }\n", T, path)
			if !v.ptr {
				e.p("case %s:\nreturn uint64(res.%s)\n", T, path)
			}
		}
		e.p("}\n")
	}
	e.p("return 0\n},\nFrom: func(req any, next uint64) any {\nold, ok := req.(*%s)\nif !ok || old == nil { return req }\nfrom := *old\nfrom.%s = %s(next)\nreturn &from\n},\n",
		e.typ(m.req.typ), r.from.path, e.typ(r.from.typ))
	if r.accepted != nil {
		e.accepted(m)
	}
	e.p("},\n")
}

// accepted writes the function that adds a response to the first request.
func (e *emitter) accepted(m *method) {
	r, path := m.resume, m.resume.accepted.path
	e.p("Accepted: func(req, res any) any {\nold, ok := req.(*%s)\nif !ok || old == nil { return req }\n", e.typ(m.req.typ))
	keep := func(value string) {
		if r.acceptedPtr {
			e.p("kept := %s\nold.%s = append(old.%s, &kept)\n", value, path, path)
		} else {
			e.p("old.%s = append(old.%s, %s)\n", path, path, value)
		}
	}
	switch {
	case m.res.kind == structMessage:
		e.p("if res, ok := res.(*%s); ok && res != nil {\n", e.typ(m.res.typ))
		keep("*res")
		e.p("}\n")
	case r.acceptedVariant != nil:
		T := e.typ(r.acceptedVariant.obj.Type())
		e.p("u, ok := res.(*%s)\nif !ok || u == nil { return req }\nswitch res := (*u).(type) {\ncase *%s:\nif res != nil {\n", e.typ(m.res.typ), T)
		keep("*res")
		e.p("}\n")
		if !r.acceptedVariant.ptr {
			e.p("case %s:\n", T)
			keep("res")
		}
		e.p("}\n")
	default:
		e.p("if u, ok := res.(*%s); ok && u != nil {\n", e.typ(m.res.typ))
		keep("*u")
		e.p("}\n")
	}
	e.p("return req\n},\n")
}

// message returns the expression of a rpcnet.Message.
func (e *emitter) message(s *service, m message) string {
	T := e.typ(m.typ)
	codec := func(kind string) string {
		return fmt.Sprintf("%s.%s(%s, %s, %sSchema(%q))",
			e.stub(), kind, e.appendFn(m.typ), e.decodeFn(m.typ), lowerFirst(s.name), e.typeRef(m.typ))
	}
	switch m.kind {
	case structMessage:
		return codec("StructMessage")
	case unionMessage:
		return codec("UnionMessage")
	case protoMessage:
		return fmt.Sprintf("%s.Message[*%s]()", e.imp(protoPath, "protobuf"), T)
	}
	return fmt.Sprintf("%s.StructMessage(%s.Buffer.AppendRawMessage, (*%s.Decoder).DecodeRawMessage, %sSchema(%q))",
		e.stub(), e.cbor(), e.cbor(), lowerFirst(s.name), specialRaw)
}

// msgType returns the message as signatures spell it.
func (e *emitter) msgType(m message) string {
	if m.kind == unionMessage {
		return e.typ(m.typ)
	}
	return "*" + e.typ(m.typ)
}

// newMessage returns the expression of a stub.NewMessage.
func (e *emitter) newMessage(m message) string {
	if m.kind == unionMessage {
		return fmt.Sprintf("%s.NewUnion[%s]", e.stub(), e.typ(m.typ))
	}
	return fmt.Sprintf("%s.NewPointer[%s]", e.stub(), e.typ(m.typ))
}

// params and results return the parts of a method's signature.
func (e *emitter) params(m *method, ctx, req, in string) string {
	T := e.msgType(m.req)
	name := req
	if m.reqStream {
		T, name = e.seq(T), in
	}
	return strings.TrimSpace(ctx+" "+e.imp("context", "context")+".Context") + ", " + strings.TrimSpace(name+" "+T)
}

func (e *emitter) results(m *method) string {
	if m.resStream {
		return e.seq(e.msgType(m.res))
	}
	return "(" + e.msgType(m.res) + ", error)"
}

func (e *emitter) seq(T string) string {
	return e.imp("iter", "iter") + ".Seq2[" + T + ", error]"
}

func (e *emitter) client(s *service) {
	rpcnet := e.rpcnet()
	e.p("\n// %sClient calls a remote [%s] and implements it. It is safe for concurrent\n// use.\ntype %sClient struct{ c *%s.Client }\n", s.name, s.name, s.name, rpcnet)
	e.p("\nvar _ %s = (*%sClient)(nil)\n", s.name, s.name)
	e.p("\n// New%sClient returns a client that makes its calls over t. It uses a\n// [rpcnet.Client] as it is, with its interceptors and defaults.\nfunc New%sClient(t %s.Transport) *%sClient {\nreturn &%sClient{%s.NewClient(t, nil)}\n}\n",
		s.name, s.name, rpcnet, s.name, s.name, rpcnet)
	for _, m := range s.methods {
		spec, res := s.specName(m), e.msgType(m.res)
		e.p("\n%sfunc (c *%sClient) %s(%s) %s {\n", methodComment(s, m), s.name, m.name, e.params(m, "ctx", "req", "in"), e.results(m))
		get := e.newMessage(m.res)
		switch m.shape() {
		case "Unary":
			e.response(m.res, fmt.Sprintf("c.c.Unary(ctx, %s, req, %%s)", spec))
		case "Upload":
			e.response(m.res, fmt.Sprintf("%s.CallUpload(ctx, c.c, %s, in, %%s)", e.stub(), spec))
		case "Feed":
			e.p("return %s.CallFeed(ctx, c.c, %s, req, %s)\n", e.stub(), spec, get)
		case "Bidi":
			e.p("return %s.CallBidi(ctx, c.c, %s, in, %s)\n", e.stub(), spec, get)
		}
		e.p("}\n")
		if m.shape() == "Unary" {
			continue
		}
		e.p("\n// %sStream is [%sClient.%s] with an explicit handle. Close it when\n// done.\n", m.name, s.name, m.name)
		ctx := e.imp("context", "context")
		switch req := e.msgType(m.req); m.shape() {
		case "Feed":
			e.p("func (c *%sClient) %sStream(ctx %s.Context, req %s) (*%s.FeedStream[%s], error) {\nreturn %s.OpenFeed(ctx, c.c, %s, req, %s)\n}\n", s.name, m.name, ctx, req, e.stub(), res, e.stub(), spec, get)
		case "Upload":
			e.p("func (c *%sClient) %sStream(ctx %s.Context) (*%s.UploadStream[%s, %s], error) {\nreturn %s.OpenUpload[%s](ctx, c.c, %s, %s)\n}\n", s.name, m.name, ctx, e.stub(), req, res, e.stub(), req, spec, get)
		case "Bidi":
			e.p("func (c *%sClient) %sStream(ctx %s.Context) (*%s.BidiStream[%s, %s], error) {\nreturn %s.OpenBidi[%s](ctx, c.c, %s, %s)\n}\n", s.name, m.name, ctx, e.stub(), req, res, e.stub(), req, spec, get)
		}
	}
}

// response writes the end of a client method with one response, which call
// decodes into what takes the place of %s.
func (e *emitter) response(m message, call string) {
	if m.kind == unionMessage {
		e.p("var res %s\nif err := %s; err != nil { return nil, err }\nreturn res, nil\n", e.typ(m.typ), fmt.Sprintf(call, "&res"))
		return
	}
	e.p("res := new(%s)\nif err := %s; err != nil { return nil, err }\nreturn res, nil\n", e.typ(m.typ), fmt.Sprintf(call, "res"))
}

func methodComment(s *service, m *method) string {
	if m.doc != "" {
		return comment(m.doc)
	}
	return fmt.Sprintf("// %s calls [%s.%s].\n", m.name, s.name, m.name)
}

func (e *emitter) server(s *service) {
	rpcnet := e.rpcnet()
	e.p("\n// Register%s serves impl on srv. It panics if srv has one of the\n// procedures already.\nfunc Register%s(srv *%s.Server, impl %s) {\nsrv.Register(\n", s.name, s.name, rpcnet, s.name)
	for _, m := range s.methods {
		e.p("%s.Method{Spec: %s, Handler: %s.Handle%s(impl.%s, %s)},\n", rpcnet, s.specName(m), e.stub(), m.shape(), m.name, e.newMessage(m.req))
	}
	e.p(")\n}\n")
}

func (e *emitter) unimplemented(s *service) {
	rpcnet := e.rpcnet()
	e.p("\n// Unimplemented%s fails every call with CodeUnimplemented. Embed it to\n// keep compiling when the interface grows.\ntype Unimplemented%s struct{}\n\nvar _ %s = Unimplemented%s{}\n", s.name, s.name, s.name, s.name)
	for _, m := range s.methods {
		e.p("\n// %s fails.\nfunc (Unimplemented%s) %s(%s) %s {\n", m.name, s.name, m.name, e.params(m, "", "", ""), e.results(m))
		err := fmt.Sprintf("%s.NewError(%s.CodeUnimplemented, %q)", rpcnet, rpcnet, s.wire+"/"+m.wire+" is not implemented")
		if m.resStream {
			e.p("return %s.Fail[%s](%s)\n}\n", e.stub(), e.msgType(m.res), err)
		} else {
			e.p("return nil, %s\n}\n", err)
		}
	}
}

func (e *emitter) funcs(s *service) {
	e.p("\n// %sFuncs implements [%s] with functions, for tests. A nil function fails with\n// CodeUnimplemented.\ntype %sFuncs struct {\n", s.name, s.name, s.name)
	for _, m := range s.methods {
		e.p("%sFunc func(%s) %s\n", m.name, e.params(m, "", "", ""), e.results(m))
	}
	e.p("}\n\nvar _ %s = (*%sFuncs)(nil)\n", s.name, s.name)
	for _, m := range s.methods {
		arg := "req"
		if m.reqStream {
			arg = "in"
		}
		e.p("\n// %s calls %sFunc.\nfunc (f *%sFuncs) %s(%s) %s {\n", m.name, m.name, s.name, m.name, e.params(m, "ctx", "req", "in"), e.results(m))
		e.p("if f.%sFunc == nil { return Unimplemented%s{}.%s(ctx, %s) }\nreturn f.%sFunc(ctx, %s)\n}\n", m.name, s.name, m.name, arg, m.name, arg)
	}
}

// errorUnion writes how the typed errors of a service travel.
func (e *emitter) errorUnion(s *service) {
	u := s.errors
	T := u.obj.Name()
	e.p("\n// %sErrors carries the variants of [%s].\nvar %sErrors = &%s.ErrorUnion{\nName: %q,\n", lowerFirst(s.name), T, lowerFirst(s.name), e.rpcnet(), u.wire)
	e.p("Append: func(b []byte, err error) ([]byte, bool) {\nvar u %s\nif !%s.As(err, &u) { return b, false }\nout, err := %s(b, u)\nif err != nil { return b, false }\nreturn out, true\n},\n",
		T, e.imp("errors", "errors"), e.appendFn(u.obj.Type()))
	e.p("Decode: func(d *%s.Decoder) error {\nvar u %s\n%s(d, &u)\nif d.Err() != nil { return nil }\nreturn u\n},\n}\n", e.cbor(), T, e.decodeFn(u.obj.Type()))
}
